/* SPDX-License-Identifier: MIT */
/*
 * Figures of the last hour, for the panel's overview: a few of the metrics, looked at once a
 * minute. Who keeps them for longer asks /metrics.
 */
#include "api/api_priv.h"
#include "base/mem.h"
#include "base/metrics.h"

#define EVERY   (60 * USEC_PER_SEC)
#define SAMPLES 61 /* an hour, from its first minute to its last */

static const struct {
	const char *name;
	enum metric metric;
} series[] = {
	/* clang-format off */
	{ "sessions",    METRIC_SESSIONS },
	{ "attachments", METRIC_ATTACHMENTS },
	{ "tasks",       METRIC_TASKS },
	{ "builds",      METRIC_BUILDS },
	{ "streams",     METRIC_WS_CONNECTIONS },
	{ "requests",    METRIC_HTTP_REQUESTS },
	{ "events",      METRIC_EVENTS },
	{ "downs",       METRIC_DOWNS },
	/* clang-format on */
};

struct figures {
	struct timer *timer;
	size_t n; /* taken since the start */
	double samples[SAMPLES][ARRAY_SIZE(series)];
};

static void take(void *arg)
{
	struct figures *f = arg;
	double *sample = f->samples[f->n++ % SAMPLES];

	for (size_t i = 0; i < ARRAY_SIZE(series); i++)
		sample[i] = metric_value(series[i].metric);
	timer_set(f->timer, EVERY);
}

struct figures *figures_new(struct loop *loop)
{
	struct figures *f = xcalloc(1, sizeof(*f));

	f->timer = timer_new(loop, take, f);
	take(f);
	return f;
}

struct figures *figures_free(struct figures *f)
{
	if (!f)
		return NULL;
	timer_free(f->timer);
	free(f);
	return NULL;
}

static cJSON *samples_of(const struct figures *f, size_t which)
{
	size_t n = f->n < SAMPLES ? f->n : SAMPLES;
	cJSON *list = cJSON_CreateArray();

	for (size_t i = f->n - n; i < f->n; i++)
		cJSON_AddItemToArray(list, cJSON_CreateNumber(f->samples[i % SAMPLES][which]));
	return list;
}

void route_figures(struct call *call)
{
	const struct figures *f = call->api->figures;
	cJSON *j = cJSON_CreateObject(), *now, *past;

	json_add_string(j, "version", PACKAGE_VERSION);
	json_add_u64(j, "uptime_seconds", (clock_monotonic() - call->api->started) / USEC_PER_SEC);
	json_add_u64(j, "every_seconds", EVERY / USEC_PER_SEC);
	now = cJSON_AddObjectToObject(j, "now");
	past = cJSON_AddObjectToObject(j, "series");
	for (size_t i = 0; i < ARRAY_SIZE(series); i++) {
		cJSON_AddNumberToObject(now, series[i].name, metric_value(series[i].metric));
		cJSON_AddItemToObject(past, series[i].name, samples_of(f, i));
	}
	api_reply_json(call, 200, j);
}
