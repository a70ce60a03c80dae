/* SPDX-License-Identifier: MIT */
/*
 * Opens the Preview panel on a session, or a preview itself, in the browser; or prints the address
 * where there is no screen to open it on.
 *
 * The panel's address carries a one-time code, which the page exchanges for a token: a token would
 * stay in the browser's history.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "ctl/client.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/output.h"

enum { PRINT, DIRECT, VIEW_ONLY };

static const struct ctl_option options[] = {
	[PRINT] = { "print", 'p', CTL_FLAG, .help = "Print the address and open nothing." },
	[DIRECT] = { "direct", 'd', CTL_FLAG,
		     .help = "Open the preview's own address, not the panel: through the edge by a "
			     "one-time link." },
	[VIEW_ONLY] = { "view-only", 0, CTL_FLAG,
			.help = "The panel may look, and neither stop nor publish anything." },
	CTL_OPTIONS_END,
};

static char *look_up_path(const struct ctl *ctl, const char *name, struct problem *reterr)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
	const char *app = ctl_app(ctl, reterr);
	const char *session = app ? ctl_session(ctl, reterr) : NULL;

	if (!session)
		return NULL;
	strbuf_puts(&b, "/api/apps/");
	strbuf_add_percent(&b, app);
	strbuf_puts(&b, "/web-preview?session_id=");
	strbuf_add_percent(&b, session);
	strbuf_puts(&b, "&name=");
	strbuf_add_percent(&b, name);
	return strbuf_steal(&b);
}

/* An address on the daemon's own origin is given without it. */
static char *whole_address(struct ctl *ctl, const char *url)
{
	char *address = url[0] == '/' && ctl->client ? client_address(ctl->client, url) : NULL;

	return address ? address : xstrdup(url);
}

static bool has_screen(const struct ctl *ctl)
{
	return ctl_environment(ctl, "DISPLAY") || ctl_environment(ctl, "WAYLAND_DISPLAY");
}

/*
 * What xdg-open gets is what an agent chose: nothing but an address of the web goes there, for it
 * would also open files and programs.
 */
static bool is_web_address(const char *url)
{
	return strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
}

static int spawn_opener(const struct ctl *ctl, const char *url)
{
	char *argv[] = { (char *)"xdg-open", (char *)url, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t as_usual;
	pid_t pid;
	int r;

	sigemptyset(&as_usual);
	sigaddset(&as_usual, SIGPIPE);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigdefault(&attributes, &as_usual);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 1, "/dev/null", 1 /* O_WRONLY */, 0);
	posix_spawn_file_actions_addopen(&files, 2, "/dev/null", 1, 0);
	r = posix_spawnp(&pid, argv[0], &files, &attributes, argv, (char *const *)ctl->environment);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return -r;
}

static void show(struct ctl *ctl, const char *url)
{
	scoped(freep) char *address = whole_address(ctl, url);
	scoped(freep) char *shown = printable(address);

	if (!ctl_given(ctl, PRINT) && has_screen(ctl) && is_web_address(address)) {
		int r = spawn_opener(ctl, address);

		if (r == 0 && !ctl->common[CTL_VERBOSE].text)
			return;
		if (r < 0)
			ctl_warn(ctl, "xdg-open did not start: %s", strerror(-r));
	}
	fprintf(ctl->out, "%s\n", shown);
}

/* A preview behind an edge that lets nobody through but by a one-time link. */
static int ask_for_link(struct ctl *ctl, cJSON *found, struct problem *reterr)
{
	scoped(freep) char *preview = NULL, *path = NULL;
	scoped(json_freep) cJSON *link = NULL;
	const char *type = json_string(found, "type"), *name = json_string(found, "name");
	const char *url;

	if (!type || !name || strcmp(type, "proxy") != 0)
		return 0;
	preview = ctl_path(ctl, "/previews", name, reterr);
	if (!preview)
		return -1;
	path = xasprintf("%s/link", preview);
	if (ctl_call(ctl, "POST", path, NULL, &link, reterr) < 0)
		return -1;
	url = json_string(link, "url");
	if (url) {
		cJSON_DeleteItemFromObject(found, "url");
		json_add_string(found, "url", url);
	}
	return 0;
}

static int open_direct(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	const char *name = ctl_arg(ctl, "default");
	scoped(freep) char *path = look_up_path(ctl, name, &problem);
	scoped(json_freep) cJSON *answer = NULL;
	const char *url;

	if (!path || ctl_call(ctl, "GET", path, NULL, &answer, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ask_for_link(ctl, answer, &problem) < 0)
		return ctl_fail(ctl, &problem);

	url = json_string(answer, "url");
	if (ctl->common[CTL_JSON].text)
		output_json(ctl, answer);
	if (!url) {
		problem_set(&problem, EXIT_NOT_FOUND, "preview_not_found",
			    "nothing is attached as '%s' in session '%s'", name,
			    ctl_session(ctl, NULL));
		problem_hint(&problem, "`previewctl ls` shows what is attached");
		return ctl_fail(ctl, &problem);
	}
	if (!ctl->common[CTL_JSON].text)
		show(ctl, url);
	return EXIT_OK;
}

static cJSON *code_request(const struct ctl *ctl)
{
	static const char *const all[] = { "view", "preview", "publish" };
	cJSON *body = cJSON_CreateObject();

	cJSON_AddItemToObject(body, "scopes",
			      cJSON_CreateStringArray(all, ctl_given(ctl, VIEW_ONLY) ? 1 : 3));
	if (ctl->n_args > 0)
		json_add_string(body, "name", ctl_arg(ctl, NULL));
	return body;
}

/* The panel is there before anything is: a session that nobody has named yet is made. */
static int ask_for_code(struct ctl *ctl, cJSON **ret, struct problem *reterr)
{
	scoped(freep) char *codes = ctl_path(ctl, "/codes", NULL, reterr);
	scoped(freep) char *session = codes ? ctl_path(ctl, NULL, NULL, reterr) : NULL;
	scoped(json_freep) cJSON *body = code_request(ctl), *nothing = cJSON_CreateObject();
	int r;

	if (!session)
		return -1;
	r = ctl_call(ctl, "POST", codes, body, ret, reterr);
	if (r >= 0 || reterr->http_status != 404)
		return r;

	problem_done(reterr);
	r = ctl_call(ctl, "PUT", session, nothing, NULL, reterr);
	return r < 0 ? r : ctl_call(ctl, "POST", codes, body, ret, reterr);
}

/* By the way previewctl itself found the daemon, where that is an address. */
static char *panel_address(const struct ctl *ctl, const cJSON *answer)
{
	const char *url = json_string(answer, "url");
	scoped(freep) char *path = xasprintf("/ui/#code=%s", json_string(answer, "code"));
	char *address = client_address(ctl->client, path);

	if (address)
		return address;
	return url ? xstrdup(url) : NULL;
}

static int open_preview(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(json_freep) cJSON *answer = NULL;
	scoped(freep) char *address = NULL;

	if (ctl_given(ctl, DIRECT))
		return open_direct(ctl);

	if (ask_for_code(ctl, &answer, &problem) < 0) {
		if (problem.http_status == 403)
			problem_hint(&problem, "`previewctl open --direct` opens the preview "
					       "itself");
		return ctl_fail(ctl, &problem);
	}
	address = panel_address(ctl, answer);
	if (!address) {
		problem_set(&problem, EXIT_FAILED, "no_address",
			    "previewd serves no address that a browser could open");
		problem_hint(&problem, "set server.listen, or server.public_base_url");
		return ctl_fail(ctl, &problem);
	}
	if (ctl->common[CTL_JSON].text) {
		cJSON_DeleteItemFromObject(answer, "url");
		json_add_string(answer, "url", address);
		output_json(ctl, answer);
	} else {
		show(ctl, address);
	}
	return EXIT_OK;
}

const struct ctl_command cmd_open = {
	.name = "open",
	.args = "[NAME]",
	.most_args = 1,
	.arg_type = CTL_PREVIEW,
	.options = options,
	.summary = "Open the Preview panel in the browser.",
	.help = "The panel shows the session's previews as tabs, live; NAME is the one to begin "
		"with. Its address works once and within a minute. Without a screen (neither "
		"DISPLAY nor WAYLAND_DISPLAY is set) it is printed. With --json it is printed and "
		"nothing opened.",
	.exec = open_preview,
};
