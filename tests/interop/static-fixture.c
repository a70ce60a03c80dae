/* SPDX-License-Identifier: MIT */
/*
 * The static server alone, for clients and comparisons that are not ours:
 *
 *	static-fixture PREFIX [--spa] [--private] TREE [EARLIER-TREE...]
 *
 * Serves what is behind the prefix, prints its port, and ends when its standard input does.  A line
 * "TREE" there puts another tree in the first one's place, which is then said on standard output.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/strbuf.h"
#include "fixture.h"
#include "http/server.h"
#include "http/static.h"
#include "loop/loop.h"

#define EARLIER_MAX 8

struct fixture {
	struct loop *loop;
	struct http_server *server;
	struct static_site *site;
	struct static_site *earlier[EARLIER_MAX];
	struct static_options options;
	struct strbuf input;
};

static struct static_site *open_tree(const char *path)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct static_site *site;
	int fd = open_directory(path);

	if (fd < 0 || static_site_open_consume(fd, &site, &fault) < 0) {
		fprintf(stderr, "%s: %s\n", path, fault.detail ? fault.detail : "cannot be opened");
		exit(EXIT_FAILURE);
	}
	return site;
}

static void on_head(struct http_request *req, void *arg)
{
	static const char isolation[] = "X-Isolation: yes\r\n";
	struct fixture *f = arg;
	const char *path = http_request_path(req);
	size_t len = strlen(f->options.prefix);

	http_response_fields(req, isolation, strlen(isolation));
	if (strncmp(path, f->options.prefix, len) != 0) {
		http_reply(req, 404, "text/plain", "not below the prefix\n", 21);
		return;
	}
	static_serve(req, f->site, path + len, &f->options);
}

static void take_line(struct fixture *f, const char *line)
{
	static_site_unref(f->site);
	f->site = open_tree(line);
	printf("serving %s\n", line);
	fflush(stdout);
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
	struct fixture *f = arg;
	char some[512];
	char *newline;
	ssize_t n = read(fd, some, sizeof(some));

	(void)what;
	if (n <= 0) {
		loop_stop(f->loop);
		return;
	}
	strbuf_add(&f->input, some, (size_t)n);
	while (f->input.len > 0 && (newline = strchr(f->input.data, '\n'))) {
		*newline = '\0';
		take_line(f, f->input.data);
		strbuf_consume(&f->input, (size_t)(newline - f->input.data) + 1);
	}
}

static void read_arguments(struct fixture *f, int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: static-fixture PREFIX [--spa] [--private] TREE...\n");
		exit(EXIT_FAILURE);
	}
	f->options.prefix = argv[1];
	f->options.earlier = f->earlier;
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--spa") == 0)
			f->options.spa = true;
		else if (strcmp(argv[i], "--private") == 0)
			f->options.is_private = true;
		else if (!f->site)
			f->site = open_tree(argv[i]);
		else if (f->options.n_earlier < EARLIER_MAX)
			f->earlier[f->options.n_earlier++] = open_tree(argv[i]);
	}
}

int main(int argc, char **argv)
{
	const struct http_settings settings = fixture_settings();
	struct fixture f = { .loop = loop_new(), .input = strbuf_init(65536) };

	if (!f.loop)
		return EXIT_FAILURE;
	read_arguments(&f, argc, argv);
	if (!f.site)
		return EXIT_FAILURE;
	f.server = fixture_serve(f.loop, &settings, on_head, &f);
	if (!f.server)
		return EXIT_FAILURE;
	fixture_run(f.loop, on_input, &f);
	http_server_free(f.server);
	static_site_unref(f.site);
	for (size_t i = 0; i < f.options.n_earlier; i++)
		static_site_unref(f.earlier[i]);
	strbuf_done(&f.input);
	loop_free(f.loop);
	return EXIT_SUCCESS;
}
