/* SPDX-License-Identifier: MIT */
/*
 * What operators ask: health, readiness, metrics, the description of the API.
 */
#include <string.h>

#include "api/api_priv.h"
#include "base/metrics.h"
#include "base/strbuf.h"

/* Never touches state: whether the loop turns is all it says. */
void route_healthz(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	scoped(freep) char *verbose = NULL;
	cJSON *j;

	if (call_query(call, "verbose", &verbose, &fault) < 0 || !verbose) {
		api_reply_text(call, 200, "text/plain; charset=utf-8", "ok\n");
		return;
	}
	j = cJSON_CreateObject();
	json_add_string(j, "status", "ok");
	json_add_string(j, "version", PACKAGE_VERSION);
	json_add_u64(j, "uptime_seconds", (clock_monotonic() - call->api->started) / USEC_PER_SEC);
	api_reply_json(call, 200, j);
}

void route_readyz(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct api *api = call->api;
	int store;

	if (api->draining) {
		fault_set(&fault, FAULT_DRAINING, "the daemon is shutting down");
		api_reply_fault(call, &fault);
		return;
	}
	store = store_health(api->deps.store);
	if (store < 0) {
		store_probe(api->deps.store); /* the next one asking learns of the recovery */
		fault_set(&fault, FAULT_STORE_UNAVAILABLE, "the last write failed: %s",
			  strerror(-store));
		api_reply_fault(call, &fault);
		return;
	}
	api_reply_text(call, 200, "text/plain; charset=utf-8", "ok\n");
}

void route_metrics(struct call *call)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
	const char *accept = http_request_header(call->req, "Accept");
	bool openmetrics = accept && strstr(accept, "application/openmetrics-text");

	metrics_write(&b, openmetrics);
	api_reply_text(call, 200,
		       openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
				   : "text/plain; version=0.0.4; charset=utf-8",
		       strbuf_str(&b));
}

void route_openapi(struct call *call)
{
	api_reply_text(call, 200, "application/json", call->api->openapi->data);
}
