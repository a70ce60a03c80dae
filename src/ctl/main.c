/* SPDX-License-Identifier: MIT */
/*
 * previewctl: the command line of previewd.
 */
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "ctl/ctl.h"

extern char **environ;

/* Nothing is half written: each line of output is flushed whole. */
static void on_interrupt(int number)
{
	(void)number;
	_exit(EXIT_INTERRUPTED);
}

static bool wants_color(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term &&
	       strcmp(term, "dumb") != 0;
}

int main(int argc, char **argv)
{
	struct ctl ctl = {
		.environment = (const char *const *)environ,
		.in = stdin,
		.out = stdout,
		.err = stderr,
		.tty = isatty(STDOUT_FILENO),
		.color = wants_color(),
	};

	setlocale(LC_CTYPE, "");
	mem_init();
	signal(SIGINT, on_interrupt);
	signal(SIGPIPE, SIG_IGN); /* a write says it, with EPIPE */
	return ctl_main(&ctl, argc, argv);
}
