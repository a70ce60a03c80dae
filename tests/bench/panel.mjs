// SPDX-License-Identifier: MIT
/*
 * The Preview panel in Chromium: from a navigation to its first paint with nothing in the cache, and
 * from the server's answer to the probe to the browser's request for the page, with the panel open.
 */
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const PAINTS = 9, ATTACHES = 9;

function middle(numbers) {
	return [...numbers].sort((a, b) => a - b)[Math.floor((numbers.length - 1) / 2)];
}

async function targetServer() {
	const target = { asked: {} };
	const server = createServer((request, response) => {
		target.asked[request.method] ??= performance.now();
		response.setHeader('content-type', 'text/html');
		response.end(request.method === 'HEAD' ? undefined : '<h1>here</h1>');
	});

	await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
	target.port = server.address().port;
	target.end = () => (server.closeAllConnections(), server.close());
	return target;
}

async function firstPaint(browser, daemon) {
	const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
	const page = await context.newPage();
	const { url } = JSON.parse(await daemon.call('POST', '/api/apps/default/sessions/paint/codes', {}));

	await page.addInitScript(() => addEventListener('statechange', () => (globalThis.live ??= performance.now())));
	await page.goto(url);
	await page.locator('web-preview .screen[data-state=nothing]').waitFor();
	const [first, live] = await page.evaluate(() => new Promise(resolve => {
		new PerformanceObserver(list => {
			const paint = list.getEntriesByName('first-contentful-paint')[0];

			if (paint)
				resolve([paint.startTime, globalThis.live]);
		}).observe({ type: 'paint', buffered: true });
	}));

	await context.close();
	return { first, live };
}

async function attachToRequest(page, daemon, i) {
	const target = await targetServer();
	const frame = page.locator(`web-preview iframe[title="Preview p${i}"]`);

	await daemon.call('POST', '/api/apps/default/sessions/attach/previews', { port: target.port, name: `p${i}` });
	await frame.waitFor({ state: 'attached' });
	while (!target.asked.GET)
		await new Promise(resolve => setTimeout(resolve, 5));
	await daemon.call('DELETE', `/api/apps/default/sessions/attach/previews/p${i}`);
	target.end();
	return target.asked.GET - target.asked.HEAD;
}

export async function panelRows({ row, previewd, milliseconds }) {
	const daemon = await previewd('panel');
	const browser = await chromium.launch({
		executablePath: '/usr/bin/chromium',
		args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking'],
	});

	try {
		await daemon.call('PUT', '/api/apps/default/sessions/paint', {});
		await daemon.call('PUT', '/api/apps/default/sessions/attach', {});
		const paints = [];

		for (let i = 0; i < PAINTS; i++)
			paints.push(await firstPaint(browser, daemon));
		const first = middle(paints.map(p => p.first));
		row('panel: first paint, nothing cached', milliseconds(1000 * first), '', '< 100 ms', first < 100);
		row('panel: live, nothing cached', milliseconds(1000 * middle(paints.map(p => p.live))), '',
		    'a token minted, the events joined');

		const { url } = JSON.parse(await daemon.call('POST', '/api/apps/default/sessions/attach/codes', {}));
		const page = await browser.newPage();
		const spans = [];

		await page.goto(url);
		await page.locator('web-preview .screen').waitFor();
		for (let i = 0; i < ATTACHES; i++)
			spans.push(await attachToRequest(page, daemon, i));
		row('attach: probe answered → frame asks', milliseconds(1000 * middle(spans)), '', '< 100 ms',
		    middle(spans) < 100);
	} finally {
		await browser.close();
	}
}
