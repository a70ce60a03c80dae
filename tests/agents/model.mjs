// SPDX-License-Identifier: MIT
//
// A model that does what the test says, on loopback, as each agent's own API: Anthropic's messages,
// OpenAI's responses and chat completions, Gemini's generateContent.
import { once } from "node:events";
import http from "node:http";

import { defer } from "../functional/harness.mjs";

const sse = (response, events) => {
	response.writeHead(200, { "content-type": "text/event-stream" });
	for (const event of events) response.write(`${event.type ? `event: ${event.type}\n` : ""}data: ${JSON.stringify(event)}\n\n`);
	return response;
};

// What was asked: the names of the tools that may be called, and whether one has been.
const apis = [
	{
		path: /\/v1\/messages(\?|$)/,
		tools: (body) => (body.tools ?? []).map((tool) => tool.name),
		results: (body) => body.messages.flatMap((m) => (Array.isArray(m.content) ? m.content.filter((c) => c.type === "tool_result") : [])),
		answer(response, body, { tool, input, text }, n) {
			const block = tool ? { type: "tool_use", id: `toolu_${n}`, name: tool, input: {} } : { type: "text", text: "" };
			const delta = tool ? { type: "input_json_delta", partial_json: JSON.stringify(input) } : { type: "text_delta", text };
			const message = { id: `msg_${n}`, type: "message", role: "assistant", model: body.model, content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 } };
			if (!body.stream) {
				const content = [tool ? { ...block, input } : { type: "text", text }];
				return response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ ...message, content, stop_reason: tool ? "tool_use" : "end_turn" }));
			}
			sse(response, [
				{ type: "message_start", message },
				{ type: "content_block_start", index: 0, content_block: block },
				{ type: "content_block_delta", index: 0, delta },
				{ type: "content_block_stop", index: 0 },
				{ type: "message_delta", delta: { stop_reason: tool ? "tool_use" : "end_turn", stop_sequence: null }, usage: { output_tokens: 1 } },
				{ type: "message_stop" },
			]).end();
		},
	},
	{
		path: /\/responses(\?|$)/,
		tools: (body) => (body.tools ?? []).flatMap((tool) => (tool.type === "namespace" ? tool.tools.map((t) => `${tool.name}.${t.name}`) : [tool.name])),
		results: (body) => body.input.filter((item) => /_output$/.test(item.type)),
		answer(response, body, { tool, input, text }, n) {
			const [namespace, name] = tool?.includes(".") ? tool.split(".") : [undefined, tool];
			const item = tool
				? { type: "function_call", id: `fc_${n}`, call_id: `call_${n}`, name, ...(namespace ? { namespace } : {}), arguments: JSON.stringify(input) }
				: { type: "message", role: "assistant", id: `m_${n}`, content: [{ type: "output_text", text }] };
			const usage = { input_tokens: 1, input_tokens_details: null, output_tokens: 1, output_tokens_details: null, total_tokens: 2 };
			sse(response, [
				{ type: "response.created", response: { id: `r_${n}` } },
				{ type: "response.output_item.done", item },
				{ type: "response.completed", response: { id: `r_${n}`, usage } },
			]).end();
		},
	},
	{
		path: /\/chat\/completions(\?|$)/,
		tools: (body) => (body.tools ?? []).map((tool) => tool.function.name),
		results: (body) => body.messages.filter((m) => m.role === "tool"),
		answer(response, body, { tool, input, text }, n) {
			const delta = tool
				? { role: "assistant", tool_calls: [{ index: 0, id: `call_${n}`, type: "function", function: { name: tool, arguments: JSON.stringify(input) } }] }
				: { role: "assistant", content: text };
			const chunk = (d, finish_reason) => ({ id: `c_${n}`, object: "chat.completion.chunk", created: 0, model: body.model, choices: [{ index: 0, delta: d, finish_reason }] });
			sse(response, [chunk(delta, null), chunk({}, tool ? "tool_calls" : "stop")]).end("data: [DONE]\n\n");
		},
	},
	{
		path: /:(streamGenerateContent|generateContent)(\?|$)/,
		tools: (body) => (body.tools ?? []).flatMap((tool) => (tool.functionDeclarations ?? []).map((f) => f.name)),
		results: (body) => body.contents.flatMap((c) => (c.parts ?? []).filter((p) => p.functionResponse)),
		answer(response, body, { tool, input, text }, n, url) {
			const part = tool ? { functionCall: { id: `f${n}`, name: tool, args: input } } : { text };
			const whole = { candidates: [{ content: { role: "model", parts: [part] }, finishReason: "STOP", index: 0 }], usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 } };
			if (/streamGenerateContent/.test(url)) return sse(response, [whole]).end();
			response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(whole));
		},
	},
];

// `next({ tools, results, body })` says what the model answers: {tool, input} or {text}, maybe later.
export async function start_model(t, next) {
	const model = { requests: [], others: [] };
	let n = 0;
	const server = http.createServer(async (request, response) => {
		let text = "";
		for await (const chunk of request) text += chunk;
		const api = request.method === "POST" && apis.find((a) => a.path.test(request.url));
		if (!api) {
			model.others.push(`${request.method} ${request.url}`);
			return response.writeHead(404, { "content-type": "application/json" }).end("{}");
		}
		const body = JSON.parse(text);
		const asked = { tools: api.tools(body), results: api.results(body), body };
		model.requests.push(asked);
		const answer = asked.tools.length > 0 ? await next(asked) : { text: "Previews" };
		if (!response.destroyed) api.answer(response, body, answer, n++, request.url);
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	defer(t, () => (server.closeAllConnections(), server.close()));
	model.url = `http://127.0.0.1:${server.address().port}`;
	return model;
}
