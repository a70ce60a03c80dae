/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/bytes.h"
#include "base/clock.h"
#include "base/hash.h"
#include "canvas/canvas.h"

/* The state map is a channel, too; no other can be called so. */
#define STATE ""

#define CHANNEL_LENGTH_MAX 64
#define KEY_LENGTH_MAX     256
#define ID_TEXT_MAX        512 /* bytes of a resource's id */

/* A value is kept as its JSON text, which is immutable: taking a change back is putting back a
 * reference, and a snapshot is copying. */
struct entry {
	char *id;
	struct bytes *text;
	int64_t position; /* in the order they were made */
	UT_hash_handle hh;
};

struct channel {
	char *name;
	struct entry *entries;
	bool unsorted; /* by position */
	UT_hash_handle hh;
};

/* An event that changed nothing, remembered for those who take a snapshot. */
struct kept_event {
	uint64_t seq;
	char *type;
	struct bytes *data;
	usec_t ts;
	struct kept_event *prev, *next;
};

/* A key whose row in the store is not what memory says. */
struct dirty {
	size_t channel_length;
	char *key; /* the channel and the id, each with its NUL */
	size_t key_length;
	UT_hash_handle hh;
};

/* Whose canvases take how much. */
struct canvas_user {
	char *user_id;
	size_t n_sessions;
	size_t bytes;
	UT_hash_handle hh;
};

struct canvas_session {
	struct canvas *canvas;
	struct canvas_user *user;
	char *session_id;
	struct channel *channels;
	size_t bytes;
	int64_t last_position;
	struct kept_event *events;
	size_t n_events, events_bytes;

	struct dirty *dirty;
	struct dirty *flying; /* those the store is about to have */
	struct store_commit *commit;
	UT_hash_handle hh;
};

struct canvas {
	struct canvas_deps deps;
	const struct settings *settings;
	struct canvas_session *sessions;
	struct canvas_user *users;
	size_t bytes; /* of all sessions */
	struct timer *flush_timer;
};

/*
 * memory.c: what there is.
 */
struct canvas_session *session_find_canvas(const struct canvas *canvas, const char *session_id);
struct canvas_session *session_ensure_canvas(struct canvas *canvas, const char *session_id,
					     const char *user_id);
/* One with nothing in it, and nothing of it on its way to the store, goes. */
void session_free_if_blank(struct canvas_session *s);
void session_free_canvas(struct canvas_session *s);

struct channel *channel_find(const struct canvas_session *s, const char *name);
size_t channel_count(const struct channel *ch); /* NULL: 0 */
void channel_sort(struct channel *ch);
struct entry *entry_find(const struct canvas_session *s, const char *channel, const char *id);

/* Takes the text; NULL removes.  A new entry has that position, or for 0 the next. */
void entry_put_consume(struct canvas_session *s, const char *channel, const char *id,
		       struct bytes *text, int64_t position);
/* What an entry counts for. */
size_t entry_size(const char *id, size_t text_length);

void kept_event_add(struct canvas_session *s, uint64_t seq, const char *type, const char *data,
		    usec_t ts);
void kept_events_drop(struct canvas_session *s);

/*
 * behind.c: writing behind.
 */
void dirty_mark(struct canvas_session *s, const char *channel, const char *id);
void dirty_done(struct dirty **set);
void flush_soon(struct canvas *canvas);
void flush_now(struct canvas_session *s);
void on_flush(void *canvas);

/*
 * run.c: all or nothing.
 */
struct change {
	char *channel;
	char *id;
	struct bytes *before; /* NULL: it wasn't there */
	int64_t position;
	struct change *prev, *next;
};

struct pending_event {
	const char *type; /* "preview:resource_set" is "resource_set" */
	char *entity_id;
	cJSON *payload;
	cJSON *emitted; /* borrowed: the result that wants its number; only of emit */
	usec_t ts;
	struct pending_event *prev, *next;
};

struct transaction {
	struct canvas *canvas;
	const struct canvas_session_ref *ref;
	struct canvas_session *session;
	struct change *changes;
	struct pending_event *events;
	size_t event_bytes;
};

/* Within the limits; takes the text. */
int change_set_consume(struct transaction *t, const char *channel, const char *id,
		       struct bytes *text, struct fault *reterr) must_use;
bool change_delete(struct transaction *t, const char *channel, const char *id);

/* Takes the payload. */
struct pending_event *event_add_consume(struct transaction *t, const char *type,
					const char *entity_id, cJSON *payload);
/* Counts what an event carries: all of a request's together are bounded. */
int event_charge(struct transaction *t, size_t n_bytes, struct fault *reterr) must_use;

/*
 * actions.c: the 17, and the state map.
 */
struct canvas_params {
	char *key;
	cJSON *value;
	cJSON *patch;
	char *event_type;
	cJSON *data;
	char *channel;
	char *id;
	cJSON *payload;
	cJSON *items;
	bool replace;
	char *type;
	char *label;
	cJSON *position;
	int status;
	cJSON *updates;
	char *source;
	char *target;
};

typedef int action_fn(struct transaction *t, const struct canvas_params *p, cJSON **ret,
		      struct fault *reterr);

struct canvas_action {
	const char *name;
	bool writes;
	const struct json_field *fields;
	action_fn *handler;
	const char *summary;
};

extern const struct canvas_action canvas_actions[];
extern const size_t n_canvas_actions;
extern const char *const node_statuses[]; /* ends with NULL */

#define ACTION(name, kind, summary) action_fn action_##name;
#include "canvas/actions.def"
#undef ACTION

/*
 * resources.c: what actions are made of.
 */
struct bytes *value_text(const cJSON *value);
cJSON *value_copy(const cJSON *value); /* NULL: {} */
/* Of two string members; a NULL `name2` leaves the second out. */
cJSON *strings_pair(const char *name, const char *value, const char *name2, const char *value2);
void member_replace(cJSON *object, const char *name, cJSON *value_consume);
void members_merge(cJSON *object, const cJSON *patch); /* shallow; null removes */
int ids_check(const cJSON *members, const char *field, size_t most, struct fault *reterr) must_use;

cJSON *resource_name(const char *channel, const char *id); /* {channel, id}; `id` may be NULL */
cJSON *resource_get(const struct transaction *t, const char *channel, const char *id);
/* Each changes a resource and tells so. */
int resource_put(struct transaction *t, const char *channel, const char *id, const cJSON *payload,
		 struct fault *reterr) must_use;
int resource_put_patched(struct transaction *t, const char *channel, const char *id,
			 const cJSON *patch, const cJSON *payload, struct fault *reterr) must_use;
bool resource_drop(struct transaction *t, const char *channel, const char *id);
/* All that is in it, without an event. */
void channel_drop(struct transaction *t, struct channel *ch);

/* canvas.c: a channel as an object of its entries. */
cJSON *channel_object(struct canvas_session *s, const char *channel);
