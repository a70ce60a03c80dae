/* SPDX-License-Identifier: MIT */
/*
 * The messages wait in one queue, in their order.  Requests go side by side; what must arrive
 * before what follows it (initialize, a notification) is waited for.  All is one thread around
 * curl_multi_poll().
 */
#include "ctl/bridge.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "ctl/client_priv.h"

#define MESSAGE_MAX   (4 * 1024 * 1024) /* the daemon's own limit, server.body_max, is less */
#define ANSWER_MAX    (16 * 1024 * 1024)
#define UNDER_WAY_MAX 64
#define QUEUE_MAX     256
#define PATIENCE      (15 * USEC_PER_SEC) /* for a daemon that is restarted */
#define RETRY_EVERY   (200 * USEC_PER_MSEC)
#define DRAIN         (5 * USEC_PER_SEC) /* for answers, when the input has ended */
#define GOODBYE_MSEC  1000L
#define RENEWALS_MAX  3

/* A message on its way: in the queue, then with a transfer. */
struct errand {
	struct bridge *bridge;
	struct bridged *message;
	bool is_ours;       /* the client doesn't know of it: nothing of it goes out */
	bool is_canceled;   /* the client wants no answer any more */
	unsigned n_renewed; /* how often it met a session that was gone */
	usec_t since;       /* 0: the daemon has been reached, or not been tried */

	CURL *curl;
	struct curl_slist *fields;
	char *with_session; /* the one it went with, or NULL */
	bool is_stream, is_answered;
	struct strbuf body;
	struct event_stream events;
	struct errand *prev, *next;
};

struct bridge {
	struct bridge_settings settings;
	CURLM *multi;
	int signals;
	struct strbuf input;
	bool skipping; /* the rest of a line that was too long */
	bool ended;    /* the input */
	bool stopped;  /* by a signal, or for want of a reader */
	struct errand *queue;
	struct errand *under_way;
	size_t n_queued, n_under_way;
	usec_t retry_at; /* 0: at once */
	usec_t leave_at; /* once the input has ended */

	/* of the era of sessions */
	char *initialize; /* as the client wrote it */
	char *session_id; /* Mcp-Session-Id */
	char *version;    /* what was agreed on */
	bool renewing;
};

static void say(const struct bridge *b, const char *what)
{
	if (b->settings.log)
		fprintf(b->settings.log, "previewctl: %s\n", what);
}

/*
 * Output.
 */
static void put_line(struct bridge *b, const char *text, size_t len)
{
	FILE *out = b->settings.out;

	for (size_t i = 0; i < len; i++) /* between JSON's tokens a line's end is any blank */
		putc_unlocked(text[i] == '\n' || text[i] == '\r' ? ' ' : text[i], out);
	putc_unlocked('\n', out);
	if (fflush(out) != 0 || ferror(out))
		b->stopped = true;
}

static void put_error(struct errand *e, const char *message)
{
	scoped(freep) char *text = NULL;

	say(e->bridge, message);
	if (e->message->kind != BRIDGED_REQUEST || e->is_ours || e->is_canceled)
		return;
	text = bridged_error(e->message->id, message);
	put_line(e->bridge, text, strlen(text));
}

static void on_event(const char *data, size_t len, void *arg)
{
	struct errand *e = arg;

	if (len == 0 || e->is_ours)
		return;
	if (e->message->id && bridged_is_response_to(e->message->id, data, len))
		e->is_answered = true;
	put_line(e->bridge, data, len);
}

/*
 * Errands.
 */
static struct errand *errand_new(struct bridge *b, struct bridged *message_take, bool is_ours)
{
	struct errand *e = xcalloc(1, sizeof(*e));

	e->bridge = b;
	e->message = message_take;
	e->is_ours = is_ours;
	e->body = strbuf_init(ANSWER_MAX);
	event_stream_init(&e->events, ANSWER_MAX);
	return e;
}

static void errand_free(struct errand *e)
{
	if (e->curl) {
		curl_multi_remove_handle(e->bridge->multi, e->curl);
		curl_easy_cleanup(e->curl);
	}
	curl_slist_free_all(e->fields);
	bridged_free(e->message);
	free(e->with_session);
	strbuf_done(&e->body);
	event_stream_done(&e->events);
	free(e);
}

static void enqueue(struct bridge *b, struct errand *e)
{
	DL_APPEND(b->queue, e);
	b->n_queued++;
}

static void enqueue_first(struct bridge *b, struct errand *e)
{
	DL_PREPEND(b->queue, e);
	b->n_queued++;
}

/* What has been under way goes again, before all others. */
static void enqueue_again(struct bridge *b, struct errand *old)
{
	struct errand *e = errand_new(b, STEAL(old->message), old->is_ours);

	e->is_canceled = old->is_canceled;
	e->n_renewed = old->n_renewed;
	e->since = old->since;
	enqueue_first(b, e);
}

static bool is_initialize(const struct errand *e)
{
	return e->message->kind == BRIDGED_REQUEST && strcmp(e->message->method, "initialize") == 0;
}

/* What follows it must not overtake it. */
static bool is_barrier(const struct errand *e)
{
	return is_initialize(e) || e->message->kind == BRIDGED_NOTIFICATION;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct errand *e = arg;
	const char *type = NULL;

	curl_easy_getinfo(e->curl, CURLINFO_CONTENT_TYPE, &type);
	e->is_stream = type && strncmp(type, "text/event-stream", 17) == 0;
	if (e->is_stream)
		event_stream_add(&e->events, data, size * n, on_event, e);
	else
		strbuf_add(&e->body, data, size * n);
	return e->body.error ? 0 : size * n;
}

static void add_field(struct errand *e, const char *name, const char *value)
{
	scoped(freep) char *shown = bridged_field_value(value);
	scoped(freep) char *line = xasprintf("%s: %s", name, shown);

	e->fields = client_field(e->fields, line);
}

static void add_fields(struct errand *e)
{
	const struct bridge *b = e->bridge;
	const struct bridged *m = e->message;

	e->fields = client_field(e->fields, "Content-Type: application/json");
	e->fields = client_field(e->fields, "Accept: application/json, text/event-stream");
	e->fields = client_field(e->fields, "Expect:");
	e->fields = client_credential(b->settings.client, e->fields);
	add_field(e, "X-Previewd-Session", b->settings.session);

	if (m->version) {
		add_field(e, "MCP-Protocol-Version", m->version);
		add_field(e, "Mcp-Method", m->method);
		if (m->name)
			add_field(e, "Mcp-Name", m->name);
		return;
	}
	if (is_initialize(e))
		return;
	if (b->version)
		add_field(e, "MCP-Protocol-Version", b->version);
	if (b->session_id) {
		e->with_session = xstrdup(b->session_id);
		add_field(e, "Mcp-Session-Id", b->session_id);
	}
}

static void errand_start(struct bridge *b, struct errand *e)
{
	const struct bridged *m = e->message;
	const char *claimed = bridged_claimed_session(m);
	const bool is_call = m->kind == BRIDGED_REQUEST && strcmp(m->method, "tools/call") == 0;

	if (is_call)
		b->settings.on_call(claimed ? claimed : b->settings.session, b->settings.arg);

	e->curl = client_transfer(b->settings.client, "/mcp");
	/* What breaks off on a connection that was used before libcurl sends once more.  A call may
	 * have been done already: that is for whoever made it to decide. */
	curl_easy_setopt(e->curl, CURLOPT_FRESH_CONNECT, is_call ? 1L : 0L);
	add_fields(e);
	curl_easy_setopt(e->curl, CURLOPT_HTTPHEADER, e->fields);
	curl_easy_setopt(e->curl, CURLOPT_POST, 1L);
	curl_easy_setopt(e->curl, CURLOPT_POSTFIELDS, m->text);
	curl_easy_setopt(e->curl, CURLOPT_POSTFIELDSIZE, (long)m->len);
	curl_easy_setopt(e->curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e->curl, CURLOPT_WRITEDATA, e);
	curl_easy_setopt(e->curl, CURLOPT_PRIVATE, e);
	curl_multi_add_handle(b->multi, e->curl);
	DL_APPEND(b->under_way, e);
	b->n_under_way++;
}

static bool has_barrier(const struct bridge *b)
{
	for (const struct errand *e = b->under_way; e; e = e->next)
		if (is_barrier(e))
			return true;
	return false;
}

static void start_what_may(struct bridge *b)
{
	if (b->retry_at > clock_monotonic())
		return;
	b->retry_at = 0;
	while (b->queue && b->n_under_way < UNDER_WAY_MAX && !has_barrier(b)) {
		struct errand *e = b->queue;

		DL_DELETE(b->queue, e);
		b->n_queued--;
		errand_start(b, e);
	}
}

/*
 * Answers.
 */
static void replace(char **member, const char *value)
{
	free(*member);
	*member = xstrdup_null(value);
}

static void note_session(struct bridge *b, struct errand *e)
{
	scoped(json_freep) cJSON *answer = NULL;
	struct curl_header *field;
	const cJSON *result;

	if (json_parse(strbuf_str(&e->body), e->body.len, &answer, NULL) < 0)
		return;
	result = cJSON_GetObjectItemCaseSensitive(answer, "result");
	if (!cJSON_IsObject(result))
		return;
	replace(&b->version, json_string(result, "protocolVersion"));
	replace(&b->session_id, curl_easy_header(e->curl, "Mcp-Session-Id", 0, CURLH_HEADER, -1,
						 &field) == CURLHE_OK
					? field->value
					: NULL);
	if (!e->is_ours)
		replace(&b->initialize, e->message->text);
}

/* The daemon knows the client no more: it is introduced again, before all that waits. */
static void renew(struct bridge *b)
{
	static const char initialized[] =
		"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}";

	say(b, "previewd has begun anew: introducing the client again");
	b->renewing = true;
	enqueue_first(b, errand_new(b, bridged_new(initialized, strlen(initialized)), true));
	enqueue_first(b, errand_new(b, bridged_new(b->initialize, strlen(b->initialize)), true));
}

/* True where the errand goes once more. */
static bool met_a_lost_session(struct bridge *b, struct errand *e, long status)
{
	if (status != 404 || !e->with_session || !b->initialize || e->n_renewed >= RENEWALS_MAX)
		return false;
	e->n_renewed++;
	enqueue_again(b, e);
	if (!b->renewing && b->session_id && strcmp(b->session_id, e->with_session) == 0)
		renew(b);
	return true;
}

/* The sentence of a problem document, or of whatever else answered. */
static void put_refusal(struct errand *e, long status)
{
	scoped(problem_done) struct problem problem = { 0 };

	if (problem_of_answer(&problem, (int)status, strbuf_str(&e->body), e->body.len) < 0)
		put_error(e, problem.message);
}

static void put_answer(struct errand *e, long status)
{
	const char *text = strbuf_str(&e->body);
	scoped(freep) char *error = NULL;
	scoped(json_freep) cJSON *j = NULL;

	if (e->is_ours || e->is_canceled)
		return;
	if (e->body.len == 0 || json_parse(text, e->body.len, &j, NULL) < 0 ||
	    !json_string(j, "jsonrpc")) {
		if (status >= 400)
			put_refusal(e, status);
		else
			put_error(e, "previewd gave no answer");
		return;
	}
	if (e->message->id)
		error = bridged_error_with_id(e->message->id, text, e->body.len);
	if (error)
		put_line(e->bridge, error, strlen(error));
	else
		put_line(e->bridge, text, e->body.len);
}

static void take_answer(struct bridge *b, struct errand *e)
{
	long status = 0;

	curl_easy_getinfo(e->curl, CURLINFO_RESPONSE_CODE, &status);
	if (is_initialize(e)) {
		if (status == 200)
			note_session(b, e);
		b->renewing = false;
	}
	if (met_a_lost_session(b, e, status))
		return;
	if (e->is_stream) {
		if (e->message->id && !e->is_answered)
			put_error(e, "previewd ended its answer before the response");
	} else if (e->message->kind == BRIDGED_REQUEST || status >= 400) {
		put_answer(e, status);
	}
}

static bool is_draining(struct errand *e)
{
	scoped(json_freep) cJSON *j = NULL;
	const char *code;
	long status = 0;

	curl_easy_getinfo(e->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 503 || json_parse(strbuf_str(&e->body), e->body.len, &j, NULL) < 0)
		return false;
	code = json_string(j, "code");
	return code && strcmp(code, "draining") == 0;
}

/* Nobody has it yet.  True where it is tried again. */
static bool waits_for_daemon(struct bridge *b, struct errand *e)
{
	const usec_t now = clock_monotonic();

	if (e->since == 0)
		e->since = now;
	if (now - e->since >= PATIENCE || b->ended)
		return false;
	b->retry_at = now + RETRY_EVERY;
	enqueue_again(b, e);
	return true;
}

static void on_done(struct bridge *b, struct errand *e, CURLcode code)
{
	scoped(freep) char *text = NULL;

	DL_DELETE(b->under_way, e);
	b->n_under_way--;
	if (code == CURLE_COULDNT_CONNECT || (code == CURLE_OK && is_draining(e))) {
		if (!waits_for_daemon(b, e)) {
			b->renewing = b->renewing && !is_initialize(e);
			put_error(e, "previewd cannot be reached: is it running? (`previewctl "
				     "health`, `systemctl --user start previewd`)");
		}
	} else if (code == CURLE_OK) {
		take_answer(b, e);
	} else if (!e->is_answered) {
		text = xasprintf("previewd broke off before it answered (%s): try again",
				 curl_easy_strerror(code));
		b->renewing = b->renewing && !is_initialize(e);
		put_error(e, text);
	}
	errand_free(e);
}

static void look_for_done(struct bridge *b)
{
	CURLMsg *m;
	int n;

	while ((m = curl_multi_info_read(b->multi, &n))) {
		CURLcode code = m->data.result;
		void *e = NULL;

		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &e);
		if (m->msg == CURLMSG_DONE)
			on_done(b, e, code);
	}
}

/*
 * Input.
 */
static struct errand *find(struct errand *list, const cJSON *id)
{
	struct errand *e;

	DL_FOREACH(list, e)
	{
		if (!e->is_ours && e->message->id && cJSON_Compare(e->message->id, id, true))
			return e;
	}
	return NULL;
}

/*
 * Over HTTP the stateless era cancels by closing, so that is what becomes of its notification; the
 * other one's is passed on.  True where nothing is left to pass on.
 */
static bool cancel(struct bridge *b, const struct bridged *m)
{
	const cJSON *params = cJSON_GetObjectItemCaseSensitive(m->document, "params");
	const cJSON *id = cJSON_GetObjectItemCaseSensitive(params, "requestId");
	struct errand *e = id ? find(b->queue, id) : NULL;

	if (e) { /* it never went */
		DL_DELETE(b->queue, e);
		b->n_queued--;
		errand_free(e);
		return true;
	}
	e = id ? find(b->under_way, id) : NULL;
	if (!e)
		return false;
	e->is_canceled = true;
	if (!e->message->version)
		return false;
	DL_DELETE(b->under_way, e);
	b->n_under_way--;
	errand_free(e);
	return true;
}

static void take_line(struct bridge *b, const char *line, size_t len)
{
	scoped(bridged_freep) struct bridged *m = NULL;

	while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == ' '))
		len--;
	if (len == 0)
		return;
	m = bridged_new(line, len);
	if (m->kind == BRIDGED_NOTIFICATION && strcmp(m->method, "notifications/cancelled") == 0 &&
	    cancel(b, m))
		return;
	enqueue(b, errand_new(b, STEAL(m), false));
}

static void take_lines(struct bridge *b)
{
	const char *end;

	while (b->input.len > 0 && (end = memchr(b->input.data, '\n', b->input.len))) {
		size_t len = (size_t)(end - b->input.data);

		if (!b->skipping)
			take_line(b, b->input.data, len);
		b->skipping = false;
		strbuf_consume(&b->input, len + 1);
	}
}

static void take_end(struct bridge *b)
{
	if (b->input.len > 0 && !b->skipping)
		take_line(b, b->input.data, b->input.len);
	b->ended = true;
	b->retry_at = 0;
	b->leave_at = clock_monotonic() + DRAIN;
}

static void take_input(struct bridge *b)
{
	char buffer[64 * 1024];
	ssize_t n = read(b->settings.in, buffer, sizeof(buffer));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		take_end(b);
		return;
	}
	strbuf_add(&b->input, buffer, (size_t)n);
	if (b->input.error) { /* nothing of it was kept: what comes is the rest of that line */
		struct bridged *m = bridged_new("", 0);
		struct errand *e = errand_new(b, m, false);

		put_error(e, "a line is too long, it was left out");
		errand_free(e);
		strbuf_reset(&b->input);
		b->skipping = true;
		return;
	}
	take_lines(b);
}

/*
 * The bridge.
 */
static int take_signals(void)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		sigaddset(&set, numbers[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

struct bridge *bridge_new(const struct bridge_settings *settings)
{
	struct bridge *b = xcalloc(1, sizeof(*b));

	b->settings = *settings;
	b->input = strbuf_init(MESSAGE_MAX);
	b->multi = curl_multi_init();
	b->signals = take_signals();
	if (!b->multi)
		abort(); /* libcurl is out of memory */
	return b;
}

/* The daemon need not remember the client. */
static void say_goodbye(struct bridge *b)
{
	struct curl_slist *fields = NULL;
	scoped(freep) char *line = NULL;
	CURL *curl;

	if (!b->session_id)
		return;
	line = xasprintf("Mcp-Session-Id: %s", b->session_id);
	fields = client_field(client_credential(b->settings.client, NULL), line);
	curl = client_transfer(b->settings.client, "/mcp");
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, "DELETE");
	curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, GOODBYE_MSEC);
	curl_easy_perform(curl);
	curl_easy_cleanup(curl);
	curl_slist_free_all(fields);
}

struct bridge *bridge_free(struct bridge *b)
{
	struct errand *e, *tmp;

	if (!b)
		return NULL;
	DL_FOREACH_SAFE(b->under_way, e, tmp)
	errand_free(e);
	DL_FOREACH_SAFE(b->queue, e, tmp)
	errand_free(e);
	curl_multi_cleanup(b->multi);
	closep(&b->signals);
	strbuf_done(&b->input);
	free(b->initialize);
	free(b->session_id);
	free(b->version);
	free(b);
	return NULL;
}

static void wait_for_something(struct bridge *b)
{
	struct curl_waitfd fds[2] = {
		{ .fd = b->signals, .events = CURL_WAIT_POLLIN },
		{ .fd = b->settings.in, .events = CURL_WAIT_POLLIN },
	};
	bool reads = !b->ended && b->n_queued < QUEUE_MAX;
	struct signalfd_siginfo signal;

	curl_multi_poll(b->multi, fds, reads ? 2 : 1,
			b->retry_at || b->ended ? (int)(RETRY_EVERY / USEC_PER_MSEC) : 60 * 1000,
			NULL);
	if (read(b->signals, &signal, sizeof(signal)) > 0)
		b->stopped = true;
	if (reads && fds[1].revents)
		take_input(b);
}

void bridge_run(struct bridge *b)
{
	while (!b->stopped) {
		int n;

		start_what_may(b);
		curl_multi_perform(b->multi, &n);
		look_for_done(b);
		if (b->ended && !b->queue && !b->under_way)
			break;
		if (b->ended && clock_monotonic() >= b->leave_at)
			break;
		if (b->queue && !b->under_way && b->retry_at <= clock_monotonic())
			continue; /* what was done let something begin */
		wait_for_something(b);
	}
	say_goodbye(b);
}
