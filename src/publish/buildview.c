/* SPDX-License-Identifier: MIT */
/*
 * A build as a document, as it is answered and stored.
 */
#include <string.h>

#include "base/mem.h"
#include "publish/manager.h"
#include "publish/publisher_priv.h"

unsigned build_position(const struct build *b)
{
	unsigned n = 1;

	for (const struct build *one = b->publisher->queue; one; one = one->queue_next, n++)
		if (one == b)
			return n;
	return 0;
}

static void add_phases(cJSON *j, const struct build *b)
{
	cJSON *phases = cJSON_AddArrayToObject(j, "phases");

	for (int i = PHASE_QUEUED; i < PHASE_COUNT_; i++) {
		cJSON *one;

		if (b->took[i] == 0)
			continue;
		one = cJSON_CreateObject();
		json_add_string(one, "phase", build_phase_names[i]);
		json_add_u64(one, "took_ms", b->took[i] / USEC_PER_MSEC);
		cJSON_AddItemToArray(phases, one);
	}
}

static void add_project(cJSON *j, const struct build *b)
{
	const struct project *project = b->project;

	json_add_string(j, "framework", project ? framework_name(project->framework) : NULL);
	json_add_string(j, "package_manager",
			project && project->script ? manager_name(project->manager) : NULL);
	json_add_string(j, "script", project ? project->script : NULL);
	json_add_string(j, "node", b->node_version);
	if (b->was_isolated)
		cJSON_AddBoolToObject(j, "isolated", b->isolated);
	else
		cJSON_AddNullToObject(j, "isolated");
	json_add_string(j, "packages", b->packages);
}

static void add_result(cJSON *j, const struct build *b)
{
	bool ok = b->state == BUILD_STATE_SUCCEEDED;
	scoped(freep) char *url = ok && b->page ? page_url(b->page) : NULL;
	scoped(freep) char *address = ok && b->page ? page_address(b->page) : NULL;
	cJSON *warnings;

	json_add_string(j, "release_id", ok ? b->release_id : NULL);
	json_add_string(j, "url", url);
	json_add_string(j, "address", address);
	json_add_u64(j, "files", b->n_files);
	json_add_u64(j, "bytes", b->bytes);
	json_add_string(j, "base", b->base_state);
	warnings = cJSON_AddArrayToObject(j, "warnings");
	for (char **one = b->project ? b->project->warnings : NULL; one && *one; one++)
		cJSON_AddItemToArray(warnings, cJSON_CreateString(*one));
	for (char **one = b->warnings; one && *one; one++)
		cJSON_AddItemToArray(warnings, cJSON_CreateString(*one));
}

static void add_error(cJSON *j, const struct build *b)
{
	cJSON *error;

	if (b->fault.code == FAULT_NONE) {
		cJSON_AddNullToObject(j, "error");
		return;
	}
	error = cJSON_AddObjectToObject(j, "error");
	json_add_string(error, "code", fault_slug(b->fault.code));
	json_add_string(error, "detail", b->fault.detail);
	json_add_string(error, "phase", build_phase_names[b->phase]);
}

usec_t build_elapsed(const struct build *b)
{
	usec_t now = clock_realtime(), from = b->created_at;
	usec_t until = b->ended_at ? b->ended_at : now;

	return until > from ? until - from : 0;
}

cJSON *build_document(const struct build *b)
{
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, "build_id", b->build_id);
	json_add_string(j, "session_id", b->shelf->session_id);
	json_add_string(j, "app_id", b->app_id);
	json_add_string(j, "name", b->params.name);
	json_add_string(j, "state", build_state_names[b->state]);
	json_add_string(j, "phase", build_is_live(b) ? build_phase_names[b->phase] : NULL);
	if (b->state == BUILD_STATE_QUEUED)
		json_add_u64(j, "position", build_position(b));
	else
		cJSON_AddNullToObject(j, "position");
	add_project(j, b);
	json_add_string(j, "workdir", b->workdir.path ? b->workdir.path : b->workdir.session_path);
	json_add_time(j, "created_at", b->created_at);
	json_add_time(j, "started_at", b->started_at);
	json_add_time(j, "ended_at", b->ended_at);
	json_add_u64(j, "elapsed_ms", build_elapsed(b) / USEC_PER_MSEC);
	add_phases(j, b);
	add_result(j, b);
	add_error(j, b);
	json_add_u64(j, "log_bytes", textlog_total(&b->log));
	return j;
}

cJSON *build_view(const struct build *b)
{
	return b->document ? cJSON_Duplicate(b->document, true) : build_document(b);
}
