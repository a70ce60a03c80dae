/* SPDX-License-Identifier: MIT */
/*
 * Talks to the daemon, by libcurl.  It goes to the daemon and nowhere else: no proxy of the
 * environment, no redirect (a token would go along), nothing but http and https.
 */
#include "ctl/client.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "config/places.h"
#include "config/settings.h"
#include "ctl/client_priv.h"
#include "ctl/ctl.h"

#define CONNECT_SECONDS 10L
#define ANSWER_MAX      (64 * 1024 * 1024)

struct client {
	struct endpoint endpoint;
	char *base;   /* before the path of every request */
	char *host;   /* of the Host field */
	char *prefix; /* of every path: PREVIEWD_URL may stand beneath another server */
	CURL *curl;
};

struct connection {
	CURL *curl;
	curl_socket_t fd;
};

void endpoint_done(struct endpoint *e)
{
	free(e->socket_path);
	free(e->url);
	secret_free(e->token);
	*e = (struct endpoint){ 0 };
}

static int endpoint_of_url(const char *url, const char *token, struct endpoint *ret,
			   struct problem *reterr)
{
	size_t len = strlen(url);

	if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
		return problem_set(reterr, EXIT_USAGE, "usage",
				   "PREVIEWD_URL must begin with http:// or https://, not be '%s'",
				   url);
	while (len > 0 && url[len - 1] == '/')
		len--;
	ret->url = xstrndup(url, len);
	ret->token = xstrdup_null(token);
	return 0;
}

/* Agents start their servers with next to no environment: where a login's runtime directory always
 * is, when nothing says so and a daemon is there. */
static char *socket_of_login(const struct ctl *ctl)
{
	scoped(freep) char *path =
		xasprintf("/run/user/%u/previewd/previewd.sock", (unsigned)geteuid());

	if (ctl_environment(ctl, "XDG_RUNTIME_DIR") || ctl_environment(ctl, "RUNTIME_DIRECTORY") ||
	    access(path, F_OK) < 0)
		return NULL;
	return STEAL(path);
}

/* Who has no daemon of their own is meant by that of the host, where it has one: only root can make
 * its directory. */
static char *socket_of_host(const char *own)
{
	if (own && access(own, F_OK) == 0)
		return NULL;
	return access(SYSTEM_SOCKET, F_OK) == 0 ? xstrdup(SYSTEM_SOCKET) : NULL;
}

static char *socket_by_default(const struct ctl *ctl)
{
	scoped(freep) char *login = socket_of_login(ctl);
	scoped(freep) char *own = login ? STEAL(login) : default_socket_path();
	char *host = socket_of_host(own);

	return host ? host : STEAL(own);
}

int endpoint_find(const struct ctl *ctl, struct endpoint *ret, struct problem *reterr)
{
	const char *path = ctl->common[CTL_SOCKET].text;
	const char *url = ctl_environment(ctl, "PREVIEWD_URL");

	if (!path)
		path = ctl_environment(ctl, "PREVIEWD_SOCKET");
	if (!path && url)
		return endpoint_of_url(url, ctl_environment(ctl, "PREVIEWD_TOKEN"), ret, reterr);

	ret->socket_path = path ? xstrdup(path) : socket_by_default(ctl);
	if (ret->socket_path)
		return 0;
	problem_set(reterr, EXIT_UNREACHABLE, "unreachable",
		    "nothing says where the daemon's socket is");
	problem_hint(reterr, "set PREVIEWD_SOCKET or XDG_RUNTIME_DIR, or give --socket PATH");
	return -1;
}

/* "https://host:port/prefix" in its parts. */
static void split_base(struct client *client)
{
	const char *authority = strstr(client->base, "://") + 3;
	size_t len = strcspn(authority, "/");

	client->host = xstrndup(authority, len);
	client->prefix = xstrdup(authority + len);
}

struct client *client_new(const struct endpoint *endpoint)
{
	struct client *client = xcalloc(1, sizeof(*client));

	client->endpoint.socket_path = xstrdup_null(endpoint->socket_path);
	client->endpoint.url = xstrdup_null(endpoint->url);
	client->endpoint.token = xstrdup_null(endpoint->token);
	client->base = xstrdup(endpoint->socket_path ? "http://localhost" : endpoint->url);
	split_base(client);
	return client;
}

struct client *client_free(struct client *client)
{
	if (!client)
		return NULL;

	curl_easy_cleanup(client->curl);
	endpoint_done(&client->endpoint);
	free(client->base);
	free(client->host);
	free(client->prefix);
	free(client);
	return NULL;
}

const char *client_host(const struct client *client)
{
	return client->host;
}

const char *client_prefix(const struct client *client)
{
	return client->prefix;
}

const char *client_token(const struct client *client)
{
	return client->endpoint.token;
}

char *client_address(const struct client *client, const char *path)
{
	return client->endpoint.socket_path ? NULL : xasprintf("%s%s", client->base, path);
}

/* The settings of every transfer; reset first, so that none is left of the one before. */
static CURL *prepare(const struct client *client, CURL *curl)
{
	if (curl)
		curl_easy_reset(curl);
	else
		curl = curl_easy_init();
	if (!curl)
		abort(); /* libcurl is out of memory */

	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NETRC, CURL_NETRC_IGNORED);
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "previewctl/" PACKAGE_VERSION);
	if (client->endpoint.socket_path)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->endpoint.socket_path);
	return curl;
}

static void hint_to_start(const struct client *client, struct problem *reterr)
{
	struct stat st;

	if (!client->endpoint.socket_path)
		problem_hint(reterr, "check PREVIEWD_URL, and that previewd runs there");
	else if (strncmp(client->endpoint.socket_path, "/run/previewd/", 14) == 0)
		problem_hint(reterr, "start it with `systemctl start previewd`, or run `previewd`");
	else if (stat(client->endpoint.socket_path, &st) == 0 || errno == ENOENT)
		problem_hint(reterr,
			     "start it with `systemctl --user start previewd`, or run `previewd`");
	else
		problem_hint(reterr, "the socket is not to be seen: %s", strerror(errno));
}

static int told_unreachable(const struct client *client, CURL *curl, CURLcode code,
			    struct problem *reterr)
{
	const char *where =
		client->endpoint.socket_path ? client->endpoint.socket_path : client->endpoint.url;
	long error = 0;

	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &error);
	if (code == CURLE_COULDNT_CONNECT && error == EACCES) {
		problem_set(reterr, EXIT_NOT_ALLOWED, "forbidden",
			    "the socket %s may not be used by this user", where);
		problem_hint(reterr, "server.socket_mode says who may");
		return -1;
	}
	problem_set(reterr, EXIT_UNREACHABLE, "unreachable",
		    "previewd cannot be reached at %s (%s)", where,
		    code == CURLE_COULDNT_CONNECT && error != 0 ? strerror((int)error)
								: curl_easy_strerror(code));
	hint_to_start(client, reterr);
	return -1;
}

static int told_failure(const struct client *client, CURL *curl, CURLcode code, usec_t timeout,
			struct problem *reterr)
{
	curl_off_t connected = 0;
	char text[PARSE_TEXT_SIZE];

	curl_easy_getinfo(curl, CURLINFO_PRETRANSFER_TIME_T, &connected);
	if (code == CURLE_OPERATION_TIMEDOUT && connected > 0)
		return problem_set(reterr, EXIT_TIMED_OUT, "timed_out",
				   "previewd did not answer within %s",
				   format_duration(timeout, text));
	if (code == CURLE_WRITE_ERROR)
		return problem_set(reterr, EXIT_FAILED, "bad_answer", "the answer is too large");
	return told_unreachable(client, curl, code, reterr);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct strbuf *b = arg;

	strbuf_add(b, data, size * n);
	return b->error ? 0 : size * n;
}

struct curl_slist *client_field(struct curl_slist *list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(list, line);

	if (!longer)
		abort();
	return longer;
}

struct curl_slist *client_credential(const struct client *client, struct curl_slist *list)
{
	char *line;

	if (!client->endpoint.token)
		return list;
	line = xasprintf("Authorization: Bearer %s", client->endpoint.token);
	list = client_field(list, line);
	secret_free(line);
	return list;
}

CURL *client_transfer(const struct client *client, const char *path)
{
	scoped(freep) char *url = xasprintf("%s%s", client->base, path);
	CURL *curl = prepare(client, NULL);

	curl_easy_setopt(curl, CURLOPT_URL, url);
	return curl;
}

static struct curl_slist *headers_of(const struct client *client, bool body)
{
	struct curl_slist *list = client_field(NULL, "Accept: application/json");

	if (body)
		list = client_field(list, "Content-Type: application/json");
	return client_credential(client, list);
}

static int perform(struct client *client, usec_t timeout, const char *method, const char *path,
		   const char *body, struct strbuf *answer, struct problem *reterr)
{
	scoped(freep) char *url = xasprintf("%s%s", client->base, path);
	struct curl_slist *headers = headers_of(client, body != NULL);
	CURL *curl = client->curl = prepare(client, client->curl);
	long status = 0;
	CURLcode code;

	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(timeout / USEC_PER_MSEC));
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	if (body)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);

	code = curl_easy_perform(curl);
	curl_slist_free_all(headers);
	if (code != CURLE_OK)
		return told_failure(client, curl, code, timeout, reterr);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

int client_call(struct client *client, usec_t timeout, const char *method, const char *path,
		const struct cJSON *body, struct cJSON **ret, struct problem *reterr)
{
	scoped(strbuf_done) struct strbuf answer = strbuf_init(ANSWER_MAX);
	scoped(freep) char *text = body ? json_print(body) : NULL;
	int status = perform(client, timeout, method, path, text, &answer, reterr);

	if (status < 0)
		return -1;
	if (status < 200 || status >= 300)
		return problem_of_answer(reterr, status, strbuf_str(&answer), answer.len);
	if (ret && json_parse(strbuf_str(&answer), answer.len, ret, NULL) < 0)
		return problem_set(reterr, EXIT_FAILED, "bad_answer",
				   "the answer to %s is no JSON; is it previewd that answers?",
				   path);
	return status;
}

struct copy {
	CURL *curl;
	FILE *to;
	struct strbuf refusal; /* the body of an answer that is none */
};

static size_t on_piece(char *data, size_t size, size_t n, void *arg)
{
	struct copy *copy = arg;
	long status = 0;

	curl_easy_getinfo(copy->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200)
		return on_body(data, size, n, &copy->refusal);
	if (fwrite(data, size, n, copy->to) < n || fflush(copy->to) != 0)
		return 0;
	return size * n;
}

int client_copy(struct client *client, const char *path, FILE *to, struct problem *reterr)
{
	scoped(freep) char *url = xasprintf("%s%s", client->base, path);
	struct copy copy = { .to = to, .refusal = strbuf_init(ANSWER_MAX) };
	struct curl_slist *headers = headers_of(client, false);
	CURL *curl = copy.curl = client->curl = prepare(client, client->curl);
	long status = 0;
	CURLcode code;
	int r = 0;

	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_piece);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &copy);
	code = curl_easy_perform(curl);
	curl_slist_free_all(headers);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (code == CURLE_WRITE_ERROR && status == 200)
		r = problem_set(reterr, EXIT_FAILED, "output", "the output could not be written");
	else if (code != CURLE_OK && status == 200)
		r = problem_set(reterr, EXIT_FAILED, "cut_off", "previewd broke off: %s",
				curl_easy_strerror(code));
	else if (code != CURLE_OK)
		r = told_unreachable(client, curl, code, reterr);
	else if (status != 200)
		r = problem_of_answer(reterr, (int)status, strbuf_str(&copy.refusal),
				      copy.refusal.len);
	strbuf_done(&copy.refusal);
	return r;
}

struct connection *client_connect(struct client *client, struct problem *reterr)
{
	scoped(connection_freep) struct connection *c = xcalloc(1, sizeof(*c));
	CURLcode code;

	c->curl = prepare(client, NULL);
	curl_easy_setopt(c->curl, CURLOPT_URL, client->base);
	curl_easy_setopt(c->curl, CURLOPT_CONNECT_ONLY, 1L);
	code = curl_easy_perform(c->curl);
	if (code == CURLE_OK)
		code = curl_easy_getinfo(c->curl, CURLINFO_ACTIVESOCKET, &c->fd);
	if (code != CURLE_OK) {
		told_unreachable(client, c->curl, code, reterr);
		return NULL;
	}
	return STEAL(c);
}

struct connection *connection_free(struct connection *c)
{
	if (!c)
		return NULL;

	curl_easy_cleanup(c->curl);
	free(c);
	return NULL;
}

static ssize_t bytes_or_error(CURLcode code, size_t n)
{
	switch (code) {
	case CURLE_OK:
		return (ssize_t)n;
	case CURLE_AGAIN:
		return -EAGAIN;
	case CURLE_UNSUPPORTED_PROTOCOL:
		return -EPROTO;
	default:
		return -ECONNRESET;
	}
}

ssize_t connection_receive(struct connection *c, void *buffer, size_t size)
{
	size_t n = 0;
	CURLcode code = curl_easy_recv(c->curl, buffer, size, &n);

	return bytes_or_error(code, n);
}

ssize_t connection_send(struct connection *c, const void *data, size_t len)
{
	size_t n = 0;
	CURLcode code = curl_easy_send(c->curl, data, len, &n);

	return bytes_or_error(code, n);
}

int connection_fd(const struct connection *c)
{
	return c->fd;
}
