/* SPDX-License-Identifier: MIT */
/*
 * The session's events as they happen, one JSON object a line.  A lost connection is taken up again
 * where it broke off: the last number seen and the daemon's epoch say what was missed.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "ctl/client.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/output.h"
#include "ctl/ws.h"

#define HANDSHAKE_SECONDS 10
#define QUIET_SECONDS     45 /* the daemon pings more often than that, unless told otherwise */
#define PAUSE_LEAST       (250 * USEC_PER_MSEC)
#define PAUSE_MOST        (10 * USEC_PER_SEC)

enum { SINCE, EPOCH, TYPES, ALL };

/* clang-format off */
static const struct ctl_option options[] = {
	[SINCE] = { "since", 0, CTL_TEXT, "N", .help =
		"Begin with the events after this preview_seq. Goes with --epoch." },
	[EPOCH] = { "epoch", 0, CTL_ID, "EPOCH", .help =
		"The epoch that the number is of, as a \"joined\" line told it." },
	[TYPES] = { "types", 0, CTL_TEXT, "TYPES", .help =
		"Only these events, separated by commas, such as web_preview:attached,web_preview:detached." },
	[ALL] = { "all", 'a', CTL_FLAG, .help =
		"Events of all sessions that the credential may see, from now on: nothing is made up for." },
	CTL_OPTIONS_END,
};
/* clang-format on */

struct watch {
	struct ctl *ctl;
	bool seen; /* `seq` is one */
	uint64_t seq;
	char *epoch;
	bool joined; /* ever */
	bool lost;   /* since then, and not joined again yet */
	usec_t pause;
};

static ssize_t receive(void *arg, void *buffer, size_t size)
{
	return connection_receive(arg, buffer, size);
}

static ssize_t send_bytes(void *arg, const void *data, size_t len)
{
	return connection_send(arg, data, len);
}

static char *target_of(const struct watch *w, const char *prefix, struct problem *reterr)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
	const struct ctl *ctl = w->ctl;
	const char *session = ctl_session(ctl, reterr), *separator = "?";

	if (!session)
		return NULL;
	strbuf_printf(&b, "%s/ws/events", prefix);
	if (!ctl_given(ctl, ALL)) {
		strbuf_printf(&b, "%ssession_id=", separator);
		strbuf_add_percent(&b, session);
		separator = "&";
	}
	if (ctl_given(ctl, TYPES)) {
		strbuf_printf(&b, "%sevent_types=", separator);
		strbuf_add_percent(&b, ctl->values[TYPES].text);
		separator = "&";
	}
	if (w->seen && w->epoch && !ctl_given(ctl, ALL)) {
		strbuf_printf(&b, "%ssince=%llu&epoch=", separator, (unsigned long long)w->seq);
		strbuf_add_percent(&b, w->epoch);
	}
	return strbuf_steal(&b);
}

static void take_seq(struct watch *w, const cJSON *of, const char *member)
{
	const cJSON *seq = cJSON_GetObjectItemCaseSensitive(of, member);

	if (cJSON_IsNumber(seq) && seq->valuedouble >= 0) {
		w->seq = (uint64_t)seq->valuedouble;
		w->seen = true;
	}
}

/* Remembers where we are, so that the next connection can go on from there. */
static void take_note(struct watch *w, const cJSON *frame)
{
	const char *status = json_string(frame, "status");
	const char *recovered = json_string(frame, "recovered");

	if (status && strcmp(status, "joined") == 0) {
		const char *epoch = json_string(frame, "epoch");

		if (w->lost)
			fputs("previewctl: connected again\n", w->ctl->err);
		w->joined = true;
		w->lost = false;
		w->pause = PAUSE_LEAST;
		if (epoch) {
			free(w->epoch);
			w->epoch = xstrdup(epoch);
		}
		/* A snapshot comes behind with its own number; the one we had is of the past. */
		if (recovered && strcmp(recovered, "nothing_missed") == 0)
			take_seq(w, frame, "latest_seq");
		else if (!recovered || strcmp(recovered, "snapshot") == 0)
			w->seen = false;
		return;
	}
	take_seq(w, cJSON_GetObjectItemCaseSensitive(frame, "payload"), "preview_seq");
}

static int output_failed(struct problem *reterr, int error)
{
	return problem_set(reterr, EXIT_FAILED, "output", "the output could not be written: %s",
			   strerror(error));
}

/* The daemon sends a snapshot whatever was asked for: a client can't do without.  People can. */
static bool is_wanted(const struct watch *w, const cJSON *frame)
{
	const char *type = json_string(frame, "event_type");
	scoped(strv_freep) char **types = NULL;

	if (!ctl_given(w->ctl, TYPES) || !type || strcmp(type, "preview:snapshot") != 0)
		return true;
	types = parse_list(w->ctl->values[TYPES].text, ',');
	return !types[0] || strv_has(types, type);
}

static int print_frame(struct watch *w, const char *text, size_t len, struct problem *reterr)
{
	scoped(json_freep) cJSON *frame = NULL;
	scoped(freep) char *text_of_frame = NULL, *line = NULL;

	if (json_parse(text, len, &frame, NULL) < 0) {
		ctl_warn(w->ctl, "a frame that is no JSON was left out");
		return 0;
	}
	take_note(w, frame);
	if (!is_wanted(w, frame))
		return 0;
	text_of_frame = json_print(frame);
	line = printable_json(text_of_frame);
	if (fprintf(w->ctl->out, "%s\n", line) < 0 || fflush(w->ctl->out) != 0)
		return output_failed(reterr, errno);
	return 0;
}

/* Why the other side closed: 1 to come again, or -1 when that would be in vain. */
static int judge_close(const struct ws *ws, struct problem *reterr)
{
	const char *reason = ws_close_reason(ws);

	switch (ws_close_code(ws)) {
	case 4401:
		return problem_set(reterr, EXIT_NOT_ALLOWED, "unauthenticated",
				   "the daemon closed the stream: %s",
				   *reason ? reason : "the credential is not or no more valid");
	case 4404:
		return problem_set(reterr, EXIT_NOT_FOUND, "session_not_found",
				   "the daemon closed the stream: %s",
				   *reason ? reason : "there is no such session");
	case 1006: /* nobody said anything */
		problem_set(reterr, EXIT_UNREACHABLE, "unreachable", "the connection was lost");
		return 1;
	default:
		problem_set(reterr, EXIT_UNREACHABLE, "unreachable",
			    "the daemon closed the stream%s%s", *reason ? ": " : "", reason);
		return 1;
	}
}

/* Whether coming again may mend it.  Before the first join it's told at once, not tried on. */
static int judge_refusal(const struct watch *w, const struct problem *problem)
{
	bool passing = problem->exit_code == EXIT_UNREACHABLE || problem->http_status == 503 ||
		       problem->http_status == 429;

	return w->joined && passing ? 1 : -1;
}

/* One connection, to its end: 1 to come again, -1 to give up; `reterr` says why in either case. */
static int follow(struct watch *w, struct problem *reterr)
{
	struct client *client = ctl_client(w->ctl, reterr);
	scoped(freep) char *target = client ? target_of(w, client_prefix(client), reterr) : NULL;
	scoped(connection_freep) struct connection *connection =
		target ? client_connect(client, reterr) : NULL;
	scoped(ws_freep) struct ws *ws = NULL;
	const char *text;
	size_t len;
	int r;

	if (!connection)
		return target ? judge_refusal(w, reterr) : -1;

	ws = ws_open(&(struct ws_transport){ receive, send_bytes, connection,
					     connection_fd(connection), fileno(w->ctl->out) },
		     &(struct ws_request){ client_host(client), target, client_token(client) },
		     HANDSHAKE_SECONDS, reterr);
	if (!ws)
		return judge_refusal(w, reterr);

	while ((r = ws_receive(ws, QUIET_SECONDS, &text, &len)) > 0)
		if (print_frame(w, text, len, reterr) < 0)
			return -1;
	if (r == 0)
		return judge_close(ws, reterr);
	if (r == -ECANCELED)
		return output_failed(reterr, EPIPE);
	problem_set(reterr, EXIT_UNREACHABLE, "unreachable", "the connection was lost: %s",
		    strerror(-r));
	return 1;
}

/* Longer each time, and never the same for all who lost the daemon at once. */
static void pause_before_next(struct watch *w, const struct problem *problem)
{
	scoped(freep) char *message = printable(problem->message);
	uint32_t chance;
	usec_t pause;
	struct timespec t;

	w->lost = w->joined;
	random_bytes(&chance, sizeof(chance));
	pause = w->pause / 2 + chance % (w->pause / 2 + 1);
	fprintf(w->ctl->err, "previewctl: %s; trying again in %.1f s\n", message,
		(double)pause / (double)USEC_PER_SEC);
	t = (struct timespec){ .tv_sec = (time_t)(pause / USEC_PER_SEC),
			       .tv_nsec = (long)(pause % USEC_PER_SEC * 1000) };
	nanosleep(&t, NULL);
	w->pause = w->pause * 2 < PAUSE_MOST ? w->pause * 2 : PAUSE_MOST;
}

static int read_start(struct watch *w, struct problem *reterr)
{
	const struct ctl *ctl = w->ctl;

	if (ctl_given(ctl, SINCE) != ctl_given(ctl, EPOCH))
		return problem_set(reterr, EXIT_USAGE, "usage",
				   "--since and --epoch go together: a number is of an epoch");
	if (!ctl_given(ctl, SINCE))
		return 0;
	if (parse_u64(ctl->values[SINCE].text, &w->seq) < 0)
		return problem_set(reterr, EXIT_USAGE, "usage",
				   "--since must be a number, not '%s'", ctl->values[SINCE].text);
	w->seen = true;
	w->epoch = xstrdup(ctl->values[EPOCH].text);
	return 0;
}

static int watch(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	struct watch w = { .ctl = ctl, .pause = PAUSE_LEAST };
	int code;

	if (read_start(&w, &problem) >= 0)
		while (follow(&w, &problem) > 0)
			pause_before_next(&w, &problem);
	code = ctl_fail(ctl, &problem);
	free(w.epoch);
	return code;
}

const struct ctl_command cmd_watch = {
	.name = "watch",
	.options = options,
	.summary = "Print the session's events as they happen, a JSON object a line.",
	.help = "The first line tells that it joined, with the epoch and the latest number; then "
		"comes what was missed, or a snapshot (with --types only where preview:snapshot is "
		"one of them), and then what happens. A lost connection is "
		"taken up again where it broke off, which is told on the standard error.",
	.exec = watch,
};
