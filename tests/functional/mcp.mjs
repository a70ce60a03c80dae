// SPDX-License-Identifier: MIT
//
// MCP by hand: what the SDKs would not send, and many at once.
const MODERN = "2026-07-28";

const accept = { accept: "application/json, text/event-stream" };

// Messages of an answer, whether it came as JSON or as a stream of events.
export function messages(answer) {
	if (!/event-stream/.test(answer.type)) return [answer.json];
	return answer.text
		.split("\n")
		.filter((line) => line.startsWith("data: "))
		.map((line) => JSON.parse(line.slice(6)));
}

export const last = (answer) => messages(answer).at(-1);

export const post = (api, message, headers = {}) => api.post("/mcp", message, { headers: { ...accept, ...headers } });

// One of the legacy era, begun.
export class Session {
	constructor(api, headers = {}) {
		this.api = api;
		this.headers = headers;
		this.n = 0;
	}

	async begin(version = "2025-11-25") {
		const answer = await post(
			this.api,
			{
				jsonrpc: "2.0",
				id: 0,
				method: "initialize",
				params: { protocolVersion: version, capabilities: {}, clientInfo: { name: "t", version: "1" } },
			},
			this.headers,
		);
		this.begun = answer;
		this.id = answer.headers["mcp-session-id"];
		return this;
	}

	post(message) {
		return post(this.api, message, { "mcp-session-id": this.id, ...this.headers });
	}

	request(method, params, id = ++this.n) {
		return this.post({ jsonrpc: "2.0", id, method, params });
	}

	notify(method, params) {
		return this.post({ jsonrpc: "2.0", method, params });
	}

	async call(name, args = {}, _meta = undefined) {
		return last(await this.request("tools/call", { name, arguments: args, _meta }));
	}

	end() {
		return this.api.del("/mcp", { headers: { "mcp-session-id": this.id } });
	}
}

export const begin = (api, headers) => new Session(api, headers).begin();

export function modern(api, method, params = {}, { headers = {}, _meta = {}, id = 1, ...options } = {}) {
	const name = params.name ?? params.uri;
	return api.post(
		"/mcp",
		{
			jsonrpc: "2.0",
			id,
			method,
			params: {
				...params,
				_meta: {
					"io.modelcontextprotocol/protocolVersion": MODERN,
					"io.modelcontextprotocol/clientCapabilities": {},
					..._meta,
				},
			},
		},
		{
			headers: { ...accept, "mcp-protocol-version": MODERN, "mcp-method": method, ...(name ? { "mcp-name": name } : {}), ...headers },
			...options,
		},
	);
}
