/* SPDX-License-Identifier: MIT */
/*
 * Attach: check, probe, check again, store, tell.
 *
 * The limits are checked twice: first so that nobody waits for a probe in vain, and again in the
 * step that hands the attachment to the store, where they hold: nothing else runs in between.
 */
#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <utlist.h>

#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "net/listen.h"
#include "registry/registry_priv.h"
#include "registry/url.h"

LOG_AREA("registry");

#define LABEL_LENGTH 26 /* of 36 letters and digits: 134 bits */

static const char *const schemes[] = { "http", "https", NULL };

const struct json_field attach_fields[] = {
	/* clang-format off */
	{ "port", JSON_UINT, offsetof(struct attach_params, port), .required = true, .min = 1, .max = 65535,
	  .help = "The TCP port the dev server listens on." },
	{ "name", JSON_NAME, offsetof(struct attach_params, name),
	  .help = "Its name in the session; \"default\" where none is given." },
	{ "path", JSON_STRING, offsetof(struct attach_params, path), .max = 512,
	  .help = "Put behind host:port in the URL; begins with a slash." },
	{ "bash_task_id", JSON_STRING, offsetof(struct attach_params, bash_task_id), .nullable = true, .min = 1, .max = 128,
	  .help = "The background task that runs the server: ended with the attachment. Where none is given, that of "
		  "the attachment of this name on the same port, if there is one." },
	{ "host", JSON_STRING, offsetof(struct attach_params, host), .min = 1, .max = 253,
	  .help = "Where it listens; preview.allow_hosts says which are allowed." },
	{ "scheme", JSON_ENUM, offsetof(struct attach_params, scheme), .choices = schemes,
	  .help = "What it speaks." },
	{ "health_check", JSON_BOOL, offsetof(struct attach_params, health_check),
	  .help = "Whether to wait for the server and probe it." },
	{ "wait_seconds", JSON_UINT, offsetof(struct attach_params, wait_seconds), .min = 0, .max = 120,
	  .help = "How long to wait for the port; 0: probe.budget." },
	{ "focus", JSON_BOOL, offsetof(struct attach_params, focus),
	  .help = "Whether the user's panel should come to the front with it." },
	JSON_FIELDS_END,
	/* clang-format on */
};

void attach_params_init(struct attach_params *p)
{
	*p = (struct attach_params){
		.name = xstrdup("default"),
		.path = xstrdup(""),
		.host = xstrdup("127.0.0.1"),
		.health_check = true,
		.focus = true,
	};
}

void attach_params_done(struct attach_params *p)
{
	json_fields_done(attach_fields, p);
}

static void attach_params_copy(struct attach_params *to, const struct attach_params *from)
{
	*to = *from;
	to->name = xstrdup(from->name);
	to->path = xstrdup(from->path);
	to->host = xstrdup(from->host);
	to->bash_task_id = xstrdup_null(from->bash_task_id);
}

/*
 * Refusals.
 */
static int params_check(const struct attach_params *p, struct fault *reterr)
{
	if (!name_is_valid(p->name))
		fault_field(reterr, "name", "must be 1 to 64 of A-Z a-z 0-9 . _ -");
	if (!url_path_is_valid(p->path))
		fault_field(reterr, "path",
			    "must be empty or begin with \"/\", without spaces or control "
			    "characters");
	if (!host_is_valid(p->host))
		fault_field(reterr, "host", "must be a host name or an address");
	if (p->bash_task_id && !utf8_is_valid(p->bash_task_id, strlen(p->bash_task_id)))
		fault_field(reterr, "bash_task_id", "must be text");
	return reterr->n_fields > 0 ? -EINVAL : 0;
}

static int host_check(const struct registry *reg, const char *host, struct fault *reterr)
{
	if (hosts_have(reg->allow_hosts, host))
		return 0;
	return fault_set(reterr, FAULT_TARGET_NOT_ALLOWED,
			 "previews of host '%s' are not allowed here; the operator can add it to "
			 "preview.allow_hosts",
			 host);
}

static int target_check(const struct registry *reg, const char *host, unsigned port,
			struct fault *reterr)
{
	const struct settings_ports *allowed = &reg->settings->preview_allow_ports;

	for (size_t i = 0; i < reg->n_forbidden_ports; i++) {
		if (reg->forbidden_ports[i] == port &&
		    (host_is_loopback(host) || address_is_ours(host)))
			return fault_set(reterr, FAULT_TARGET_NOT_ALLOWED,
					 "port %u is previewd's own", port);
	}
	if (!port_ranges_have(allowed->ranges, allowed->n, (uint16_t)port))
		return fault_set(reterr, FAULT_TARGET_NOT_ALLOWED,
				 "port %u is not among preview.allow_ports; start the server on "
				 "another one",
				 port);
	return 0;
}

/*
 * Who has a name in preview.allow_hosts may have it lead anywhere, also somewhere else than a
 * moment ago: to the daemon itself, to what listens on this machine alone, to a cloud's metadata.
 */
static int may_connect(const char *address, struct fault *reterr, void *arg)
{
	const struct registry_op *op = arg;
	const struct registry *reg = op->reg;

	if (address_is_special(address) && !hosts_have(reg->allow_hosts, address))
		return fault_set(reterr, FAULT_TARGET_NOT_ALLOWED,
				 "the host name '%s' leads to an address that is not among "
				 "preview.allow_hosts itself",
				 op->attach.host);
	return target_check(reg, address, op->attach.port, reterr);
}

/* The answer lists what is attached, so that one can be detached. */
static void add_attached(struct fault *reterr, const struct user *user, const struct session *only,
			 unsigned limit)
{
	cJSON *list = cJSON_CreateArray();
	const struct session *s;

	for (s = only ? only : user->sessions; s; s = only ? NULL : s->user_next) {
		for (const struct slot *slot = s->slots; slot; slot = slot->next) {
			cJSON *one;

			if (!slot->current || slot->bundled)
				continue;
			one = cJSON_CreateObject();
			json_add_string(one, "session_id", s->session_id);
			json_add_string(one, "name", slot->name);
			json_add_string(one, "url", slot->current->record->url);
			cJSON_AddItemToArray(list, one);
		}
	}
	fault_member_consume(reterr, "attached", list);
	fault_member_consume(reterr, "limit", cJSON_CreateNumber(limit));
}

int limits_check(const struct registry *reg, const struct session *s, const struct user *user,
		 const char *name, struct fault *reterr)
{
	unsigned per_session = reg->settings->limits_per_session;
	unsigned per_user = reg->settings->limits_per_user;
	const struct slot *slot = s ? slot_find(s, name) : NULL;

	if (slot && !slot->bundled)
		return 0; /* replacing takes no place */

	if (s && s->n_slots - s->n_bundled >= per_session) {
		metric_inc(METRIC_LIMIT_REFUSALS);
		fault_set(reterr, FAULT_SESSION_LIMIT,
			  "session '%s' has %zu previews, as many as it may; detach one of them "
			  "first, or attach under one of their names to replace it",
			  s->session_id, s->n_slots - s->n_bundled);
		add_attached(reterr, NULL, s, per_session);
		return -EDQUOT;
	}
	if (user && user->n_slots - user->n_bundled >= per_user) {
		metric_inc(METRIC_LIMIT_REFUSALS);
		fault_set(reterr, FAULT_USER_LIMIT,
			  "user '%s' has %zu previews over all sessions, as many as allowed; "
			  "detach one of them first",
			  user->user_id, user->n_slots - user->n_bundled);
		add_attached(reterr, user, NULL, per_user);
		return -EDQUOT;
	}
	return 0;
}

static int port_check(const struct registry *reg, const char *host, unsigned port,
		      const struct user *user, struct fault *reterr)
{
	if (!attachment_of_other_user(reg, host, (uint16_t)port, user))
		return 0;
	return fault_set(reterr, FAULT_PORT_TAKEN,
			 "port %u is attached by another user's session; start the server on "
			 "another port",
			 port);
}

/*
 * Of all that listen there: one uid may have the port at 127.0.0.1 and another at ::1, and which of
 * the two a viewer comes to, nobody says.
 */
static bool only_listens(const struct registry *reg, uint16_t port, uid_t uid)
{
	struct listener rows[64];
	bool listens = false;
	int n = reg->deps.sockdiag
			? sockdiag_listeners(reg->deps.sockdiag, port, rows, ARRAY_SIZE(rows))
			: 0;

	if (n > (int)ARRAY_SIZE(rows))
		return false;
	for (int i = 0; i < n; i++) {
		if (!rows[i].loopback)
			continue;
		if (rows[i].uid != uid)
			return false;
		listens = true;
	}
	return listens;
}

/* preview.listener_owner = same: the server must be the session's user's. */
static int owner_check(struct registry *reg, const struct registry_op *op, const char *user_id,
		       struct fault *reterr)
{
	const struct attach_params *p = &op->attach;
	struct passwd pw, *found = NULL;
	char buf[4096];
	uid_t uid;

	if (reg->settings->preview_listener_owner != LISTENER_OWNER_SAME)
		return 0;

	if (op->principal->has_uid && strcmp(op->principal->user_id, user_id) == 0)
		uid = op->principal->uid;
	else if (getpwnam_r(user_id, &pw, buf, sizeof(buf), &found) == 0 && found)
		uid = found->pw_uid;
	else
		return fault_set(
			reterr, FAULT_TARGET_NOT_ALLOWED,
			"preview.listener_owner is \"same\", and user '%s' has no login on "
			"this machine to compare the server's with",
			user_id);

	if (host_is_loopback(p->host) && only_listens(reg, (uint16_t)p->port, uid))
		return 0;
	return fault_set(reterr, FAULT_TARGET_NOT_ALLOWED,
			 "no process of user '%s' listens on port %u, or another's does as well",
			 user_id, p->port);
}

/*
 * Storing.
 */
void on_attached(struct registry_op *op, int result)
{
	struct registry *reg = op->reg;
	struct slot *slot = op->slot;
	struct session *s = slot->session;
	struct attachment *old = slot->current;

	if (result < 0) {
		op->attachment = attachment_free(reg, op->attachment);
		slot_settle(slot);
		session_settle(reg, s, result, true);
		metric_inc(METRIC_ATTACH_FAILURES);
		op_finish(op, op_store_failed(op, result));
		return;
	}

	slot->current = STEAL(op->attachment);
	slot_to_end(slot);
	slot_settle(slot);
	session_settle(reg, s, result, true);
	metric_inc(METRIC_ATTACHES);

	if (old) {
		const char *task = old->record->bash_task_id;

		publish_detached(reg, old, "replaced", NULL);
		if (task && !task_is_named(s, task, old))
			tasks_ending_free(tasks_end(reg->deps.tasks, s->session_id, task,
						    "replaced", NULL, NULL));
		attachment_free(reg, old);
	} else {
		metric_inc(METRIC_ATTACHMENTS);
	}
	attachment_begin(reg, slot->current, CLOCK_ATTACH);
	publish_attached(reg, slot->current);
	/* The address of a published one may have its token, which is a secret, in it. */
	log_info("session '%s': attached '%s', %s", s->session_id, slot->name,
		 attachment_is_published(slot->current) ? slot->current->record->release_id
							: slot->current->record->url);

	op->result.created = old == NULL;
	op->result.value = attachment_view(reg, slot->current);
	cJSON_AddBoolToObject(op->result.value, "replaced", old != NULL);
	op_finish(op, 0);
}

static struct record_attachment *record_of(const struct registry_op *op)
{
	const struct attach_params *p = &op->attach;
	struct record_attachment record = {
		.session_id = op->session_id,
		.name = p->name,
		.type = "proxy",
		.scheme = schemes[p->scheme],
		.host = p->host,
		.port = p->port,
		.path = p->path,
		.address = op->probed_address ? op->probed_address : "",
		.bash_task_id = p->bash_task_id,
		.label = op->label,
		.url = op->url,
		.focus = p->focus,
		.attached_at = (int64_t)clock_realtime(),
		.probe = op->probe_json,
		.pinned = op->slot->will_be_pinned, /* a name stays pinned over replacements */
	};

	return record_copy(RECORD_KIND_ATTACHMENT, &record);
}

/*
 * Who attaches the server of a task once more, and names no task, does not mean to end it: an agent
 * does this with what `previewctl run` has attached.
 */
static void keep_task(struct registry_op *op)
{
	const struct attachment *old = op->slot->current;
	struct attach_params *p = &op->attach;

	if (p->bash_task_id || !old || attachment_is_published(old) || old->record->port != p->port)
		return;
	if (same_host(old->record->host, p->host))
		p->bash_task_id = xstrdup_null(old->record->bash_task_id);
}

/* The user a new session would be for. */
static const char *owner_of(const struct session *s, const struct registry_op *op)
{
	return s ? s->user->user_id : op->principal->user_id;
}

/* A name may have turned out to be this machine. */
static const char *where_it_is(const struct registry_op *op)
{
	return op->probed_address && host_is_loopback(op->probed_address) ? op->probed_address
									  : op->attach.host;
}

/* What has to hold at the moment of the commit; `ret` is NULL where the session is to be made. */
static int check_again(const struct registry_op *op, struct session **ret, struct fault *reterr)
{
	const struct session_ref ref = { op->app_id, op->session_id };
	struct registry *reg = op->reg;
	struct user *user = NULL;
	struct session *s;
	int r = registry_refuses_changes(reg, reterr);

	if (r < 0)
		return r;
	if (clock_realtime() >= op->principal->expires_at)
		return fault_set(reterr, FAULT_TOKEN_EXPIRED,
				 "the token has expired while the attach waited for its server");
	r = session_writable(reg, op->principal, &ref, &s, reterr);
	if (r < 0)
		return r;
	if (s && s->generation != op->generation)
		return fault_set(reterr, FAULT_CANCELED,
				 "session '%s' ended while the attach waited for its server",
				 s->session_id);

	HASH_FIND_STR(reg->users, owner_of(s, op), user);
	r = limits_check(reg, s, user, op->attach.name, reterr);
	if (r >= 0)
		r = target_check(reg, where_it_is(op), op->attach.port, reterr);
	if (r >= 0)
		r = port_check(reg, where_it_is(op), op->attach.port, user, reterr);
	if (r >= 0)
		r = owner_check(reg, op, owner_of(s, op), reterr);
	if (r >= 0)
		*ret = s;
	return r;
}

/* What will be there once the batch is stored. */
static void put_attachment(struct registry_op *op, struct session *s, struct store_batch *batch)
{
	struct record_attachment *record;

	op->slot = slot_find(s, op->attach.name);
	if (!op->slot)
		op->slot = slot_make(s, op->attach.name);
	slot_set_bundled(op->slot, false);
	op->slot->pending++;
	op->slot->version++;
	op->slot->will_exist = true;

	keep_task(op);
	record = record_of(op);
	store_put(batch, RECORD_KIND_ATTACHMENT, record);
	op->attachment = attachment_new_take(op->reg, record);
	op->attachment->slot = op->slot;
}

/* In one step of the loop: nothing else runs between the check and what will be. */
static int commit(struct registry_op *op, struct fault *reterr)
{
	scoped(store_batch_freep) struct store_batch *batch = store_batch_new();
	const struct session_ref ref = { op->app_id, op->session_id };
	struct registry *reg = op->reg;
	struct session *s;
	int r = check_again(op, &s, reterr);

	if (r >= 0 && !s)
		r = session_make(reg, &ref, op->principal->user_id, batch, &s, &op->forgetting,
				 reterr);
	if (r < 0)
		return r;
	session_begin_change(s, batch);
	put_attachment(op, s, batch);
	bus_prepare(reg->deps.bus, s->session_id);
	op_commit(op, STEAL(batch), on_attached);
	return 0;
}

static void commit_or_finish(struct registry_op *op)
{
	int r = commit(op, &op->fault);

	if (r < 0) {
		metric_inc(METRIC_ATTACH_FAILURES);
		op_finish(op, r);
	}
}

/*
 * Probing.
 */
static void add_warning(cJSON *warnings, const char *code, const char *detail)
{
	cJSON *w = cJSON_CreateObject();

	json_add_string(w, "code", code);
	json_add_string(w, "detail", detail);
	cJSON_AddItemToArray(warnings, w);
}

/*
 * Dev servers take the next port where theirs is taken, and who goes on with the usual one shows
 * the page of another checkout.  Which session that is may be nobody's business here.
 */
static void add_shared(const struct registry_op *op, cJSON *warnings)
{
	scoped(freep) char *detail = NULL;

	if (!port_is_shared(op->reg, op->probed_address, (uint16_t)op->attach.port, op->session_id))
		return;
	detail = xasprintf("another session has port %u attached, too: see that it is this one's "
			   "server which listens there, and not on the next free port",
			   op->attach.port);
	add_warning(warnings, "port_shared", detail);
}

static char *probe_text(const struct registry_op *op, const struct probe_report *report)
{
	scoped(json_freep) cJSON *j = cJSON_CreateObject();
	cJSON *warnings;

	if (report->http_status > 0)
		cJSON_AddNumberToObject(j, "http_status", (double)report->http_status);
	else
		cJSON_AddNullToObject(j, "http_status");
	json_add_string(j, "method", report->method);
	json_add_string(j, "address", report->address);
	json_add_u64(j, "took_ms", report->took / USEC_PER_MSEC);
	json_add_time(j, "checked_at", report->checked_at);

	warnings = cJSON_AddArrayToObject(j, "warnings");
	for (size_t i = 0; i < report->n_warnings; i++)
		add_warning(warnings, report->warnings[i].code, report->warnings[i].detail);
	add_shared(op, warnings);
	return json_print(j);
}

static void on_probed(int result, const struct probe_report *report, struct fault *fault, void *arg)
{
	struct registry_op *op = arg;

	if (result < 0) {
		fault_move(&op->fault, fault);
		op->probe = probe_free(op->probe);
		metric_inc(METRIC_ATTACH_FAILURES);
		op_finish(op, result);
		return;
	}

	op->probed_address = xstrdup(report->address);
	op->probe_json = probe_text(op, report);
	op->probe = probe_free(op->probe);
	commit_or_finish(op);
}

static void probe(struct registry_op *op)
{
	const struct settings *settings = op->reg->settings;
	const struct attach_params *p = &op->attach;
	scoped(freep) char *host = NULL, *authority = NULL;
	struct probe_request request = {
		.scheme = schemes[p->scheme],
		.host = p->host,
		.port = (uint16_t)p->port,
		.path = p->path,
		.may_connect = may_connect,
		.may_connect_arg = op,
		.wait = p->wait_seconds ? p->wait_seconds * USEC_PER_SEC : settings->probe_budget,
		.http_timeout = settings->probe_http_timeout,
	};

	if (url_host(op->url, &host, &authority) == 0 && !host_is_loopback(host)) {
		request.public_host = host;
		request.public_authority = authority;
		request.public_scheme = strncmp(op->url, "https:", 6) == 0 ? "https" : "http";
	}
	op->probe = probe_start(op->reg->prober, &request, on_probed, op);
}

/* A name keeps its label over replacements: who has its URL open stays on its origin. */
char *label_for(const struct session *s, const char *name)
{
	const struct slot *slot = s ? slot_find(s, name) : NULL;
	char label[LABEL_LENGTH + 1];

	if (slot && slot->current)
		return xstrdup(slot->current->record->label);
	random_label(label, LABEL_LENGTH);
	return xstrdup(label);
}

static char *url_for(const struct registry_op *op, const char *user_id)
{
	struct url_fields fields = {
		.scheme = schemes[op->attach.scheme],
		.host = op->attach.host,
		.port = op->attach.port,
		.app_id = op->app_id,
		.session_id = op->session_id,
		.name = op->attach.name,
		.user_id = user_id,
		.label = op->label,
	};

	return url_expand(op->reg->settings->preview_public_url_template, &fields, op->attach.path);
}

static int probes_check(const struct registry *reg, const struct principal *principal,
			struct fault *reterr)
{
	size_t waiting = prober_active(reg->prober), of_user = 0;
	const struct registry_op *op;

	DL_FOREACH(reg->ops, op)
	of_user += op->probe && strcmp(op->principal->user_id, principal->user_id) == 0;
	if (waiting < reg->settings->limits_probes &&
	    of_user < reg->settings->limits_probes_per_user)
		return 0;

	fault_set(reterr, FAULT_TOO_MANY_REQUESTS,
		  "%zu attaches wait for their servers already, %zu of them yours; try again in a "
		  "moment",
		  waiting, of_user);
	reterr->retry_after_seconds = 1;
	return -EDQUOT;
}

static int checks_before_probe(struct registry *reg, struct principal *principal,
			       const struct session_ref *ref, const struct attach_params *params,
			       struct session **ret, struct fault *reterr)
{
	struct user *user = NULL;
	struct session *s;
	int r;

	r = registry_refuses_changes(reg, reterr);
	if (r < 0)
		return r;
	r = session_writable(reg, principal, ref, &s, reterr);
	if (r < 0)
		return r;
	r = params_check(params, reterr);
	if (r < 0)
		return r;
	r = host_check(reg, params->host, reterr);
	if (r < 0)
		return r;
	r = target_check(reg, params->host, params->port, reterr);
	if (r < 0)
		return r;

	HASH_FIND_STR(reg->users, s ? s->user->user_id : principal->user_id, user);
	r = limits_check(reg, s, user, params->name, reterr);
	if (r < 0)
		return r;
	r = port_check(reg, params->host, params->port, user, reterr);
	if (r < 0)
		return r;
	r = params->health_check ? probes_check(reg, principal, reterr) : 0;
	if (r < 0)
		return r;
	*ret = s;
	return 0;
}

struct registry_op *registry_attach(struct registry *reg, struct principal *principal,
				    const struct session_ref *ref,
				    const struct attach_params *params, registry_done_fn *done,
				    void *arg, struct fault *reterr)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session *s = NULL;
	struct registry_op *op;

	if (checks_before_probe(reg, principal, ref, params, &s, &fault) < 0) {
		metric_inc(METRIC_ATTACH_FAILURES);
		if (reterr)
			fault_move(reterr, &fault);
		return NULL;
	}

	op = op_new(reg, principal, ref, done, arg);
	attach_params_copy(&op->attach, params);
	op->generation = s ? s->generation : 0;
	op->label = label_for(s, params->name);
	op->url = url_for(op, owner_of(s, op));

	if (params->health_check) {
		probe(op);
	} else {
		op_take_turn(op, commit_or_finish);
	}
	return op;
}
