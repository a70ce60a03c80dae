/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/json.h"
#include "bus/bus.h"
#include "config/settings.h"
#include "loop/loop.h"
#include "store/store.h"

/*
 * The live canvas: what an agent's workspace shows its viewers.  A session has a state
 * map, and channels of resources by id, of which "nodes" and "edges" are the graph.
 *
 * All of it is in memory.  A change takes effect at once, is one event preview:<type>, and is
 * stored behind: the store has it at most half a second later.  While the store fails, changes are
 * refused.  A channel is there as long as it holds a resource.
 *
 * Who may do what, and whether the session lives, is the caller's to know.
 */
struct canvas;

struct canvas_deps {
	struct loop *loop;
	struct store *store;
	struct bus *bus; /* NULL: there is no transport, events are logged and dropped */
};

/* Loads what the store has of living sessions; what is left of others goes. */
int canvas_new(const struct canvas_deps *deps, const struct settings *settings, struct canvas **ret,
	       struct fault *reterr) must_use;

/* Hands what isn't stored yet to the store: so before store_free(), which finishes it. */
struct canvas *canvas_free(struct canvas *canvas);
DEFINE_CLEANUP(struct canvas *, canvas_free)

/* Takes over reloaded settings.  What is over a new limit stays, and can only shrink. */
void canvas_reload(struct canvas *canvas, const struct settings *settings);

/* Actions with their parameters, read and checked. */
struct canvas_calls;

/* One action, and a list of {action, params}.  Nothing is kept of `params` and `list`. */
int canvas_calls_read(const char *action, const cJSON *params, struct canvas_calls **ret,
		      struct fault *reterr) must_use;
int canvas_calls_read_list(const cJSON *list, struct canvas_calls **ret,
			   struct fault *reterr) must_use;
struct canvas_calls *canvas_calls_free(struct canvas_calls *calls);
DEFINE_CLEANUP(struct canvas_calls *, canvas_calls_free)

/* Whether none of them changes anything. */
bool canvas_calls_only_read(const struct canvas_calls *calls);

/* The schema of the body of either. */
cJSON *canvas_action_schema(void);
cJSON *canvas_list_schema(void);

struct canvas_session_ref {
	const char *session_id;
	const char *app_id;
	const char *user_id; /* the owner */
};

/*
 * Does all of them or, with a fault, none.  `ret`, the caller's, is the action's result; of a list
 * {results}.
 */
int canvas_run(struct canvas *canvas, const struct canvas_session_ref *ref,
	       const struct canvas_calls *calls, cJSON **ret, struct fault *reterr) must_use;

/* Adds the session's state, resources, nodes, edges and events, all empty where there are none. */
void canvas_add_snapshot(struct canvas *canvas, const char *session_id, cJSON *object);

/* A registry_ended_fn over the canvas: everything of the session goes, in memory and store. */
void canvas_session_ended(const char *session_id, void *canvas);
