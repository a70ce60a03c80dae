/* SPDX-License-Identifier: MIT */
/*
 * From processes to their descriptors, from these to sockets, from sockets to the kernel's list of
 * listeners; and then one request to each.
 */
#include "ctl/portfinder.h"

#include <curl/curl.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/sockdiag.h"
#include "proc/pidref.h"

#define LISTENERS_MAX 4096
#define CONNECT_MSEC  500L
#define ANSWER_MSEC   3000L
#define LOOPBACK      "127.0.0.1"

unsigned port_if_free(unsigned port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(address);
	scoped(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int on = 1;

	/* As servers do: what still lingers of the one before is in nobody's way. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 1) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		return 0;
	return ntohs(address.sin_port);
}

/* The sockets of the processes, by inode. */
struct sockets {
	unsigned *inodes;
	size_t n, capacity;
};

static void sockets_done(struct sockets *s)
{
	free(s->inodes);
}

static void add_socket(struct sockets *s, unsigned inode)
{
	if (s->n == s->capacity) {
		s->capacity = s->capacity ? s->capacity * 2 : 64;
		s->inodes = xrealloc(s->inodes, s->capacity * sizeof(*s->inodes));
	}
	s->inodes[s->n++] = inode;
}

static bool has_socket(const struct sockets *s, unsigned inode)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->inodes[i] == inode)
			return true;
	return false;
}

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static void add_sockets_of(struct sockets *s, pid_t pid)
{
	scoped(freep) char *path = xasprintf("/proc/%d/fd", (int)pid);
	scoped(closedirp) DIR *fds = opendir(path);
	const struct dirent *entry;

	while (fds && (entry = readdir(fds))) {
		char link[64];
		const ssize_t n = readlinkat(dirfd(fds), entry->d_name, link, sizeof(link) - 1);
		unsigned inode;

		if (n <= 0)
			continue;
		link[n] = '\0';
		if (sscanf(link, "socket:[%u]", &inode) == 1)
			add_socket(s, inode);
	}
}

static int sockets_beneath(pid_t above, struct sockets *ret)
{
	scoped(freep) struct process *all = NULL;
	size_t n = 0;
	int r = processes_read(&all, &n);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (process_descends(all, n, all[i].pid, above))
			add_sockets_of(ret, all[i].pid);
	return 0;
}

static size_t drop(char *data, size_t size, size_t n, void *arg)
{
	(void)data;
	(void)arg;
	(void)size;
	(void)n;
	return 0; /* its head is enough: less than all ends the transfer */
}

/* Whether it answers, and with a page.  It is the user's own server: no certificate is asked for.
 */
static bool ask(const struct listener *l, const char *scheme, const char *path, bool *ret_is_page)
{
	const bool is_v6 = strchr(l->address, ':') && !(l->any_address && !l->v6only);
	const char *host = l->any_address ? (is_v6 ? "::1" : LOOPBACK) : l->address;
	scoped(freep) char *url = xasprintf(is_v6 ? "%s://[%s]:%u%s%s" : "%s://%s:%u%s%s", scheme,
					    host, (unsigned)l->port, *path == '/' ? "" : "/", path);
	struct curl_slist *headers = curl_slist_append(NULL, "Accept: text/html,*/*;q=0.8");
	CURL *curl = curl_easy_init();
	const char *type = NULL;
	long status = 0;

	if (!curl)
		abort(); /* libcurl is out of memory */
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MSEC);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ANSWER_MSEC);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "previewctl/" PACKAGE_VERSION);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop);
	(void)curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
	*ret_is_page = type && strncasecmp(type, "text/html", 9) == 0;
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	return status > 0;
}

static bool answers(const struct listener *l, const char *path, struct found_server *ret)
{
	static const char *const schemes[] = { "http", "https" };

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		bool is_page;

		if (!ask(l, schemes[i], path, &is_page))
			continue;
		*ret = (struct found_server){ .port = l->port, .tls = i == 1, .is_page = is_page };
		snprintf(ret->host, sizeof(ret->host), "%s",
			 l->any_address || l->loopback ? LOOPBACK : l->address);
		return true;
	}
	return false;
}

/* The first with a page, else the first that answers. */
static int choose(const struct listener *rows, size_t n, const struct sockets *sockets,
		  const char *path, struct found_server *ret)
{
	bool found = false;

	for (size_t i = 0; i < n; i++) {
		struct found_server one;

		if (!has_socket(sockets, rows[i].inode) || !answers(&rows[i], path, &one))
			continue;
		if (!found || one.is_page)
			*ret = one;
		found = true;
		if (one.is_page)
			break;
	}
	return found;
}

int server_find(pid_t above, uint16_t port, const char *path, struct found_server *ret)
{
	scoped(sockdiag_freep) struct sockdiag *sd = NULL;
	scoped(sockets_done) struct sockets sockets = { 0 };
	scoped(freep) struct listener *rows = NULL;
	int n, r = sockdiag_new(&sd);

	if (r < 0)
		return r;
	r = sockets_beneath(above, &sockets);
	if (r < 0 || sockets.n == 0)
		return r;
	rows = xcalloc(LISTENERS_MAX, sizeof(*rows));
	n = sockdiag_listeners(sd, port, rows, LISTENERS_MAX);
	if (n < 0)
		return n;
	return choose(rows, n < LISTENERS_MAX ? (size_t)n : LISTENERS_MAX, &sockets, path, ret);
}
