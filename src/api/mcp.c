/* SPDX-License-Identifier: MIT */
/*
 * /mcp: hands over to the protocol's own server, which answers.
 */
#include "mcp/mcp.h"

#include "api/api_priv.h"

const struct json_field mcp_fields[] = { JSON_FIELDS_END };

typedef void mcp_answer_fn(struct mcp *mcp, struct http_request *req, struct principal *who);

static void hand_over(struct call *call, mcp_answer_fn *answer)
{
	scoped(principal_unrefp) struct principal *who = principal_ref(call->principal);
	struct http_request *req = call->req;
	struct mcp *mcp = call->api->mcp;

	http_response_header(req, "Cache-Control", "no-store");
	guard_cors(req);
	call_free(call);
	answer(mcp, req, who);
}

void route_mcp_post(struct call *call)
{
	hand_over(call, mcp_post);
}

void route_mcp_delete(struct call *call)
{
	hand_over(call, mcp_delete);
}
