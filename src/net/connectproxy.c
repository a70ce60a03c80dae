/* SPDX-License-Identifier: MIT */
/*
 * The CONNECT proxy: one connection is a client, then what it asked for, and bytes between the two.
 * A side that doesn't read stops the other from being read, so that no more than the buffer's limit
 * waits each way.
 *
 * The name is looked up once, in a helper thread, and what it gave is what is connected to: a name
 * that has another address a moment later changes nothing.
 */
#include "net/connectproxy.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "net/connectrules.h"
#include "net/hosts.h"
#include "net/listen.h"

#define HEAD_WAIT     (10 * USEC_PER_SEC)
#define CONNECT_WAIT  (30 * USEC_PER_SEC) /* with the look-up, for all addresses */
#define IDLE_WAIT     (120 * USEC_PER_SEC)
#define ANSWER_WAIT   (5 * USEC_PER_SEC)
#define ADDRESSES_MAX 8

enum state { READING_HEAD, RESOLVING, CONNECTING, ASKING_UPSTREAM, RELAYING, ANSWERING };

/* One of the two ends of a connection. */
struct end {
	struct bufferevent *bev;
	bool has_ended; /* it will send no more */
	bool was_told;  /* that the other sends no more */
};

enum { CLIENT, SERVER };

struct lookup {
	char *host;
	unsigned port;
	bool may_be_private;
	struct sockaddr_storage addresses[ADDRESSES_MAX];
	socklen_t lengths[ADDRESSES_MAX];
	size_t n;
	char refused[INET6_ADDRSTRLEN]; /* an address that isn't public */
};

struct connection {
	LIST_ENTRY(connection) entry;
	struct connectproxy *proxy;
	enum state state;
	struct end ends[2];
	struct connect_request request;
	struct job *job;
	struct lookup *looking; /* the job's */
	struct lookup found;    /* what it gave; without the host */
	size_t next;            /* of its addresses */
	bool goes_upstream;
	bool is_beginning; /* to connect: a failure comes back at once, too */
	struct timer *deadline;
};

struct connectproxy {
	struct loop *loop;
	struct jobs *jobs;
	char *path;
	struct connectrules *rules;
	struct upstream upstream; /* its host is NULL where there is none */
	unsigned connections_max, n_connections;
	size_t buffer_max;
	connectproxy_refused_fn *refused;
	void *arg;
	struct evconnlistener *listener;
	LIST_HEAD(, connection) connections;
};

/* ---- the end ---- */

static void lookup_free(void *arg)
{
	struct lookup *lookup = arg;

	free(lookup->host);
	free(lookup);
}

static void connection_free(struct connection *c)
{
	struct connectproxy *p = c->proxy;

	LIST_REMOVE(c, entry);
	metric_add(METRIC_PROXY_CONNECTIONS, -1);
	if (p->n_connections-- == p->connections_max && p->listener)
		evconnlistener_enable(p->listener);
	job_free(c->job);
	for (int i = 0; i < 2; i++)
		if (c->ends[i].bev)
			bufferevent_free(c->ends[i].bev);
	connect_request_done(&c->request);
	timer_free(c->deadline);
	free(c);
}

static const char *status_text(int status)
{
	switch (status) {
	case 400:
		return "400 Bad Request";
	case 403:
		return "403 Forbidden";
	case 431:
		return "431 Request Header Fields Too Large";
	case 503:
		return "503 Service Unavailable";
	case 504:
		return "504 Gateway Timeout";
	default:
		return "502 Bad Gateway";
	}
}

/* Says no, and goes when that is sent. */
static void answer(struct connection *c, int status, const char *text)
{
	struct bufferevent *client = c->ends[CLIENT].bev;

	c->state = ANSWERING;
	if (c->ends[SERVER].bev)
		bufferevent_free(STEAL(c->ends[SERVER].bev));
	bufferevent_disable(client, EV_READ);
	evbuffer_add_printf(bufferevent_get_output(client),
			    "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
			    "Content-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
			    status_text(status), strlen(text) + 1, text);
	timer_set(c->deadline, ANSWER_WAIT);
}

/* The same, where it is the rules that refuse: whose build it is should know. */
static void refuse(struct connection *c, const char *why)
{
	scoped(freep) char *text =
		xasprintf("refused %s:%u: %s", c->request.host, c->request.port, why);
	struct connectproxy *p = c->proxy;

	metric_inc(METRIC_PROXY_REFUSED);
	answer(c, 403, text);
	if (p->refused)
		p->refused(text, p->arg);
}

/* ---- bytes ---- */

static bool has_output(const struct end *end)
{
	return evbuffer_get_length(bufferevent_get_output(end->bev)) > 0;
}

/* What one end has sent goes to the other; one whose bytes wait is not read on. */
static void relay(struct connection *c, int from)
{
	struct end *source = &c->ends[from], *target = &c->ends[!from];
	struct evbuffer *output = bufferevent_get_output(target->bev);

	evbuffer_add_buffer(output, bufferevent_get_input(source->bev));
	if (evbuffer_get_length(output) >= c->proxy->buffer_max)
		bufferevent_disable(source->bev, EV_READ);
	timer_set(c->deadline, IDLE_WAIT);
}

/* Tells an end that the other has ended, once all is sent; false when that was the last word. */
static bool pass_end(struct connection *c)
{
	for (int i = 0; i < 2; i++) {
		struct end *source = &c->ends[i], *target = &c->ends[!i];

		if (!source->has_ended || target->was_told || has_output(target))
			continue;
		shutdown(bufferevent_getfd(target->bev), SHUT_WR);
		target->was_told = true;
	}
	return !(c->ends[CLIENT].was_told && c->ends[SERVER].was_told);
}

static void begin_relay(struct connection *c)
{
	static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";
	struct end *client = &c->ends[CLIENT], *server = &c->ends[SERVER];

	c->state = RELAYING;
	if (c->request.forward)
		bufferevent_write(server->bev, c->request.forward, strlen(c->request.forward));
	else
		bufferevent_write(client->bev, established, strlen(established));
	relay(c, CLIENT); /* what came behind the head */
	bufferevent_enable(client->bev, EV_READ | EV_WRITE);
	bufferevent_enable(server->bev, EV_READ | EV_WRITE);
}

static void ask_upstream(struct connection *c)
{
	struct end *server = &c->ends[SERVER];

	c->state = ASKING_UPSTREAM;
	evbuffer_add_printf(bufferevent_get_output(server->bev),
			    "CONNECT %s:%u HTTP/1.1\r\nHost: %s:%u\r\n%s\r\n", c->request.host,
			    c->request.port, c->request.host, c->request.port,
			    c->proxy->upstream.authorization);
	bufferevent_enable(server->bev, EV_READ | EV_WRITE);
}

/* "HTTP/1.1 200 Connection established" and fields that concern nobody. */
static void read_upstream(struct connection *c)
{
	struct evbuffer *input = bufferevent_get_input(c->ends[SERVER].bev);
	const struct evbuffer_ptr end = evbuffer_search(input, "\r\n\r\n", 4, NULL);
	char head[12 + 1] = "";

	if (end.pos < 0) {
		if (evbuffer_get_length(input) >= CONNECT_HEAD_MAX)
			answer(c, 502, "the proxy of this machine makes no sense");
		return;
	}
	evbuffer_copyout(input, head, sizeof(head) - 1);
	if (strncmp(head, "HTTP/1.", 7) != 0 || strncmp(head + 8, " 200", 4) != 0) {
		scoped(freep) char *text = xasprintf("the proxy of this machine says %s",
						     *head ? head + 8 : "nothing");

		answer(c, 502, text);
		return;
	}
	evbuffer_drain(input, (size_t)end.pos + 4);
	begin_relay(c);
	relay(c, SERVER); /* what came behind its head */
}

/* ---- names ---- */

/* An address of one of this machine's own interfaces, whatever network it is of. */
static bool is_ours(const struct ifaddrs *all, const struct sockaddr *a)
{
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		const struct sockaddr *b = i->ifa_addr;

		if (!b || b->sa_family != a->sa_family)
			continue;
		if (a->sa_family == AF_INET &&
		    ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
			    ((const struct sockaddr_in *)b)->sin_addr.s_addr)
			return true;
		if (a->sa_family == AF_INET6 &&
		    IN6_ARE_ADDR_EQUAL(&((const struct sockaddr_in6 *)a)->sin6_addr,
				       &((const struct sockaddr_in6 *)b)->sin6_addr))
			return true;
	}
	return false;
}

static void lookup_add(struct lookup *lookup, const struct addrinfo *a, const struct ifaddrs *ours)
{
	if (!lookup->may_be_private &&
	    (!address_is_public(a->ai_addr) || is_ours(ours, a->ai_addr))) {
		(void)!getnameinfo(a->ai_addr, a->ai_addrlen, lookup->refused,
				   sizeof(lookup->refused), NULL, 0, NI_NUMERICHOST);
		return;
	}
	if (lookup->n == ADDRESSES_MAX || a->ai_addrlen > sizeof(lookup->addresses[0]))
		return;
	memcpy(&lookup->addresses[lookup->n], a->ai_addr, a->ai_addrlen);
	lookup->lengths[lookup->n++] = a->ai_addrlen;
}

static int lookup_work(void *arg)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct lookup *lookup = arg;
	struct ifaddrs *ours = NULL;
	struct addrinfo *found;
	char port[8];

	snprintf(port, sizeof(port), "%u", lookup->port);
	if (getaddrinfo(lookup->host, port, &hints, &found) != 0)
		return -ENOENT;
	/* Without the list nothing is known to be another's. */
	if (!lookup->may_be_private && getifaddrs(&ours) < 0) {
		freeaddrinfo(found);
		return -errno;
	}
	for (const struct addrinfo *a = found; a; a = a->ai_next)
		lookup_add(lookup, a, ours);
	freeifaddrs(ours);
	freeaddrinfo(found);
	return 0;
}

/* ---- the server's end ---- */

static void connect_next(struct connection *c);
static void on_read(struct bufferevent *bev, void *arg);
static void on_write(struct bufferevent *bev, void *arg);
static void on_event(struct bufferevent *bev, short what, void *arg);

static struct bufferevent *end_new(struct connection *c, int fd)
{
	struct bufferevent *bev =
		bufferevent_socket_new(loop_base(c->proxy->loop), fd, BEV_OPT_CLOSE_ON_FREE);

	bufferevent_setcb(bev, on_read, on_write, on_event, c);
	bufferevent_setwatermark(bev, EV_READ, 0, c->proxy->buffer_max);
	return bev;
}

static void connect_next(struct connection *c)
{
	struct end *server = &c->ends[SERVER];

	c->state = CONNECTING;
	if (server->bev)
		bufferevent_free(STEAL(server->bev));
	while (c->next < c->found.n) {
		const size_t i = c->next++;
		int r;

		server->bev = end_new(c, -1);
		c->is_beginning = true;
		r = bufferevent_socket_connect(server->bev,
					       (struct sockaddr *)&c->found.addresses[i],
					       (int)c->found.lengths[i]);
		c->is_beginning = false;
		if (r == 0)
			return;
		bufferevent_free(STEAL(server->bev));
	}
	answer(c, 502, "no address of it accepted the connection");
}

static void on_looked_up(int result, void *arg)
{
	struct connection *c = arg;

	c->job = NULL;
	c->found = *STEAL(c->looking);
	c->found.host = NULL;
	if (result < 0) {
		answer(c, 502, "the host name has no address");
	} else if (c->found.n == 0 && *c->found.refused) {
		scoped(freep) char *why =
			xasprintf("its address %s is not public; name the port in "
				  "publish.registries where that is meant",
				  c->found.refused);

		refuse(c, why);
	} else {
		connect_next(c);
	}
}

static void begin_lookup(struct connection *c, bool may_be_private)
{
	const struct upstream *upstream = &c->proxy->upstream;
	struct lookup *lookup = xcalloc(1, sizeof(*lookup));

	c->goes_upstream = upstream->host && !host_is_address(c->request.host) &&
			   !host_is_loopback(c->request.host);
	lookup->host = xstrdup(c->goes_upstream ? upstream->host : c->request.host);
	lookup->port = c->goes_upstream ? upstream->port : c->request.port;
	lookup->may_be_private = may_be_private || c->goes_upstream;
	c->looking = lookup;
	c->state = RESOLVING;
	timer_set(c->deadline, CONNECT_WAIT);
	c->job = job_start(c->proxy->jobs, lookup_work, lookup, lookup_free, on_looked_up, c);
	if (!c->job) {
		c->looking = NULL;
		lookup_free(lookup);
		answer(c, 503, "too much is being looked up");
	}
}

/* ---- the client's end ---- */

static void read_head(struct connection *c)
{
	struct evbuffer *input = bufferevent_get_input(c->ends[CLIENT].bev);
	const struct evbuffer_ptr end = evbuffer_search(input, "\r\n\r\n", 4, NULL);
	bool may_be_private;
	size_t len;
	int status;

	if (end.pos < 0) {
		if (evbuffer_get_length(input) >= CONNECT_HEAD_MAX)
			answer(c, 431, "the request's head is too long");
		return;
	}
	bufferevent_disable(c->ends[CLIENT].bev, EV_READ);
	len = (size_t)end.pos + 4;
	status = connect_request_parse((const char *)evbuffer_pullup(input, (ssize_t)len), len,
				       &c->request);
	evbuffer_drain(input, len);
	if (status > 0)
		answer(c, status, "this is a proxy: it is asked by CONNECT host:port");
	else if (!connectrules_allow(c->proxy->rules, c->request.host, c->request.port,
				     &may_be_private))
		refuse(c, "not in publish.registries");
	else
		begin_lookup(c, may_be_private);
}

static int end_of(const struct connection *c, const struct bufferevent *bev)
{
	return c->ends[CLIENT].bev == bev ? CLIENT : SERVER;
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct connection *c = arg;

	if (c->state == READING_HEAD)
		read_head(c);
	else if (c->state == ASKING_UPSTREAM && end_of(c, bev) == SERVER)
		read_upstream(c);
	else if (c->state == RELAYING)
		relay(c, end_of(c, bev));
}

/* All that waited for this end is sent: the other may be read again. */
static void on_write(struct bufferevent *bev, void *arg)
{
	struct connection *c = arg;
	const int i = end_of(c, bev);

	if (c->state == ANSWERING) {
		connection_free(c);
		return;
	}
	if (c->state != RELAYING)
		return;
	timer_set(c->deadline, IDLE_WAIT);
	if (!pass_end(c)) {
		connection_free(c);
		return;
	}
	if (!c->ends[!i].has_ended)
		bufferevent_enable(c->ends[!i].bev, EV_READ);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct connection *c = arg;
	const int i = end_of(c, bev);

	if (c->is_beginning)
		return;
	if (c->state == CONNECTING && i == SERVER) {
		if ((what & BEV_EVENT_CONNECTED) && c->goes_upstream)
			ask_upstream(c);
		else if (what & BEV_EVENT_CONNECTED)
			begin_relay(c);
		else
			connect_next(c);
		return;
	}
	if (c->state == ASKING_UPSTREAM) {
		answer(c, 502, "the proxy of this machine hung up");
		return;
	}
	if (c->state != RELAYING || !(what & BEV_EVENT_EOF)) {
		connection_free(c);
		return;
	}
	relay(c, i);
	c->ends[i].has_ended = true;
	if (!pass_end(c))
		connection_free(c);
}

static void on_deadline(void *arg)
{
	struct connection *c = arg;

	if (c->state == RESOLVING || c->state == CONNECTING || c->state == ASKING_UPSTREAM) {
		c->job = job_free(c->job);
		answer(c, 504, "it took too long to connect");
		return;
	}
	connection_free(c);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
		      int len, void *arg)
{
	struct connectproxy *p = arg;
	struct connection *c = xcalloc(1, sizeof(*c));

	(void)address;
	(void)len;
	c->proxy = p;
	c->ends[CLIENT].bev = end_new(c, fd);
	c->deadline = timer_new(p->loop, on_deadline, c);
	timer_set(c->deadline, HEAD_WAIT);
	LIST_INSERT_HEAD(&p->connections, c, entry);
	metric_add(METRIC_PROXY_CONNECTIONS, 1);
	if (++p->n_connections == p->connections_max)
		evconnlistener_disable(listener); /* the others wait */
	bufferevent_enable(c->ends[CLIENT].bev, EV_READ | EV_WRITE);
}

/* ---- the proxy ---- */

int connectproxy_new(struct loop *loop, struct jobs *jobs,
		     const struct connectproxy_settings *settings, connectproxy_refused_fn *refused,
		     void *arg, struct connectproxy **ret, struct fault *reterr)
{
	scoped(connectproxy_freep) struct connectproxy *p = xcalloc(1, sizeof(*p));
	int r;

	p->loop = loop;
	p->jobs = jobs;
	p->connections_max = settings->connections_max;
	p->buffer_max = settings->buffer_max;
	p->refused = refused;
	p->arg = arg;
	LIST_INIT(&p->connections);
	r = connectrules_new(settings->allow, &p->rules, reterr);
	if (r < 0)
		return r;
	if (settings->upstream && *settings->upstream) {
		r = upstream_parse(settings->upstream, &p->upstream, reterr);
		if (r < 0)
			return r;
	}
	r = listen_unix(settings->path, 0600, reterr);
	if (r < 0)
		return r;
	p->path = xstrdup(settings->path);
	p->listener = evconnlistener_new(loop_base(loop), on_accept, p,
					 LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, r);
	if (!p->listener) {
		close(r);
		return fault_set(reterr, FAULT_INTERNAL, "could not listen on %s", settings->path);
	}
	*ret = STEAL(p);
	return 0;
}

struct connectproxy *connectproxy_free(struct connectproxy *p)
{
	if (!p)
		return NULL;
	if (p->listener)
		evconnlistener_free(STEAL(p->listener));
	while (!LIST_EMPTY(&p->connections))
		connection_free(LIST_FIRST(&p->connections));
	if (p->path)
		unlink(p->path);
	connectrules_free(p->rules);
	upstream_done(&p->upstream);
	free(p->path);
	free(p);
	return NULL;
}
