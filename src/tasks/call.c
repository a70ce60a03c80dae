/* SPDX-License-Identifier: MIT */
/*
 * Runtimes that own their tasks are told to end one: by tasks.kill_command, else by tasks.kill_url.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "base/crypto.h"
#include "base/files.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "tasks/tasks_priv.h"

LOG_AREA("tasks");

#define COMMAND_TIMEOUT (30 * USEC_PER_SEC)
#define URL_TIMEOUT     (5 * USEC_PER_SEC)
#define TRIES           4
#define BACK_OFF        (500 * USEC_PER_MSEC) /* doubles */
#define SECRET_MAX      4096
#define OUTPUT_SHOWN    200

struct task_call {
	struct tasks *tasks;
	char *session_id, *task_id, *reason;
	char *body; /* JSON */
	task_call_fn *done;
	void *arg;
	struct timer *timer; /* the next try, or the command's deadline */
	unsigned n_tries;
	struct fetch *fetch;
	struct child *child;
	struct strbuf output; /* of the command: its beginning, for the log */
};

bool task_call_is_set(const struct tasks *tasks)
{
	return tasks->settings->tasks_kill_command[0] || tasks->settings->tasks_kill_url;
}

struct task_call *task_call_free(struct task_call *c)
{
	if (!c)
		return NULL;
	timer_free(c->timer);
	fetch_free(c->fetch);
	child_free(c->child);
	strbuf_done(&c->output);
	free(c->session_id);
	free(c->task_id);
	free(c->reason);
	free(c->body);
	free(c);
	return NULL;
}

static void finish(struct task_call *c, bool ok)
{
	task_call_fn *done = c->done;
	void *arg = c->arg;

	task_call_free(c);
	done(ok, arg);
}

/*
 * By HTTP.
 */
static void call_url(struct task_call *c);

static void on_timer_of_url(void *arg)
{
	call_url(arg);
}

static void again_or_give_up(struct task_call *c, const char *why)
{
	if (c->n_tries == TRIES) {
		log_warning("session '%s': task '%s': tasks.kill_url failed %d times (%s), giving "
			    "up",
			    c->session_id, c->task_id, TRIES, why);
		finish(c, false);
		return;
	}
	log_info("session '%s': task '%s': tasks.kill_url failed (%s), trying again", c->session_id,
		 c->task_id, why);
	timer_free(c->timer);
	c->timer = timer_new(c->tasks->deps.loop, on_timer_of_url, c);
	timer_set(c->timer, BACK_OFF << (c->n_tries - 1));
}

static void on_fetched(const struct fetch_result *result, void *arg)
{
	struct task_call *c = arg;
	scoped(freep) char *why = NULL;

	c->fetch = NULL;
	if (result->outcome == FETCH_ANSWERED && result->status >= 200 && result->status < 300) {
		finish(c, true);
		return;
	}
	why = result->outcome == FETCH_ANSWERED
		      ? xasprintf("status %ld", result->status)
		      : xstrdup(result->error ? result->error : "no answer");
	again_or_give_up(c, why);
}

/* "X-Previewd-Signature: sha256=…", or NULL where nothing signs.  The file is read each time: a
 * secret can be changed without a restart. */
static int signature_of(const struct task_call *c, char **ret)
{
	const char *path = c->tasks->settings->tasks_kill_secret_file;
	scoped(secret_freep) char *secret = NULL;
	char hex[SHA256_HEX_SIZE];
	size_t len;
	int r;

	*ret = NULL;
	if (!path)
		return 0;
	r = read_file_at(AT_FDCWD, path, SECRET_MAX, &secret, &len);
	if (r < 0)
		return r;
	while (len > 0 && (secret[len - 1] == '\n' || secret[len - 1] == '\r'))
		len--;
	if (len == 0)
		return -ENODATA;
	hmac_sha256_hex(secret, len, c->body, strlen(c->body), hex);
	*ret = xasprintf("X-Previewd-Signature: sha256=%s", hex);
	return 0;
}

static void call_url(struct task_call *c)
{
	scoped(freep) char *signature = NULL;
	const char *headers[] = { "Content-Type: application/json", NULL, NULL };
	struct fetch_request request = {
		.method = FETCH_POST,
		.url = c->tasks->settings->tasks_kill_url,
		.headers = headers,
		.body = c->body,
		.body_len = strlen(c->body),
		.connect_timeout = URL_TIMEOUT,
		.timeout = URL_TIMEOUT,
		.read_max = 1024,
		.verify_peer = true,
	};
	int r = signature_of(c, &signature);

	c->n_tries++;
	if (!request.url) {
		c->n_tries = TRIES;
		again_or_give_up(c, "it is not set any more");
		return;
	}
	if (r < 0) {
		/* Unsigned, the other side would refuse it, or worse, get used to it. */
		log_error_errno(r, "tasks.kill_secret_file cannot be read");
		again_or_give_up(c, "there is no secret to sign with");
		return;
	}
	headers[1] = signature;
	c->fetch = fetch_start(c->tasks->deps.fetcher, &request, on_fetched, c);
}

/*
 * By a command.
 */
static void on_output(struct child *child, const char *bytes, size_t len, void *arg)
{
	struct task_call *c = arg;
	size_t room = c->output.max - c->output.len;

	(void)child;
	strbuf_add(&c->output, bytes, len < room ? len : room);
}

static void on_exit_of_command(struct child *child, int code, int signo, void *arg)
{
	struct task_call *c = arg;

	(void)child;
	if (code == 0) {
		finish(c, true);
		return;
	}
	log_warning("session '%s': task '%s': tasks.kill_command ended with %s %d: %s",
		    c->session_id, c->task_id, signo ? "signal" : "status", signo ? signo : code,
		    strbuf_str(&c->output));
	finish(c, false);
}

static void on_deadline(void *arg)
{
	struct task_call *c = arg;
	int r = pidref_signal(child_pidref(c->child), SIGKILL);

	log_warning("session '%s': task '%s': tasks.kill_command took too long, %s", c->session_id,
		    c->task_id, r < 0 ? "and cannot be ended" : "it was ended");
	finish(c, false);
}

/* The argument with what stands in braces put in. */
static char *expand(const struct task_call *c, const char *argument)
{
	const struct {
		const char *name, *value;
	} fields[] = {
		{ "{session_id}", c->session_id },
		{ "{task_id}", c->task_id },
		{ "{reason}", c->reason },
	};
	struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	while (*argument) {
		size_t i;

		for (i = 0; i < ARRAY_SIZE(fields); i++) {
			size_t len = strlen(fields[i].name);

			if (strncmp(argument, fields[i].name, len) != 0)
				continue;
			strbuf_puts(&b, fields[i].value);
			argument += len;
			break;
		}
		if (i == ARRAY_SIZE(fields))
			strbuf_putc(&b, *argument++);
	}
	return strbuf_steal(&b);
}

static int call_command(struct task_call *c, struct fault *reterr)
{
	static const struct child_ops ops = {
		.on_output = on_output,
		.on_exit = on_exit_of_command,
	};
	char *const *template = c->tasks->settings->tasks_kill_command;
	scoped(strv_freep) char **argv = xcalloc(strv_len(template) + 1, sizeof(*argv));
	scoped(freep) char *json = xasprintf("PREVIEWD_KILL=%s", c->body);
	scoped(freep) char *path = NULL, *home = NULL;
	const char *environment[4] = { json };
	struct spawn_request request = { .environ_ = environment };

	for (size_t i = 0; template[i]; i++) {
		argv[i] = expand(c, template[i]);
		/* Tenants choose these ids, and the operator the program: none is to be an option.
		 */
		if (argv[i][0] == '-' && template[i][0] != '-')
			return fault_set(reterr, FAULT_TASK_NOT_ALLOWED,
					 "%s is \"%s\", which would be an option", template[i],
					 argv[i]);
	}
	path = xasprintf("PATH=%s", getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
	home = xasprintf("HOME=%s", getenv("HOME") ? getenv("HOME") : "/");
	environment[1] = path;
	environment[2] = home;
	request.argv = (const char *const *)argv;
	request.cwd = "/";
	return child_spawn(c->tasks->deps.loop, &request, &ops, c, &c->child, reterr);
}

static void on_failed(void *arg)
{
	finish(arg, false);
}

static void begin_command(struct task_call *c)
{
	scoped(fault_done) struct fault fault = { 0 };

	if (call_command(c, &fault) >= 0) {
		c->timer = timer_new(c->tasks->deps.loop, on_deadline, c);
		timer_set(c->timer, COMMAND_TIMEOUT);
		return;
	}
	log_error("tasks.kill_command cannot be run: %s",
		  fault.n_fields > 0 ? fault.fields[0].problem : fault.detail);
	c->timer = timer_new(c->tasks->deps.loop, on_failed, c);
	timer_set(c->timer, 0);
}

static void on_nothing_to_do(void *arg)
{
	finish(arg, true);
}

struct task_call *task_call_start(struct tasks *tasks, const char *session_id, const char *task_id,
				  const char *reason, task_call_fn *done, void *arg)
{
	struct task_call *c = xcalloc(1, sizeof(*c));
	scoped(json_freep) cJSON *body = cJSON_CreateObject();

	json_add_string(body, "session_id", session_id);
	json_add_string(body, "task_id", task_id);
	json_add_string(body, "reason", reason);
	c->tasks = tasks;
	c->session_id = xstrdup(session_id);
	c->task_id = xstrdup(task_id);
	c->reason = xstrdup(reason);
	c->body = json_print(body);
	c->done = done;
	c->arg = arg;
	c->output = strbuf_init(OUTPUT_SHOWN);

	if (tasks->settings->tasks_kill_command[0]) {
		begin_command(c);
	} else if (tasks->settings->tasks_kill_url) {
		call_url(c);
	} else {
		c->timer = timer_new(tasks->deps.loop, on_nothing_to_do, c);
		timer_set(c->timer, 0);
	}
	return c;
}
