// SPDX-License-Identifier: MIT
// The stock Socket.IO server with what siobench.c asks for: node sio-server.mjs PORT
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const server = createServer();
const io = new Server(server, { serveClient: false, perMessageDeflate: false });

io.on('connection', socket => {
	socket.on('bench_join', (room, done) => {
		socket.join(room);
		done();
	});
	socket.on('bench_pub', (room, payload) => io.to(room).emit('bench_ev', payload));
});
server.listen(Number(process.argv[2]), '127.0.0.1');
