/* SPDX-License-Identifier: MIT */
/*
 * Opens a preview in the browser, or prints its address where there is no screen to open it on.
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

enum { PRINT };

static const struct ctl_option options[] = {
	[PRINT] = { "print", 'p', CTL_FLAG, .help = "Print the address and open nothing." },
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

static int open_preview(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	const char *name = ctl_arg(ctl, "default");
	scoped(freep) char *path = look_up_path(ctl, name, &problem);
	scoped(json_freep) cJSON *answer = NULL;
	const char *url;

	if (!path || ctl_call(ctl, "GET", path, NULL, &answer, &problem) < 0)
		return ctl_fail(ctl, &problem);

	url = json_string(answer, "url");
	if (ctl->common[CTL_JSON].text)
		output_json(ctl, answer);
	if (!url) {
		problem_set(&problem, EXIT_NOT_FOUND, "preview_not_found",
			    "nothing is attached as '%s' in session '%s'", name,
			    ctl_session(ctl, NULL));
		problem_hint(&problem, "`previewctl ls` shows what is");
		return ctl_fail(ctl, &problem);
	}
	if (!ctl->common[CTL_JSON].text)
		show(ctl, url);
	return EXIT_OK;
}

const struct ctl_command cmd_open = {
	.name = "open",
	.args = "[NAME]",
	.most_args = 1,
	.arg_type = CTL_PREVIEW,
	.options = options,
	.summary = "Open a preview in the browser.",
	.help = "Without a screen (neither DISPLAY nor WAYLAND_DISPLAY is set) the address is "
		"printed. With --json it is printed and nothing opened.",
	.exec = open_preview,
};
