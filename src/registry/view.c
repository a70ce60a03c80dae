/* SPDX-License-Identifier: MIT */
/*
 * The registry's documents, its reads, and the payloads of its events.
 */
#include <string.h>

#include "auth/logins.h"
#include "base/ids.h"
#include "registry/registry_priv.h"

/* Where its server is, which a page of files doesn't have. */
static void add_address(cJSON *j, const struct attachment *a)
{
	if (attachment_is_page(a)) {
		cJSON_AddNullToObject(j, "host");
		cJSON_AddNullToObject(j, "port");
		return;
	}
	json_add_string(j, "host", a->record->host);
	json_add_u64(j, "port", (uint64_t)a->record->port);
}

static const char *connect_mode(const struct registry *reg, const struct attachment *a)
{
	if (attachment_is_page(a))
		return "same_origin";
	return registry_has_edge(reg) ? "edge" : "direct";
}

static cJSON *owner_view(const struct registry *reg, const struct attachment *a)
{
	const struct owner *owner = &a->owner;
	struct owner foreign = { 0 };
	cJSON *j;

	if (a->presence == PRESENCE_FOREIGN) {
		const struct listener *l = listener_of(reg, a);

		if (!l)
			return cJSON_CreateNull();
		foreign.uid = l->uid;
		owner = &foreign;
	} else if (a->presence != PRESENCE_UP) {
		return cJSON_CreateNull();
	}

	j = cJSON_CreateObject();
	json_add_u64(j, "uid", owner->uid);
	json_add_string(j, "user", logins_name(reg->logins, owner->uid));
	if (owner->pid > 0) {
		json_add_u64(j, "pid", (uint64_t)owner->pid);
		json_add_string(j, "command", owner->command);
	} else {
		cJSON_AddNullToObject(j, "pid");
		cJSON_AddNullToObject(j, "command");
	}
	return j;
}

/* What the probe found, without its warnings, which it leaves in `ret_warnings`: never NULL. */
static cJSON *probe_view(const struct attachment *a, cJSON **ret_warnings)
{
	cJSON *probe = a->record->probe ? cJSON_Parse(a->record->probe) : NULL;
	cJSON *warnings = probe ? cJSON_DetachItemFromObject(probe, "warnings") : NULL;

	*ret_warnings = warnings ? warnings : cJSON_CreateArray();
	return probe ? probe : cJSON_CreateNull();
}

static void add_probe(cJSON *j, const struct attachment *a)
{
	cJSON *warnings;

	cJSON_AddItemToObject(j, "probe", probe_view(a, &warnings));
	cJSON_AddItemToObject(j, "warnings", warnings);
}

cJSON *attachment_view(struct registry *reg, const struct attachment *a)
{
	const struct record_attachment *r = a->record;
	const struct session *s = a->slot->session;
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, "session_id", s->session_id);
	json_add_string(j, "app_id", s->app_id);
	json_add_string(j, "user_id", s->user->user_id);
	json_add_string(j, "name", r->name);
	json_add_string(j, "type", r->type);
	json_add_string(j, "url", r->url);
	json_add_string(j, "scheme", attachment_is_page(a) ? NULL : r->scheme);
	add_address(j, a);
	json_add_string(j, "path", r->path);
	cJSON_AddBoolToObject(j, "focus", r->focus != 0);
	json_add_string(j, "label", r->label);
	json_add_string(j, "bash_task_id", r->bash_task_id);
	json_add_string(j, "connect", connect_mode(reg, a));
	json_add_string(j, "status", presence_text(a->presence));
	json_add_string(j, "activity", activity_text(activity_of(reg, a)));
	cJSON_AddBoolToObject(j, "pinned", a->record->pinned != 0);
	json_add_time(j, "attached_at", (uint64_t)r->attached_at);
	json_add_time(j, "touched_at", a->touched_at);
	json_add_u64(j, "idle_seconds", idle_seconds(a));
	json_add_time(j, "reaps_at", reaper_due(reg, a));
	cJSON_AddBoolToObject(j, "warned", a->warned);
	add_probe(j, a);
	cJSON_AddItemToObject(j, "owner",
			      attachment_is_page(a) ? cJSON_CreateNull() : owner_view(reg, a));
	if (r->release_id)
		json_add_string(j, "release_id", r->release_id);
	return j;
}

static size_t count_current(const struct session *s)
{
	size_t n = 0;

	for (const struct slot *slot = s->slots; slot; slot = slot->next)
		n += slot->current != NULL;
	return n;
}

cJSON *session_view(struct registry *reg, const struct session *s)
{
	cJSON *meta = s->meta ? cJSON_Parse(s->meta) : NULL;
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, "session_id", s->session_id);
	json_add_string(j, "app_id", s->app_id);
	json_add_string(j, "user_id", s->user->user_id);
	json_add_string(j, "workdir", s->workdir);
	cJSON_AddItemToObject(j, "meta", meta ? meta : cJSON_CreateObject());
	json_add_time(j, "created_at", s->created_at);
	json_add_time(j, "ended_at", s->ended_at);
	json_add_u64(j, "previews", count_current(s));
	json_add_u64(j, "latest_seq", bus_latest_seq(reg->deps.bus, s->session_id));
	return j;
}

/*
 * Events.
 */
static void publish(struct registry *reg, const struct attachment *a, const char *type,
		    cJSON *payload)
{
	const struct session *s = a->slot->session;
	struct event_draft draft = {
		.session_id = s->session_id,
		.app_id = s->app_id,
		.user_id = s->user->user_id,
		.type = type,
		.entity_type = "web_preview",
		.entity_id = a->record->name,
	};

	bus_publish_consume(reg->deps.bus, &draft, payload);
}

void publish_attached(struct registry *reg, const struct attachment *a)
{
	const struct record_attachment *r = a->record;
	cJSON *j = cJSON_CreateObject(), *warnings;

	json_add_string(j, "name", r->name);
	json_add_string(j, "type", r->type);
	json_add_string(j, "url", r->url);
	add_address(j, a);
	json_add_string(j, "path", r->path);
	cJSON_AddBoolToObject(j, "focus", r->focus != 0);
	json_add_string(j, "connect", connect_mode(reg, a));
	/* Who shows it has to know at once what will keep it from being seen. */
	json_free(probe_view(a, &warnings));
	cJSON_AddItemToObject(j, "warnings", warnings);
	if (r->release_id)
		json_add_string(j, "release_id", r->release_id);
	publish(reg, a, "web_preview:attached", j);
}

void publish_detached(struct registry *reg, const struct attachment *a, const char *reason,
		      const cJSON *left)
{
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, "name", a->record->name);
	json_add_string(j, "type", a->record->type);
	json_add_string(j, "reason", reason);
	if (left)
		cJSON_AddItemToObject(j, "left", cJSON_Duplicate(left, true));
	publish(reg, a, "web_preview:detached", j);
}

void publish_presence(struct registry *reg, const struct attachment *a)
{
	bool up = a->presence == PRESENCE_UP;
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, "name", a->record->name);
	json_add_u64(j, "port", (uint64_t)a->record->port);
	if (!up)
		json_add_string(j, "reason",
				a->presence == PRESENCE_FOREIGN ? "owner_changed" : "closed");
	publish(reg, a, up ? "web_preview:up" : "web_preview:down", j);
}

void publish_idle_warning(struct registry *reg, const struct attachment *a)
{
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, "name", a->record->name);
	json_add_u64(j, "idle_seconds", idle_seconds(a));
	json_add_time(j, "reaps_at", reaper_due(reg, a));
	publish(reg, a, "web_preview:idle_warning", j);
}

/*
 * Reads.
 */
int registry_session_get(struct registry *reg, const struct principal *principal,
			 const struct session_ref *ref, cJSON **ret, struct fault *reterr)
{
	struct session *s = session_visible(reg, principal, ref, reterr);

	if (!s)
		return -fault_errno(FAULT_SESSION_NOT_FOUND);
	*ret = session_view(reg, s);
	return 0;
}

static void add_previews(struct registry *reg, const struct session *s, cJSON *list)
{
	for (const struct slot *slot = s->slots; slot; slot = slot->next) {
		if (slot->current)
			cJSON_AddItemToArray(list, attachment_view(reg, slot->current));
	}
}

int registry_list(struct registry *reg, const struct principal *principal,
		  const struct session_ref *ref, cJSON **ret, struct fault *reterr)
{
	struct session *s = session_visible(reg, principal, ref, reterr);

	if (!s)
		return -fault_errno(FAULT_SESSION_NOT_FOUND);

	for (struct slot *slot = s->slots; slot; slot = slot->next) {
		if (slot->current)
			owner_look(reg, slot->current);
	}
	*ret = cJSON_CreateObject();
	add_previews(reg, s, cJSON_AddArrayToObject(*ret, "previews"));
	return 0;
}

int attachment_find(const struct registry *reg, const struct principal *principal,
		    const struct session_ref *ref, const char *name, struct attachment **ret,
		    struct fault *reterr)
{
	struct session *s = session_visible(reg, principal, ref, reterr);
	struct slot *slot = s ? slot_find(s, name) : NULL;

	if (!s)
		return -fault_errno(FAULT_SESSION_NOT_FOUND);
	if (!slot || !slot->current)
		return fault_set(reterr, FAULT_PREVIEW_NOT_FOUND,
				 "nothing is attached as '%s' in session '%s'", name,
				 s->session_id);
	*ret = slot->current;
	return 0;
}

int registry_get(struct registry *reg, const struct principal *principal,
		 const struct session_ref *ref, const char *name, cJSON **ret, struct fault *reterr)
{
	struct attachment *a;
	int r = attachment_find(reg, principal, ref, name, &a, reterr);

	if (r < 0)
		return r;
	owner_look(reg, a);
	*ret = attachment_view(reg, a);
	return 0;
}

int registry_touch(struct registry *reg, const struct principal *principal,
		   const struct session_ref *ref, const char *name, cJSON **ret,
		   struct fault *reterr)
{
	struct attachment *a;
	int r = attachment_find(reg, principal, ref, name, &a, reterr);

	if (r < 0)
		return r;
	a->touched_at = clock_realtime();
	clock_reset(reg, a, CLOCK_TOUCH);
	*ret = attachment_view(reg, a);
	return 0;
}

/* Asked for "default" where exactly one other is attached, it is that one. */
static const struct attachment *lookup(const struct session *s, const char *name)
{
	const struct slot *slot = slot_find(s, name);
	const struct attachment *only = NULL;

	if (slot && slot->current)
		return slot->current;
	if (strcmp(name, "default") != 0 || count_current(s) != 1)
		return NULL;
	for (slot = s->slots; slot; slot = slot->next) {
		if (slot->current)
			only = slot->current;
	}
	return only;
}

int registry_lookup(struct registry *reg, const struct principal *principal,
		    const struct session_ref *ref, const char *name, cJSON **ret,
		    struct fault *reterr)
{
	const struct session *s;
	const struct attachment *a;
	cJSON *j;

	if (!id_is_valid(ref->session_id))
		fault_field(reterr, "session_id", "must be 1 to 128 of A-Z a-z 0-9 . _ : @ -");
	if (!name_is_valid(name))
		fault_field(reterr, "name", "must be 1 to 64 of A-Z a-z 0-9 . _ -");
	if (reterr->n_fields > 0)
		return -fault_errno(FAULT_INVALID_FIELD);

	s = session_visible(reg, principal, ref, NULL);
	a = s ? lookup(s, name) : NULL;

	*ret = j = cJSON_CreateObject();
	cJSON_AddBoolToObject(j, "attached", a != NULL);
	json_add_string(j, "url", a ? a->record->url : NULL);
	if (!a)
		return 0;
	json_add_string(j, "type", a->record->type);
	json_add_string(j, "name", a->record->name);
	json_add_string(j, "session_id", s->session_id);
	if (!attachment_is_page(a))
		add_address(j, a);
	return 0;
}

/* The next session in the order of this principal's list. */
static const struct session *next_session(const struct principal *principal,
					  const struct session *s)
{
	return principal->admin ? s->hh.next : s->user_next;
}

static const struct session *first_session(const struct registry *reg,
					   const struct principal *principal)
{
	struct user *u;

	if (principal->admin)
		return reg->sessions;
	HASH_FIND_STR(reg->users, principal->user_id, u);
	return u ? u->sessions : NULL;
}

int registry_list_all(struct registry *reg, const struct principal *principal, unsigned limit,
		      const char *after, cJSON **ret, struct fault *reterr)
{
	const struct session *s = after ? session_find(reg, after) : NULL, *last = NULL;
	cJSON *list;

	if (after && (!s || !principal_sees(principal, s->app_id, s->session_id, s->user->user_id)))
		return fault_field(reterr, "after", "is gone; begin again without it");

	*ret = cJSON_CreateObject();
	list = cJSON_AddArrayToObject(*ret, "previews");
	s = s ? next_session(principal, s) : first_session(reg, principal);
	for (unsigned n = 0; s && n < limit; s = next_session(principal, s)) {
		last = s;
		if (!s->durable || s->ended_at ||
		    !principal_sees(principal, s->app_id, s->session_id, s->user->user_id))
			continue;
		add_previews(reg, s, list);
		n += (unsigned)count_current(s);
	}
	json_add_string(*ret, "next", s && last ? last->session_id : NULL);
	return 0;
}

#define HEALTH_USERS_MAX 1000

cJSON *registry_health(struct registry *reg)
{
	cJSON *j = cJSON_CreateObject(), *by_type, *by_user, *limits;
	const struct user *u;
	uint64_t oldest_idle = 0, oldest_age = 0, n = 0, sessions = 0, users = 0, published = 0;
	uint64_t bundled = 0;
	usec_t now = clock_realtime();

	json_add_string(j, "status", "ok");
	json_add_string(j, "version", PACKAGE_VERSION);

	by_user = cJSON_CreateObject();
	for (u = reg->users; u; u = u->hh.next) {
		uint64_t of_user = 0;

		for (const struct session *s = u->sessions; s; s = s->user_next) {
			sessions += s->durable && !s->ended_at;
			for (const struct slot *slot = s->slots; slot; slot = slot->next) {
				const struct attachment *a = slot->current;
				uint64_t idle = a ? idle_seconds(a) : 0, age;

				if (!a)
					continue;
				of_user++;
				/* the clock may have been set back */
				age = now > (usec_t)a->record->attached_at
					      ? (now - (usec_t)a->record->attached_at) /
							USEC_PER_SEC
					      : 0;
				published += attachment_is_published(a);
				bundled += attachment_is_bundled(a);
				if (!attachment_is_page(a) && idle > oldest_idle)
					oldest_idle = idle;
				oldest_age = age > oldest_age ? age : oldest_age;
			}
		}
		n += of_user;
		if (of_user > 0 && users++ < HEALTH_USERS_MAX)
			json_add_u64(by_user, u->user_id, of_user);
	}

	json_add_u64(j, "count", n);
	by_type = cJSON_AddObjectToObject(j, "by_type");
	json_add_u64(by_type, "proxy", n - published - bundled);
	json_add_u64(by_type, "published", published);
	json_add_u64(by_type, "bundled", bundled);
	json_add_u64(j, "user_count", users);
	cJSON_AddItemToObject(j, "by_user", by_user);
	json_add_u64(j, "session_count", sessions);
	json_add_u64(j, "oldest_age_seconds", oldest_age);
	json_add_u64(j, "oldest_idle_seconds", oldest_idle);
	limits = cJSON_AddObjectToObject(j, "limits");
	json_add_u64(limits, "per_session", reg->settings->limits_per_session);
	json_add_u64(limits, "per_user", reg->settings->limits_per_user);
	return j;
}

int registry_may_follow(struct registry *reg, const struct principal *principal, const char *app_id,
			const char *session_id, struct fault *reterr)
{
	struct session_ref ref = { app_id, session_id };
	struct session *s = session_find(reg, session_id);

	if (s && (s->durable && s->ended_at == 0))
		return session_visible(reg, principal, &ref, reterr)
			       ? 0
			       : -fault_errno(FAULT_SESSION_NOT_FOUND);
	if (s)
		return session_writable(reg, principal, &ref, &s, reterr);
	if (principal_may_create(principal, app_id ? app_id : principal->app_id, session_id))
		return 0;
	return session_visible(reg, principal, &ref, reterr)
		       ? 0
		       : -fault_errno(FAULT_SESSION_NOT_FOUND);
}

cJSON *registry_snapshot(struct registry *reg, const char *session_id)
{
	const struct session *s = session_find(reg, session_id);
	cJSON *j = cJSON_CreateObject(), *attachments;

	json_add_string(j, "session_id", session_id);
	json_add_string(j, "app_id", s ? s->app_id : NULL);
	attachments = cJSON_AddArrayToObject(j, "attachments");
	if (s && s->durable && !s->ended_at)
		add_previews(reg, s, attachments);
	return j;
}

int registry_session_owner(struct registry *reg, const struct principal *principal,
			   const struct session_ref *ref, const char **ret_user_id,
			   struct fault *reterr)
{
	const struct session *s = session_visible(reg, principal, ref, reterr);

	if (!s)
		return -fault_errno(FAULT_SESSION_NOT_FOUND);
	if (!s->will_live) /* a token minted now would outlive the end that is on its way */
		return fault_set(reterr, FAULT_SESSION_NOT_FOUND, "session '%s' is ending",
				 s->session_id);
	*ret_user_id = s->user->user_id;
	return 0;
}

bool registry_session_lookup(const char *session_id, const char **ret_app_id,
			     const char **ret_user_id, void *registry)
{
	const struct session *s = session_find(registry, session_id);

	if (!s || !s->durable || s->ended_at)
		return false;
	*ret_app_id = s->app_id;
	*ret_user_id = s->user->user_id;
	return true;
}
