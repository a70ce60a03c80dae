/* SPDX-License-Identifier: MIT */
/* The canvas: each action's event and result, limits, all or nothing, and what the store has. */
#include "registry_world.h"

#include "base/metrics.h"
#include "canvas/canvas.h"

struct fixture {
	struct world *w;
	struct canvas *canvas;
};

static struct fixture fixture;

static void open_canvas(struct fixture *f)
{
	const struct canvas_deps deps = { f->w->loop, &f->w->gate->base, f->w->bus };

	assert_int_equal(canvas_new(&deps, f->w->settings, &f->canvas, NULL), 0);
}

static void hear_all(struct event *e, void *arg)
{
	struct world *w = arg;
	scoped(json_freep) cJSON *j = cJSON_Parse(e->payload->data);
	static const char *const common[] = { "session_id", "app_id", "preview_seq", "ts" };

	for (size_t i = 0; i < ARRAY_SIZE(common); i++)
		cJSON_DeleteItemFromObject(j, common[i]);
	scoped(freep) char *text = json_print(j);

	strbuf_printf(&w->heard, "%s%s", e->type + strlen("preview:"), text);
}

static struct subscription *ears;

static int up(void **state)
{
	struct store_batch *batch = store_batch_new();
	const struct record_session session = { .session_id = "s1", .app_id = "a", .user_id = "u" };

	if (set_up((void **)&fixture.w) < 0)
		return -1;
	store_put(batch, RECORD_KIND_SESSION, &session);
	store_commit_free(store_commit_consume(&fixture.w->gate->base, batch, NULL, NULL));
	fixture.w->all = bus_unsubscribe(fixture.w->all);
	ears = bus_subscribe(fixture.w->bus, "s1", hear_all, fixture.w);
	open_canvas(&fixture);
	*state = &fixture;
	return 0;
}

static int down(void **state)
{
	struct fixture *f = *state;

	f->canvas = canvas_free(f->canvas);
	ears = bus_unsubscribe(ears);
	return tear_down((void **)&f->w);
}

/* The result as text, or the fault's slug. */
static const char *run(struct fixture *f, const char *action, const char *params)
{
	static char text[8192];
	const struct canvas_session_ref ref = { "s1", "a", "u" };
	scoped(json_freep) cJSON *j = cJSON_Parse(params), *result = NULL;
	scoped(canvas_calls_freep) struct canvas_calls *calls = NULL;
	scoped(fault_done) struct fault fault = { 0 };
	scoped(freep) char *printed = NULL;
	int r = action ? canvas_calls_read(action, j, &calls, &fault)
		       : canvas_calls_read_list(j, &calls, &fault);

	if (r >= 0)
		r = canvas_run(f->canvas, &ref, calls, &result, &fault);
	settle(f->w);
	cJSON_DeleteItemFromObject(result, "updated_at");
	cJSON_DeleteItemFromObject(result, "timestamp");
	printed = r < 0 ? xstrdup(fault_slug(fault.code)) : json_print(result);
	snprintf(text, sizeof(text), "%s", printed);
	return text;
}

static const char *shown(struct fixture *f)
{
	static char text[8192];
	scoped(json_freep) cJSON *j = cJSON_CreateObject();
	scoped(freep) char *printed = NULL;

	canvas_add_snapshot(f->canvas, "s1", j);
	printed = json_print(j);
	snprintf(text, sizeof(text), "%s", printed);
	return text;
}

static const struct {
	const char *action, *params, *result, *events;
} steps[] = {
	/* clang-format off */
	{ "set_state", "{\"key\":\"k\",\"value\":[1,null]}", "{\"key\":\"k\",\"value\":[1,null]}", "state_changed{\"key\":\"k\",\"value\":[1,null]}" },
	{ "set_state", "{\"key\":\"k\"}", "invalid_field", "" },
	{ "patch_state", "{\"patch\":{\"k\":null,\"a\":{\"b\":1}}}", "{\"state\":{\"a\":{\"b\":1}}}", "state_patched{\"patch\":{\"k\":null,\"a\":{\"b\":1}}}" },
	{ "patch_state", "{\"patch\":{\"a\":{\"c\":2}}}", "{\"state\":{\"a\":{\"c\":2}}}", "state_patched{\"patch\":{\"a\":{\"c\":2}}}" },
	{ "emit", "{\"event_type\":\"tick\",\"data\":{\"n\":1,\"preview_seq\":99}}", "{\"event_type\":\"tick\",\"data\":{\"n\":1},\"seq\":4}", "tick{\"n\":1}" },
	{ "emit", "{\"event_type\":\"snapshot\"}", "event_reserved", "" },
	{ "emit", "{\"event_type\":\"resource_set\"}", "event_reserved", "" },
	{ "emit", "{\"event_type\":\"web_preview:attached\"}", "event_reserved", "" },
	{ "set_resource", "{\"channel\":\"files\",\"id\":\"a/b\",\"payload\":{\"x\":1}}", "{\"channel\":\"files\",\"id\":\"a/b\"}", "resource_set{\"channel\":\"files\",\"id\":\"a/b\",\"payload\":{\"x\":1}}" },
	{ "patch_resource", "{\"channel\":\"files\",\"id\":\"a/b\",\"patch\":{\"y\":2,\"x\":null}}", "{\"channel\":\"files\",\"id\":\"a/b\"}", "resource_patched{\"channel\":\"files\",\"id\":\"a/b\",\"patch\":{\"y\":2,\"x\":null},\"payload\":{\"y\":2}}" },
	{ "list_resources", "{\"channel\":\"files\"}", "{\"channel\":\"files\",\"items\":{\"a/b\":{\"y\":2}},\"count\":1}", "" },
	{ "list_resources", "{\"channel\":\"none\"}", "{\"channel\":\"none\",\"items\":{},\"count\":0}", "" },
	{ "bulk_set_resources", "{\"channel\":\"files\",\"items\":{\"c\":{}},\"replace\":true}", "{\"channel\":\"files\",\"count\":1}", "resource_bulk_set{\"channel\":\"files\",\"items\":{\"c\":{}},\"replace\":true}" },
	{ "delete_resource", "{\"channel\":\"files\",\"id\":\"a/b\"}", "{\"existed\":false}", "" },
	{ "delete_resource", "{\"channel\":\"files\",\"id\":\"c\"}", "{\"existed\":true}", "resource_deleted{\"channel\":\"files\",\"id\":\"c\"}" },
	{ "clear_channel", "{\"channel\":\"files\"}", "{\"channel\":\"files\"}", "" },
	{ "push_node", "{\"label\":\" My  Node! \"}", "{\"id\":\"my-node\",\"type\":\"default\",\"label\":\" My  Node! \",\"position\":{\"x\":0,\"y\":0},\"data\":{},\"status\":\"idle\"}", NULL },
	{ "push_node", "{}", "{\"id\":\"node-2\",\"type\":\"default\",\"label\":\"\",\"position\":{\"x\":0,\"y\":0},\"data\":{},\"status\":\"idle\"}", NULL },
	{ "update_node", "{\"id\":\"my-node\",\"updates\":{\"label\":\"L\",\"id\":\"z\",\"n\":1}}", "{\"id\":\"my-node\",\"type\":\"default\",\"label\":\"L\",\"position\":{\"x\":0,\"y\":0},\"data\":{\"id\":\"z\",\"n\":1},\"status\":\"idle\"}", NULL },
	{ "update_node", "{\"id\":\"my-node\",\"updates\":{\"status\":\"mad\"}}", "invalid_field", "" },
	{ "update_node", "{\"id\":\"x\",\"updates\":{}}", "node_not_found", "" },
	{ "highlight_node", "{\"id\":\"node-2\",\"status\":\"mad\"}", "invalid_field", "" },
	{ "highlight_node", "{\"id\":\"node-2\",\"status\":\"done\"}", "{\"id\":\"node-2\",\"status\":\"done\"}", NULL },
	{ "push_edge", "{\"source\":\"my-node\",\"target\":\"node-2\"}", "{\"id\":\"my-node->node-2\",\"source\":\"my-node\",\"target\":\"node-2\",\"label\":\"\",\"data\":{}}", "resource_set{\"channel\":\"edges\",\"id\":\"my-node->node-2\",\"payload\":{\"id\":\"my-node->node-2\",\"source\":\"my-node\",\"target\":\"node-2\",\"label\":\"\",\"data\":{}}}" },
	{ "remove_node", "{\"id\":\"node-2\"}", "{\"id\":\"node-2\",\"edges_dropped\":[\"my-node->node-2\"]}", "resource_deleted{\"channel\":\"nodes\",\"id\":\"node-2\"}resource_deleted{\"channel\":\"edges\",\"id\":\"my-node->node-2\"}" },
	{ "remove_edge", "{\"id\":\"x\"}", "{\"id\":\"x\"}", "" },
	{ "clear", "{}", "{\"cleared\":true}", "cleared{}" },
	{ "nothing", "{}", "action_not_found", "" },
	/* clang-format on */
};

static void each_action_tells_and_answers_as_the_seed_says(void **state)
{
	struct fixture *f = *state;
	uint64_t seq = 0;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		assert_string_equal(run(f, steps[i].action, steps[i].params), steps[i].result);
		if (steps[i].events)
			assert_heard(f->w, steps[i].events);
		else
			heard(f->w);
		assert_true(bus_latest_seq(f->w->bus, "s1") >= seq);
		seq = bus_latest_seq(f->w->bus, "s1");
	}
	assert_string_equal(
		shown(f),
		"{\"state\":{},\"resources\":{},\"nodes\":[],\"edges\":[],\"events\":[]}");
}

static void a_list_is_done_whole_or_not_at_all(void **state)
{
	struct fixture *f = *state;

	run(f, "bulk_set_resources", "{\"channel\":\"c\",\"items\":{\"a\":{},\"b\":{},\"d\":{}}}");
	heard(f->w);
	scoped(freep) char *before = xstrdup(shown(f));

	assert_string_equal(run(f, NULL,
				"[{\"action\":\"delete_resource\",\"params\":{\"channel\":\"c\","
				"\"id\":\"a\"}},{\"action\":\"emit\",\"params\":{\"event_type\":"
				"\"e\"}},{\"action\":\"clear\"},{\"action\":\"update_node\","
				"\"params\":{\"id\":\"x\",\"updates\":{}}}]"),
			    "node_not_found");
	assert_heard(f->w, "");
	assert_string_equal(shown(f), before);
	assert_string_equal(run(f, NULL, "[{\"action\":\"clear\"},{\"action\":\"clear\"}]"),
			    "{\"results\":[{\"cleared\":true},{\"cleared\":true}]}");
	assert_heard(f->w, "cleared{}cleared{}");
}

static void limits_are_told_and_change_nothing(void **state)
{
	struct fixture *f = *state;

	f->w->settings->canvas_payload_max = 20;
	f->w->settings->canvas_channels = 1;
	f->w->settings->canvas_resources_per_channel = 1;
	f->w->settings->canvas_state_keys = 1;
	assert_string_equal(
		run(f, "set_state", "{\"key\":\"k\",\"value\":\"0123456789012345678\"}"),
		"canvas_limit");
	run(f, "set_state", "{\"key\":\"k\",\"value\":1}");
	assert_string_equal(run(f, "patch_state", "{\"patch\":{\"k\":2,\"l\":1}}"), "canvas_limit");
	run(f, "set_resource", "{\"channel\":\"c\",\"id\":\"a\"}");
	assert_string_equal(run(f, "set_resource", "{\"channel\":\"c\",\"id\":\"b\"}"),
			    "canvas_limit");
	assert_string_equal(run(f, "set_resource", "{\"channel\":\"d\",\"id\":\"a\"}"),
			    "canvas_limit");
	f->w->settings->canvas_session_max = 1;
	assert_string_equal(run(f, "set_state", "{\"key\":\"k\",\"value\":100}"), "canvas_limit");
	assert_string_equal(shown(f), "{\"state\":{\"k\":1},\"resources\":{\"c\":{\"a\":{}}},"
				      "\"nodes\":[],\"edges\":[],\"events\":[]}");
}

static void it_is_there_again_in_its_order_and_what_was_deleted_is_not(void **state)
{
	struct fixture *f = *state;

	run(f, "bulk_set_resources",
	    "{\"channel\":\"nodes\",\"items\":{\"z\":{},\"b\":{},\"a\":{\"n\":1}}}");
	f->canvas = canvas_free(f->canvas);
	open_canvas(f);
	run(f, "delete_resource", "{\"channel\":\"nodes\",\"id\":\"b\"}");
	scoped(freep) char *before = xstrdup(shown(f));

	f->canvas = canvas_free(f->canvas);
	open_canvas(f);
	assert_string_equal(shown(f), before);
	canvas_session_ended("s1", f->canvas);
	f->canvas = canvas_free(f->canvas);
	open_canvas(f);
	assert_null(strstr(shown(f), "\"z\""));
}

static void a_full_memory_is_told_and_can_only_shrink(void **state)
{
	struct fixture *f = *state;
	const double before = metric_value(METRIC_CANVAS_BYTES);
	scoped(freep) char *shown_before = NULL;

	run(f, "set_resource",
	    "{\"channel\":\"c\",\"id\":\"a\",\"payload\":{\"x\":\"0123456789\"}}");
	shown_before = xstrdup(shown(f));
	heard(f->w);
	f->w->settings->canvas_memory_max = 1;
	assert_string_equal(run(f, "set_state", "{\"key\":\"k\",\"value\":1}"), "canvas_limit");
	assert_string_equal(
		run(f, "patch_resource", "{\"channel\":\"c\",\"id\":\"a\",\"patch\":{\"y\":1}}"),
		"canvas_limit");
	assert_string_equal(shown(f), shown_before);
	assert_heard(f->w, "");
	assert_string_equal(
		run(f, "patch_resource", "{\"channel\":\"c\",\"id\":\"a\",\"patch\":{\"x\":null}}"),
		"{\"channel\":\"c\",\"id\":\"a\"}");
	run(f, "clear", "{}");
	assert_true(metric_value(METRIC_CANVAS_BYTES) == before);
	f->w->settings->canvas_memory_max = 1024 * 1024;
	assert_string_equal(run(f, "set_state", "{\"key\":\"k\",\"value\":1}"),
			    "{\"key\":\"k\",\"value\":1}");
}

/* What the store has, told as a snapshot by a canvas that begins with it. */
static void assert_stored(struct fixture *f, const char *expected)
{
	f->canvas = canvas_free(f->canvas);
	open_canvas(f);
	assert_string_equal(shown(f), expected);
}

static void what_the_store_fails_to_take_is_kept_and_tried_again(void **state)
{
	struct fixture *f = *state;
	struct world *w = f->w;

	run(f, "set_state", "{\"key\":\"old\",\"value\":1}");
	wait_until(w, metric_value(METRIC_CANVAS_UNSTORED) == 0);

	w->gate->shut = true;
	run(f, "set_state", "{\"key\":\"new\",\"value\":1}");
	run(f, "patch_state", "{\"patch\":{\"old\":null}}");
	wait_until(w, w->gate->n_held == 1);
	/* Behind the write that is under way: it must not be lost with it, nor taken back by it. */
	run(f, "set_state", "{\"key\":\"new\",\"value\":2}");
	gate_let(w->gate, -ENOSPC);
	assert_string_equal(shown(f), "{\"state\":{\"new\":2},\"resources\":{},\"nodes\":[],"
				      "\"edges\":[],\"events\":[]}");
	wait_until(w, w->gate->n_held == 1); /* it tries again by itself */
	assert_true(metric_value(METRIC_CANVAS_UNSTORED) == 2);
	gate_open(w->gate);
	wait_until(w, metric_value(METRIC_CANVAS_UNSTORED) == 0);
	assert_stored(f, "{\"state\":{\"new\":2},\"resources\":{},\"nodes\":[],"
			 "\"edges\":[],\"events\":[]}");
}

static void while_the_store_fails_changes_are_refused_and_reads_are_not(void **state)
{
	struct fixture *f = *state;
	struct world *w = f->w;

	run(f, "set_state", "{\"key\":\"k\",\"value\":1}");
	store_memory_fail(w->gate->inner, -ENOSPC);
	wait_until(w, store_health(&w->gate->base) < 0);
	heard(w);
	assert_string_equal(run(f, "set_state", "{\"key\":\"k\",\"value\":2}"),
			    "store_unavailable");
	assert_string_equal(run(f, "clear", "{}"), "store_unavailable");
	assert_string_equal(run(f, "list_resources", "{\"channel\":\"c\"}"),
			    "{\"channel\":\"c\",\"items\":{},\"count\":0}");
	assert_heard(w, "");
	store_memory_fail(w->gate->inner, 0);
	wait_until(w, store_health(&w->gate->base) == 0);
	assert_string_equal(run(f, "set_state", "{\"key\":\"k\",\"value\":2}"),
			    "{\"key\":\"k\",\"value\":2}");
	assert_stored(f, "{\"state\":{\"k\":2},\"resources\":{},\"nodes\":[],\"edges\":[],"
			 "\"events\":[]}");
}

static void without_a_transport_events_are_dropped_and_changes_stand(void **state)
{
	struct fixture *f = *state;
	const struct canvas_deps deps = { f->w->loop, &f->w->gate->base, NULL };
	const double before = metric_value(METRIC_EVENTS_DROPPED);

	f->canvas = canvas_free(f->canvas);
	assert_int_equal(canvas_new(&deps, f->w->settings, &f->canvas, NULL), 0);
	run(f, "set_state", "{\"key\":\"k\",\"value\":1}");
	assert_string_equal(run(f, "emit", "{\"event_type\":\"tick\"}"),
			    "{\"event_type\":\"tick\",\"data\":{},\"seq\":0}");
	assert_heard(f->w, "");
	assert_true(metric_value(METRIC_EVENTS_DROPPED) == before + 2);
	assert_non_null(strstr(run(f, "get_state", "{}"), "\"state\":{\"k\":1}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_action_tells_and_answers_as_the_seed_says, up,
						down),
		cmocka_unit_test_setup_teardown(a_list_is_done_whole_or_not_at_all, up, down),
		cmocka_unit_test_setup_teardown(limits_are_told_and_change_nothing, up, down),
		cmocka_unit_test_setup_teardown(
			it_is_there_again_in_its_order_and_what_was_deleted_is_not, up, down),
		cmocka_unit_test_setup_teardown(a_full_memory_is_told_and_can_only_shrink, up,
						down),
		cmocka_unit_test_setup_teardown(
			what_the_store_fails_to_take_is_kept_and_tried_again, up, down),
		cmocka_unit_test_setup_teardown(
			while_the_store_fails_changes_are_refused_and_reads_are_not, up, down),
		cmocka_unit_test_setup_teardown(
			without_a_transport_events_are_dropped_and_changes_stand, up, down),
	};

	alarm(60);
	mem_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
