/* SPDX-License-Identifier: MIT */
/*
 * Why a preview is kept, or about to go: what the kernel sees of its port now, what the idle clock
 * was set by last, when it will end and what would keep it from ending.
 */
#include <string.h>

#include "base/mem.h"
#include "registry/registry_priv.h"

#define SOCKETS_MAX 100 /* shown; all are counted */

static const char *cause_text(enum clock_cause cause)
{
	static const char *const texts[] = {
		[CLOCK_ATTACH] = "attach", [CLOCK_START] = "start", [CLOCK_TRAFFIC] = "traffic",
		[CLOCK_TOUCH] = "touch",   [CLOCK_UNPIN] = "unpin", [CLOCK_EDGE] = "edge",
	};

	return texts[cause];
}

struct sockets {
	const struct registry *reg;
	cJSON *list;
	size_t n;
};

static void add_socket(const struct tcp_socket *s, void *arg)
{
	struct sockets *sockets = arg;
	const struct registry *reg = sockets->reg;
	char peer[TCP_PEER_TEXT_SIZE];
	const struct viewer *v;
	cJSON *j;

	HASH_FIND(hh, reg->viewers, &s->cookie, sizeof(s->cookie), v);
	if (s->state != TCP_STATE_ESTABLISHED)
		return;
	if (sockets->n++ >= SOCKETS_MAX)
		return;

	j = cJSON_CreateObject();
	cJSON_AddItemToArray(sockets->list, j);
	json_add_string(j, "peer", tcp_peer_text(s->family, s->peer, s->peer_port, peer));
	cJSON_AddBoolToObject(j, "probe", v ? v->own : watch_is_own_port(reg, s->peer_port));
	if (v && !v->was_there_before)
		json_add_u64(j, "age_seconds", (clock_monotonic() - v->first_seen) / USEC_PER_SEC);
	else
		cJSON_AddNullToObject(j, "age_seconds");
	json_add_u64(j, "bytes_received", s->bytes_received);
	json_add_u64(j, "bytes_sent", s->bytes_acked);
	if (s->data_segs_in > 0)
		cJSON_AddNumberToObject(j, "last_data_seconds", s->last_data_recv_ms / 1e3);
	else
		cJSON_AddNullToObject(j, "last_data_seconds");
}

static size_t add_sockets(struct registry *reg, const struct attachment *a, cJSON *j)
{
	struct sockets sockets = { .reg = reg, .list = cJSON_AddArrayToObject(j, "sockets") };
	uint16_t port = (uint16_t)a->record->port;

	/* A dump that fails shows none, as does one of nobody. */
	if (a->watch &&
	    sockdiag_connections(reg->deps.sockdiag, port, port, add_socket, &sockets) < 0)
		sockets.n = 0;
	json_add_u64(j, "sockets_total", sockets.n);
	return sockets.n;
}

static void add_last_use(const struct attachment *a, cJSON *j)
{
	cJSON *use = cJSON_AddObjectToObject(j, "last_reset");
	char peer[TCP_PEER_TEXT_SIZE];

	json_add_string(use, "by", cause_text(a->active_by));
	json_add_time(use, "at", clock_realtime() - (clock_monotonic() - a->active_at));
	if (a->active_by == CLOCK_TRAFFIC && a->active_peer_family)
		json_add_string(use, "peer",
				tcp_peer_text(a->active_peer_family, a->active_peer,
					      a->active_peer_port, peer));
	else
		cJSON_AddNullToObject(use, "peer");
}

static void say(cJSON *list, char *sentence_consume)
{
	cJSON_AddItemToArray(list, cJSON_CreateString(sentence_consume));
	free(sentence_consume);
}

static void say_what_is_seen(const struct registry *reg, const struct attachment *a, size_t n,
			     cJSON *list)
{
	if (attachment_is_page(a)) {
		say(list,
		    xstrdup(attachment_is_bundled(a)
				    ? "It comes with the app: previewd serves its files itself."
				    : "It is a published page: previewd serves its files itself."));
		return;
	}
	if (!a->watch && !reg->deps.sockdiag) {
		say(list, xstrdup("This kernel doesn't tell of connections: only a touch counts as "
				  "use."));
		return;
	}
	if (!a->watch) {
		say(list, xasprintf("Connections to %s don't end on this machine, so the kernel "
				    "doesn't see them: only a touch counts as use.",
				    a->record->host));
		return;
	}
	if (a->presence == PRESENCE_DOWN)
		say(list, xasprintf("Nothing listens on port %u.", (unsigned)a->record->port));
	if (a->presence == PRESENCE_FOREIGN)
		say(list, xasprintf("Port %u was taken by a server that is not the one attached; "
				    "attach again if it is meant.",
				    (unsigned)a->record->port));
	switch (activity_of(reg, a)) {
	case ACTIVITY_ACTIVE:
		say(list, xstrdup("It is in use."));
		break;
	case ACTIVITY_PASSIVE:
		say(list, xasprintf("%zu connection%s open, and only keep-alive bytes came since "
				    "it was used last.",
				    n, n == 1 ? " is" : "s are"));
		break;
	case ACTIVITY_UNSEEN:
		say(list, xstrdup("Nobody is connected."));
		break;
	}
}

static void say_what_comes(const struct registry *reg, const struct attachment *a, cJSON *list)
{
	usec_t due = reaper_due(reg, a);
	char at[CLOCK_TEXT_SIZE];

	if (a->record->pinned) {
		say(list, xstrdup("It is pinned: it stays until it is unpinned or detached."));
	} else if (due == 0) {
		say(list, xstrdup("It stays until it is detached: it is never reaped."));
	} else {
		say(list, xasprintf("It is detached at %s unless it is used before.",
				    clock_format(due, at)));
		say(list, xstrdup(a->watch ? "A page load, any other request, or a touch keeps it "
					     "for longer; a pin keeps it for good."
					   : "A touch keeps it for longer; a pin keeps it for "
					     "good."));
	}
}

int registry_why(struct registry *reg, const struct principal *principal,
		 const struct session_ref *ref, const char *name, cJSON **ret, struct fault *reterr)
{
	struct attachment *a;
	cJSON *j, *sentences;
	size_t n;
	int r = attachment_find(reg, principal, ref, name, &a, reterr);

	if (r < 0)
		return r;
	watch_sample_if_old(reg);

	*ret = j = cJSON_CreateObject();
	json_add_string(j, "session_id", a->slot->session->session_id);
	json_add_string(j, "name", a->record->name);
	json_add_string(j, "type", a->record->type);
	json_add_string(j, "url", a->record->url);
	if (attachment_is_page(a))
		cJSON_AddNullToObject(j, "port");
	else
		json_add_u64(j, "port", (uint64_t)a->record->port);
	json_add_string(j, "status", presence_text(a->presence));
	json_add_string(j, "activity", activity_text(activity_of(reg, a)));
	cJSON_AddBoolToObject(j, "seen_by_kernel", a->watch != NULL);
	cJSON_AddBoolToObject(j, "pinned", a->record->pinned != 0);
	n = add_sockets(reg, a, j);
	add_last_use(a, j);
	json_add_u64(j, "idle_seconds", idle_seconds(a));
	json_add_u64(j, "idle_limit_seconds", reg->settings->reaper_idle / USEC_PER_SEC);
	cJSON_AddBoolToObject(j, "warned", a->warned);
	json_add_time(j, "reaps_at", reaper_due(reg, a));
	sentences = cJSON_AddArrayToObject(j, "explanation");
	say_what_is_seen(reg, a, n, sentences);
	say_what_comes(reg, a, sentences);
	return 0;
}
