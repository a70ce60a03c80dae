/* SPDX-License-Identifier: MIT */
/*
 * The registry's memory: users, sessions, slots and attachments, how they are found, and how what
 * is on its way to the store is told from what is there.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#include "base/ids.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "registry/registry_priv.h"

static struct user *user_ensure(struct registry *reg, const char *user_id)
{
	struct user *u;

	HASH_FIND_STR(reg->users, user_id, u);
	if (u)
		return u;

	u = xcalloc(1, sizeof(*u));
	u->user_id = xstrdup(user_id);
	HASH_ADD_KEYPTR(hh, reg->users, u->user_id, strlen(u->user_id), u);
	return u;
}

static void user_free_if_unused(struct registry *reg, struct user *u)
{
	if (u->n_sessions > 0)
		return;
	HASH_DEL(reg->users, u);
	free(u->user_id);
	free(u);
}

struct session *session_find(const struct registry *reg, const char *session_id)
{
	struct session *s;

	HASH_FIND_STR(reg->sessions, session_id, s);
	return s;
}

static bool session_seen_by(const struct session *s, const struct principal *principal,
			    const struct session_ref *ref)
{
	return (!ref->app_id || strcmp(s->app_id, ref->app_id) == 0) &&
	       principal_sees(principal, s->app_id, s->session_id, s->user->user_id);
}

/* One sentence for an unknown session and for another's: the difference is nobody's business. */
static int not_found(const struct session_ref *ref, struct fault *reterr)
{
	return fault_set(reterr, FAULT_SESSION_NOT_FOUND, "there is no session '%s'%s%s%s",
			 ref->session_id, ref->app_id ? " in app '" : "",
			 ref->app_id ? ref->app_id : "", ref->app_id ? "'" : "");
}

struct session *session_visible(const struct registry *reg, const struct principal *principal,
				const struct session_ref *ref, struct fault *reterr)
{
	struct session *s = session_find(reg, ref->session_id);

	if (s && s->durable && s->ended_at == 0 && session_seen_by(s, principal, ref))
		return s;
	not_found(ref, reterr);
	return NULL;
}

int session_writable(const struct registry *reg, const struct principal *principal,
		     const struct session_ref *ref, struct session **ret, struct fault *reterr)
{
	struct session *s = session_find(reg, ref->session_id);

	if (!s) {
		if (!principal_may_create(principal, ref->app_id, ref->session_id))
			return not_found(ref, reterr);
		*ret = NULL;
		return 0;
	}

	if (!session_seen_by(s, principal, ref)) {
		if (principal->admin &&
		    principal_sees(principal, s->app_id, s->session_id, s->user->user_id))
			return fault_set(reterr, FAULT_SESSION_CONFLICT,
					 "session '%s' belongs to app '%s' for good", s->session_id,
					 s->app_id);
		return not_found(ref, reterr);
	}
	if (s->ending) {
		fault_set(reterr, FAULT_SESSION_ENDING,
			  "session '%s' is ending its tasks; try again in a moment", s->session_id);
		if (reterr)
			reterr->retry_after_seconds = 1;
		return -EBUSY;
	}
	*ret = s;
	return 0;
}

/* As it will be: the store gets the changes in the order they are made here. */
static void put_record(const struct session *s, usec_t ended_at, struct store_batch *batch)
{
	struct record_session record = {
		.session_id = s->session_id,
		.app_id = s->app_id,
		.user_id = s->user->user_id,
		.workdir = s->will_workdir,
		.meta = s->will_meta,
		.created_at = (int64_t)s->created_at,
		.ended_at = (int64_t)ended_at,
		.workdir_uid = s->will_workdir ? s->will_workdir_uid : -1,
	};

	store_put(batch, RECORD_KIND_SESSION, &record);
}

static struct session *session_insert(struct registry *reg, const char *app_id,
				      const char *session_id, const char *user_id)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->session_id = xstrdup(session_id);
	s->app_id = xstrdup(app_id);
	s->user = user_ensure(reg, user_id);
	s->user->n_sessions++;
	DL_APPEND2(s->user->sessions, s, user_prev, user_next);
	HASH_ADD_KEYPTR(hh, reg->sessions, s->session_id, strlen(s->session_id), s);
	return s;
}

void session_free(struct registry *reg, struct session *s)
{
	struct user *u = s->user;
	struct slot *slot, *tmp;

	DL_FOREACH_SAFE(s->slots, slot, tmp)
	{
		attachment_free(reg, slot->current);
		slot_set_bundled(slot, false);
		u->n_slots--;
		free(slot->name);
		free(slot);
	}
	holds_free(s);
	if (s->ended_at)
		DL_DELETE2(u->ended, s, ended_prev, ended_next);
	DL_DELETE2(u->sessions, s, user_prev, user_next);
	HASH_DEL(reg->sessions, s);
	u->n_sessions--;
	user_free_if_unused(reg, u);
	free(s->session_id);
	free(s->app_id);
	free(s->workdir);
	free(s->meta);
	free(s->will_workdir);
	free(s->will_meta);
	free(s);
}

/*
 * Makes room for one more session of the user by forgetting the one that ended the longest ago.
 * What is lost with it is its owner's claim to the id.
 */
static int user_make_room(struct registry *reg, const char *user_id, struct store_batch *batch,
			  struct session **ret_forgetting, struct fault *reterr)
{
	struct session *oldest = NULL;
	struct user *u;

	*ret_forgetting = NULL;
	HASH_FIND_STR(reg->users, user_id, u);
	if (!u || u->n_sessions - u->n_forgetting < reg->settings->limits_sessions_per_user)
		return 0;

	DL_FOREACH2(u->ended, oldest, ended_next)
	{
		if (oldest->pending == 0)
			break;
	}
	if (!oldest)
		return fault_set(reterr, FAULT_TOO_MANY_SESSIONS,
				 "user '%s' has %zu sessions, as many as "
				 "limits.sessions_per_user allows; end one first",
				 user_id, u->n_sessions);

	store_delete(batch, RECORD_KIND_SESSION,
		     &(struct record_session){ .session_id = oldest->session_id });
	bus_session_forget(reg->deps.bus, oldest->session_id, batch);
	session_begin(oldest);
	u->n_forgetting++;
	*ret_forgetting = oldest;
	return 0;
}

void session_forgotten(struct registry *reg, struct session *s, int result)
{
	s->user->n_forgetting--;
	if (result < 0 || s->pending > 1) { /* its owner has come back meanwhile */
		session_settle(reg, s, result, false);
		return;
	}
	metric_add(METRIC_SESSIONS_ENDED, -1);
	session_free(reg, s);
}

int session_make(struct registry *reg, const struct session_ref *ref, const char *user_id,
		 struct store_batch *batch, struct session **ret, struct session **ret_forgetting,
		 struct fault *reterr)
{
	int r = user_make_room(reg, user_id, batch, ret_forgetting, reterr);

	if (r < 0)
		return r;

	*ret = session_insert(reg, ref->app_id, ref->session_id, user_id);
	(*ret)->created_at = clock_realtime();
	return 0;
}

void session_begin(struct session *s)
{
	if (s->pending++ > 0)
		return;
	s->will_workdir = xstrdup_null(s->workdir);
	s->will_workdir_uid = s->workdir_uid;
	s->will_meta = xstrdup_null(s->meta);
}

void session_begin_change(struct session *s, struct store_batch *batch)
{
	session_begin(s);
	if (!s->durable || s->ended_at || !s->will_live)
		put_record(s, 0, batch);
	s->will_live = true;
}

void session_begin_end(struct session *s, struct store_batch *batch)
{
	session_begin(s);
	free(STEAL(s->will_workdir));
	free(STEAL(s->will_meta));
	put_record(s, clock_realtime(), batch);
	s->will_live = false;
	s->generation++;
}

static void set_text(char **member, const char *value)
{
	if (!value)
		return;
	free(*member);
	*member = xstrdup(value);
}

void session_will_have(struct session *s, const char *workdir, int64_t workdir_uid,
		       const char *meta, struct store_batch *batch)
{
	set_text(&s->will_workdir, workdir);
	if (workdir)
		s->will_workdir_uid = workdir_uid;
	set_text(&s->will_meta, meta);
	put_record(s, 0, batch);
}

static void tell_made(struct registry *reg, const struct session *s)
{
	const struct session_ref ref = { s->app_id, s->session_id };

	if (reg->on_session_made)
		reg->on_session_made(&ref, reg->on_session_made_arg);
}

void session_settle(struct registry *reg, struct session *s, int result, bool makes_live)
{
	s->pending--;

	if (result < 0 || !makes_live) {
		/* as it was */
	} else if (!s->durable) {
		s->durable = true;
		metric_inc(METRIC_SESSIONS);
		tell_made(reg, s);
	} else if (s->ended_at) {
		s->ended_at = 0;
		DL_DELETE2(s->user->ended, s, ended_prev, ended_next);
		metric_inc(METRIC_SESSIONS);
		metric_add(METRIC_SESSIONS_ENDED, -1);
		tell_made(reg, s);
	}

	if (s->pending > 0)
		return;
	free(STEAL(s->will_workdir));
	free(STEAL(s->will_meta));
	s->will_live = s->durable && s->ended_at == 0;
	if (!s->durable)
		session_free(reg, s);
}

void session_end_in_memory(struct session *s, usec_t ended_at)
{
	s->ended_at = ended_at;
	free(STEAL(s->workdir));
	free(STEAL(s->meta));
	DL_APPEND2(s->user->ended, s, ended_prev, ended_next);
	metric_add(METRIC_SESSIONS, -1);
	metric_inc(METRIC_SESSIONS_ENDED);
}

struct slot *slot_find(const struct session *s, const char *name)
{
	struct slot *slot;

	DL_FOREACH(s->slots, slot)
	{
		if (strcmp(slot->name, name) == 0)
			return slot;
	}
	return NULL;
}

struct slot *slot_make(struct session *s, const char *name)
{
	struct slot *slot = xcalloc(1, sizeof(*slot));

	slot->session = s;
	slot->name = xstrdup(name);
	DL_APPEND(s->slots, slot);
	s->n_slots++;
	s->user->n_slots++;
	return slot;
}

void slot_set_bundled(struct slot *slot, bool bundled)
{
	struct session *s = slot->session;

	if (slot->bundled == bundled)
		return;
	slot->bundled = bundled;
	s->n_bundled += bundled ? 1 : -1;
	s->user->n_bundled += bundled ? 1 : -1;
}

void slot_to_end(struct slot *slot)
{
	DL_DELETE(slot->session->slots, slot);
	DL_APPEND(slot->session->slots, slot);
}

void slot_settle(struct slot *slot)
{
	struct session *s = slot->session;

	slot->pending--;
	if (slot->pending > 0)
		return;

	slot_is_quiet(slot);
	slot->will_exist = slot->current != NULL;
	slot->will_be_pinned = slot->current && slot->current->record->pinned;
	slot_set_bundled(slot, slot->current && attachment_is_bundled(slot->current));
	if (slot->current)
		return;
	DL_DELETE(s->slots, slot);
	s->n_slots--;
	s->user->n_slots--;
	free(slot->name);
	free(slot);
}

struct attachment *attachment_new_take(struct registry *reg, struct record_attachment *record)
{
	struct attachment *a = xcalloc(1, sizeof(*a));

	a->record = record;
	DL_APPEND2(reg->by_port[record->port], a, port_prev, port_next);
	return a;
}

struct attachment *attachment_free(struct registry *reg, struct attachment *a)
{
	if (!a)
		return NULL;

	owner_forget(a);
	if (a->by_label) {
		HASH_DELETE(label_hh, reg->by_label, a);
		reg->edge_version++;
	}
	if (a->presence == PRESENCE_DOWN || a->presence == PRESENCE_FOREIGN)
		metric_add(METRIC_PREVIEWS_DOWN, -1);
	watch_leave(reg, a);
	clock_leave(a);
	reaper_rest(reg);
	DL_DELETE2(reg->by_port[a->record->port], a, port_prev, port_next);
	free(a->record);
	free(a);
	return NULL;
}

bool attachment_is_published(const struct attachment *a)
{
	return strcmp(a->record->type, "published") == 0;
}

bool attachment_is_bundled(const struct attachment *a)
{
	return strcmp(a->record->type, "bundled") == 0;
}

bool attachment_is_page(const struct attachment *a)
{
	return attachment_is_published(a) || attachment_is_bundled(a);
}

/* What it replaces has the same label, and has left. */
static void label_enter(struct registry *reg, struct attachment *a)
{
	const char *label = a->record->label;
	struct attachment *other;

	HASH_FIND(label_hh, reg->by_label, label, strlen(label), other);
	if (other) /* another's hand in the database */
		return;
	HASH_ADD_KEYPTR(label_hh, reg->by_label, label, strlen(label), a);
	a->by_label = true;
	reg->edge_version++;
}

void attachment_begin(struct registry *reg, struct attachment *a, enum clock_cause cause)
{
	clock_reset(reg, a, cause);
	if (attachment_is_page(a)) {
		a->presence = PRESENCE_UP; /* previewd itself serves it */
		return;
	}
	label_enter(reg, a);
	watch_enter(reg, a);
	if (cause != CLOCK_START)
		presence_begin(reg, a);
}

bool same_host(const char *a, const char *b)
{
	return strcasecmp(a, b) == 0 || (host_is_loopback(a) && host_is_loopback(b));
}

const struct attachment *attachment_of_other_user(const struct registry *reg, const char *host,
						  uint16_t port, const struct user *user)
{
	const struct attachment *a;

	/* Of one host and port all are one user's, or this had refused them: the first one tells.
	 */
	DL_FOREACH2(reg->by_port[port], a, port_next)
	{
		const char *where = a->record->address[0] ? a->record->address : a->record->host;

		if (same_host(where, host))
			return a->slot->session->user != user ? a : NULL;
	}
	return NULL;
}

bool port_is_shared(const struct registry *reg, const char *host, uint16_t port,
		    const char *session_id)
{
	const struct attachment *a;

	DL_FOREACH2(reg->by_port[port], a, port_next)
	{
		const char *where = a->record->address[0] ? a->record->address : a->record->host;

		if (same_host(where, host) && strcmp(a->slot->session->session_id, session_id) != 0)
			return true;
	}
	return false;
}

/*
 * At start.
 */
static int on_session(const void *r, void *arg)
{
	const struct record_session *record = r;
	struct registry *reg = arg;
	struct session *s =
		session_insert(reg, record->app_id, record->session_id, record->user_id);

	s->workdir = xstrdup_null(record->workdir);
	s->workdir_uid = record->workdir_uid;
	s->meta = xstrdup_null(record->meta);
	s->created_at = (usec_t)record->created_at;
	s->ended_at = (usec_t)record->ended_at;
	s->durable = true;
	s->will_live = s->ended_at == 0;
	if (s->ended_at)
		DL_APPEND2(s->user->ended, s, ended_prev, ended_next);
	metric_inc(s->ended_at ? METRIC_SESSIONS_ENDED : METRIC_SESSIONS);
	return 0;
}

static int on_attachment(const void *r, void *arg)
{
	const struct record_attachment *record = r;
	struct registry *reg = arg;
	struct session *s = session_find(reg, record->session_id);
	struct slot *slot;

	/* One batch wrote both, so a lone attachment can only be another's hand in the database. */
	if (!s || record->port < 0 || record->port > 65535)
		return 0;

	slot = slot_make(s, record->name);
	slot->will_exist = true;
	slot->current = attachment_new_take(reg, record_copy(RECORD_KIND_ATTACHMENT, record));
	slot->current->slot = slot;
	slot->will_be_pinned = record->pinned != 0;
	slot_set_bundled(slot, attachment_is_bundled(slot->current));
	attachment_begin(reg, slot->current, CLOCK_START);
	metric_inc(METRIC_ATTACHMENTS);
	return 0;
}

static int by_end(const struct session *a, const struct session *b)
{
	return a->ended_at < b->ended_at ? -1 : a->ended_at > b->ended_at;
}

/* The store gives them by name. */
static int by_attached_at(const struct slot *a, const struct slot *b)
{
	int64_t at = a->current->record->attached_at, bt = b->current->record->attached_at;

	return at < bt ? -1 : at > bt;
}

int registry_load(struct registry *reg, struct fault *reterr)
{
	struct user *u, *tmp;
	struct session *s;
	int r;

	r = store_load(reg->deps.store, RECORD_KIND_SESSION, on_session, reg, reterr);
	if (r < 0)
		return r;
	r = store_load(reg->deps.store, RECORD_KIND_ATTACHMENT, on_attachment, reg, reterr);
	if (r < 0)
		return r;

	r = holds_load(reg, reterr);
	if (r < 0)
		return r;

	for (s = reg->sessions; s; s = s->hh.next)
		DL_SORT(s->slots, by_attached_at);
	HASH_ITER(hh, reg->users, u, tmp)
	DL_SORT2(u->ended, by_end, ended_prev, ended_next);
	return 0;
}
