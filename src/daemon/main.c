/* SPDX-License-Identifier: MIT */
/*
 * previewd's command line.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon.h"

LOG_AREA("daemon");

#define EXIT_SETTINGS 2

#define OVERRIDES_MAX 128

enum {
	OPTION_CONFIG = 256,
	OPTION_LISTEN,
	OPTION_SOCKET,
	OPTION_STATE_DIR,
	OPTION_PRINT_CONFIG,
	OPTION_CHECK_CONFIG,
	OPTION_VERSION,
	OPTION_HELP,
};

/* clang-format off */
static const struct option options[] = {
	{ "config",       required_argument, NULL, OPTION_CONFIG },
	{ "listen",       required_argument, NULL, OPTION_LISTEN },
	{ "socket",       required_argument, NULL, OPTION_SOCKET },
	{ "state-dir",    required_argument, NULL, OPTION_STATE_DIR },
	{ "print-config", no_argument,       NULL, OPTION_PRINT_CONFIG },
	{ "check-config", no_argument,       NULL, OPTION_CHECK_CONFIG },
	{ "version",      no_argument,       NULL, OPTION_VERSION },
	{ "help",         no_argument,       NULL, OPTION_HELP },
	{ 0 },
};

static const char help[] =
	"Usage: previewd [OPTION]...\n"
	"Keeps a registry of live web previews and tells who watches of every change.\n"
	"\n"
	"      --config FILE       read the settings from FILE\n"
	"      --listen ADDRESS    serve HTTP on ADDRESS (127.0.0.1:7070); may be repeated\n"
	"      --socket PATH       the unix socket, or \"none\"\n"
	"      --state-dir DIR     where the database and the admin token are\n"
	"  -o SECTION.KEY=VALUE    any setting; see previewd.conf(5)\n"
	"      --print-config      print every setting and where it came from, and exit\n"
	"      --check-config      say whether the settings are right, and exit\n"
	"      --version           print the version, and exit\n"
	"      --help              print this, and exit\n"
	"\n"
	"It stays in the foreground. SIGTERM finishes what is under way and ends it, SIGHUP\n"
	"reads the settings again.\n";
/* clang-format on */

enum action {
	ACTION_RUN,
	ACTION_PRINT_CONFIG,
	ACTION_CHECK_CONFIG,
};

struct command_line {
	enum action action;
	char *config_path;
	char *listen; /* all of --listen, joined */
	char *overrides[OVERRIDES_MAX + 1];
	size_t n_overrides;
};

static void command_line_done(struct command_line *c)
{
	free(c->config_path);
	free(c->listen);
	for (size_t i = 0; i < c->n_overrides; i++)
		free(c->overrides[i]);
}

static int add_override(struct command_line *c, char *text_take)
{
	if (c->n_overrides == OVERRIDES_MAX) {
		fprintf(stderr, "previewd: more than %d settings on the command line\n",
			OVERRIDES_MAX);
		free(text_take);
		return -E2BIG;
	}
	c->overrides[c->n_overrides++] = text_take;
	return 0;
}

/* A path on the command line is meant from where the command is given. */
static char *absolute(const char *path)
{
	char cwd[PATH_MAX];

	if (path[0] == '/' || strcmp(path, "none") == 0 || !getcwd(cwd, sizeof(cwd)))
		return xstrdup(path);
	return xasprintf("%s/%s", cwd, path);
}

static int add_path(struct command_line *c, const char *key, const char *path)
{
	scoped(freep) char *whole = absolute(path);

	return add_override(c, xasprintf("%s=%s", key, whole));
}

static void add_listen(struct command_line *c, const char *address)
{
	char *joined = c->listen ? xasprintf("%s,%s", c->listen, address) : xstrdup(address);

	free(c->listen);
	c->listen = joined;
}

/* 0 to go on, 1 when all is done, or a negative errno. */
static int parse(struct command_line *c, int argc, char **argv)
{
	int r = 0, option;

	while (r == 0 && (option = getopt_long(argc, argv, "o:h", options, NULL)) >= 0) {
		switch (option) {
		case OPTION_CONFIG:
			free(c->config_path);
			c->config_path = absolute(optarg);
			break;
		case OPTION_LISTEN:
			add_listen(c, optarg);
			break;
		case OPTION_SOCKET:
			r = add_path(c, "server.socket", optarg);
			break;
		case OPTION_STATE_DIR:
			r = add_path(c, "server.state_dir", optarg);
			break;
		case OPTION_PRINT_CONFIG:
			c->action = ACTION_PRINT_CONFIG;
			break;
		case OPTION_CHECK_CONFIG:
			c->action = ACTION_CHECK_CONFIG;
			break;
		case 'o':
			r = add_override(c, xstrdup(optarg));
			break;
		case OPTION_VERSION:
			puts("previewd " PACKAGE_VERSION);
			return 1;
		case 'h':
		case OPTION_HELP:
			fputs(help, stdout);
			return 1;
		default:
			return -EINVAL; /* getopt has said what is wrong */
		}
	}
	if (r == 0 && c->listen)
		r = add_override(c, xasprintf("server.listen=%s", c->listen));
	if (r == 0 && optind < argc) {
		fprintf(stderr, "previewd: unexpected argument '%s'\n", argv[optind]);
		return -EINVAL;
	}
	return r;
}

static void warn(const char *sentence, void *arg)
{
	(void)arg;
	log_warning("%s", sentence);
}

static int run(const struct settings_sources *sources, struct settings *settings_consume)
{
	scoped(fault_done) struct fault fault = { 0 };
	scoped(daemon_freep) struct daemon *d = NULL;
	int r;

	daemon_log_setup(settings_consume);
	if (settings_file(settings_consume))
		log_info("settings from %s", settings_file(settings_consume));

	if (daemon_new(sources, settings_consume, &d, &fault) < 0) {
		log_error("cannot start: %s", fault.detail ? fault.detail : "unknown reason");
		/* A service manager needn't try again what a person has to mend. */
		return fault.code == FAULT_BAD_REQUEST ? EXIT_SETTINGS : EXIT_FAILURE;
	}
	r = daemon_run(d);
	if (r < 0) {
		log_error_errno(r, "the event loop failed");
		return EXIT_FAILURE;
	}
	log_info("stopped");
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	scoped(command_line_done) struct command_line c = { .action = ACTION_RUN };
	scoped(fault_done) struct fault fault = { 0 };
	scoped(settings_freep) struct settings *settings = NULL;
	struct settings_sources sources;
	int r;

	mem_init();
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);

	r = parse(&c, argc, argv);
	if (r != 0)
		return r > 0 ? EXIT_SUCCESS : EXIT_SETTINGS;

	sources = (struct settings_sources){
		.config_path = c.config_path,
		.overrides = (const char *const *)c.overrides,
		.environment = (const char *const *)environ,
	};
	r = settings_load(&sources, warn, NULL, &settings, &fault);
	if (r < 0) {
		log_error("%s", fault.detail);
		return 2;
	}

	switch (c.action) {
	case ACTION_PRINT_CONFIG:
		settings_print(settings, stdout);
		return EXIT_SUCCESS;
	case ACTION_CHECK_CONFIG:
		puts("the settings are right");
		return EXIT_SUCCESS;
	case ACTION_RUN:
		return run(&sources, STEAL(settings));
	}
	return EXIT_FAILURE;
}
