/* SPDX-License-Identifier: MIT */
/*
 * The rules of the CONNECT proxy.  Hosts are compared by net/hosts.h; what comes from a client is
 * parsed strictly, for it comes from programs that nobody trusts.
 */
#include "net/connectrules.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "net/hosts.h"

#define HTTPS_PORT 443
#define HTTP_PORT  80

struct rule {
	struct hosts *host; /* of the one */
	unsigned port;
	bool may_be_private;
};

struct connectrules {
	size_t n;
	struct rule rules[];
};

/* "*.example.org:8443": a port may stand behind a wildcard as well, which host_split() can't know.
 */
static int split(const char *entry, char **ret_host, unsigned *ret_port)
{
	const bool is_wildcard = strncmp(entry, "*.", 2) == 0;
	scoped(freep) char *host = NULL;
	int r;

	/* An IPv6 address may go without brackets where there is no port. */
	if (host_is_address(entry)) {
		*ret_host = xstrdup(entry);
		*ret_port = 0;
		return 0;
	}
	r = host_split(is_wildcard ? entry + 2 : entry, &host, ret_port);
	if (r < 0)
		return r;
	*ret_host = is_wildcard ? xasprintf("*.%s", host) : STEAL(host);
	return 0;
}

bool connectrules_entry_is_valid(const char *entry)
{
	scoped(freep) char *host = NULL;
	unsigned port;

	return split(entry, &host, &port) >= 0 && hosts_entry_is_valid(host);
}

static int rule_parse(const char *entry, struct rule *rule, struct fault *reterr)
{
	scoped(freep) char *host = NULL;
	unsigned port;

	if (split(entry, &host, &port) < 0)
		return fault_set(reterr, FAULT_BAD_REQUEST,
				 "publish.registries: '%s' is no host, host:port or *.host", entry);
	rule->port = port ? port : HTTPS_PORT;
	rule->may_be_private = port != 0 || host_is_address(host);
	return hosts_new((char *[]){ host, NULL }, "publish.registries", &rule->host, reterr);
}

int connectrules_new(const char *const *entries, struct connectrules **ret, struct fault *reterr)
{
	const size_t n = strv_len((char *const *)entries);
	scoped(connectrules_freep) struct connectrules *rules =
		xcalloc(1, sizeof(*rules) + n * sizeof(rules->rules[0]));

	for (size_t i = 0; i < n; i++) {
		int r = rule_parse(entries[i], &rules->rules[i], reterr);

		if (r < 0)
			return r;
		rules->n++;
	}
	*ret = STEAL(rules);
	return 0;
}

struct connectrules *connectrules_free(struct connectrules *rules)
{
	if (!rules)
		return NULL;
	for (size_t i = 0; i < rules->n; i++)
		hosts_free(rules->rules[i].host);
	free(rules);
	return NULL;
}

bool connectrules_allow(const struct connectrules *rules, const char *host, unsigned port,
			bool *ret_may_be_private)
{
	bool is_allowed = false;

	*ret_may_be_private = false;
	for (size_t i = 0; i < rules->n; i++) {
		const struct rule *rule = &rules->rules[i];

		if (rule->port != port || !hosts_have(rule->host, host))
			continue;
		is_allowed = true;
		if (rule->may_be_private)
			*ret_may_be_private = true;
	}
	return is_allowed;
}

/* ---- addresses ---- */

static bool v4_is_public(uint32_t address)
{
	static const struct {
		uint32_t network;
		unsigned bits;
	} others[] = {
		{ 0x00000000, 8 },  /* this host */
		{ 0x0a000000, 8 },  /* private */
		{ 0x64400000, 10 }, /* shared, RFC 6598 */
		{ 0x7f000000, 8 },  /* loopback */
		{ 0xa9fe0000, 16 }, /* link-local, where clouds have their metadata */
		{ 0xac100000, 12 }, /* private */
		{ 0xc0000000, 24 }, /* protocols' own */
		{ 0xc0a80000, 16 }, /* private */
		{ 0xe0000000, 4 },  /* multicast */
		{ 0xf0000000, 4 },  /* reserved, broadcast */
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if ((address ^ others[i].network) >> (32 - others[i].bits) == 0)
			return false;
	return true;
}

static uint32_t v4_within(const struct in6_addr *a, size_t at)
{
	return (uint32_t)a->s6_addr[at] << 24 | (uint32_t)a->s6_addr[at + 1] << 16 |
	       (uint32_t)a->s6_addr[at + 2] << 8 | a->s6_addr[at + 3];
}

static bool v6_is_public(const struct in6_addr *a)
{
	static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
	static const uint8_t zeros[12];

	if (IN6_IS_ADDR_V4MAPPED(a) || memcmp(a->s6_addr, nat64, sizeof(nat64)) == 0 ||
	    memcmp(a->s6_addr, zeros, sizeof(zeros)) == 0)
		return v4_is_public(v4_within(a, 12)); /* "::" and "::1" are 0.0.0.0/8 here */
	if (a->s6_addr[0] == 0x20 && a->s6_addr[1] == 0x02)
		return v4_is_public(v4_within(a, 2)); /* 6to4 */
	return !IN6_IS_ADDR_LINKLOCAL(a) && !IN6_IS_ADDR_SITELOCAL(a) &&
	       !IN6_IS_ADDR_MULTICAST(a) && (a->s6_addr[0] & 0xfe) != 0xfc;
}

bool address_is_public(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return v4_is_public(ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr));
	if (address->sa_family == AF_INET6)
		return v6_is_public(&((const struct sockaddr_in6 *)address)->sin6_addr);
	return false;
}

/* ---- the upstream proxy ---- */

/* In place: "%40" is "@". */
static void decode_percent(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (*s == '%' && hex_digit(s[1]) >= 0 && hex_digit(s[2]) >= 0) {
			*to++ = (char)(hex_digit(s[1]) << 4 | hex_digit(s[2]));
			s += 2;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* "user:password": RFC 7617. */
static char *basic_authorization(const char *userinfo)
{
	scoped(freep) char *plain = xstrdup(userinfo);
	scoped(freep) unsigned char *encoded = NULL;

	decode_percent(plain);
	encoded = xcalloc(1, 4 * (strlen(plain) / 3 + 1) + 1);
	EVP_EncodeBlock(encoded, (const unsigned char *)plain, (int)strlen(plain));
	return xasprintf("Proxy-Authorization: Basic %s\r\n", (const char *)encoded);
}

void upstream_done(struct upstream *u)
{
	free(u->host);
	free(u->authorization);
	*u = (struct upstream){ 0 };
}

int upstream_parse(const char *url, struct upstream *ret, struct fault *reterr)
{
	scoped(upstream_done) struct upstream u = { 0 };
	scoped(freep) char *authority = NULL;
	char *at;

	/* Its password is nobody's to read: the URL isn't repeated. */
	if (strncasecmp(url, "http://", 7) != 0)
		return fault_set(reterr, FAULT_BAD_REQUEST,
				 "https_proxy: only a proxy of the form http://host:port is known");
	url += 7;
	authority = xstrndup(url, strcspn(url, "/"));
	at = strrchr(authority, '@');
	if (at)
		*at = '\0';
	if (host_split(at ? at + 1 : authority, &u.host, &u.port) < 0)
		return fault_set(reterr, FAULT_BAD_REQUEST, "https_proxy: its host is no host");
	if (u.port == 0)
		u.port = HTTP_PORT;
	u.authorization = at ? basic_authorization(authority) : xstrdup("");
	*ret = u;
	u = (struct upstream){ 0 };
	return 0;
}

/* ---- requests ---- */

void connect_request_done(struct connect_request *r)
{
	free(r->host);
	free(r->forward);
	*r = (struct connect_request){ 0 };
}

/* A line without its CR LF, and no control characters in it; NULL for any other. */
static char *take_line(const char **at, const char *end)
{
	const char *stop = memmem(*at, (size_t)(end - *at), "\r\n", 2);
	char *line;

	if (!stop)
		return NULL;
	for (const char *p = *at; p < stop; p++)
		if ((unsigned char)*p < ' ' && *p != '\t')
			return NULL;
	line = xstrndup(*at, (size_t)(stop - *at));
	*at = stop + 2;
	return line;
}

static bool is_field(const char *line, const char *name)
{
	const size_t len = strlen(name);

	return strncasecmp(line, name, len) == 0 && line[len] == ':';
}

/* Of this hop alone, RFC 9110 section 7.6.1; the Host is ours to say. */
static bool is_for_us(const char *line)
{
	static const char *const names[] = {
		"Host", "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authorization",
		"TE",   "Upgrade"
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (is_field(line, names[i]))
			return true;
	return false;
}

/*
 * A name and its colon (RFC 9112 section 5): with a blank between the two, or before them, the next
 * server may read another field than we do.
 */
static bool is_some_field(const char *line)
{
	static const char token[] = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz";
	const size_t len = strspn(line, token);

	return len > 0 && line[len] == ':';
}

/* The fields, as far as they are handed on. */
static int copy_fields(const char *at, const char *end, struct strbuf *out)
{
	for (;;) {
		scoped(freep) char *line = take_line(&at, end);

		if (!line)
			return 400;
		if (!*line)
			return at == end ? 0 : 400;
		if (!is_some_field(line))
			return 400;
		if (!is_for_us(line))
			strbuf_printf(out, "%s\r\n", line);
	}
}

/* "METHOD http://host:port/path HTTP/1.1": one request, and the connection ends with its answer. */
static int parse_forward(const char *method, const char *target, const char *fields,
			 const char *end, struct connect_request *ret)
{
	scoped(strbuf_done) struct strbuf head = strbuf_init(2 * CONNECT_HEAD_MAX);
	scoped(freep) char *authority = NULL;
	const char *path;
	int r;

	if (strncasecmp(target, "http://", 7) != 0)
		return 400;
	target += 7;
	path = target + strcspn(target, "/?#");
	authority = xstrndup(target, (size_t)(path - target));
	if (host_split(authority, &ret->host, &ret->port) < 0)
		return 400;
	if (ret->port == 0)
		ret->port = HTTP_PORT;
	strbuf_printf(&head, "%s %s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", method,
		      *path == '/' ? "" : "/", path, authority);
	r = copy_fields(fields, end, &head);
	if (r > 0)
		return r;
	strbuf_puts(&head, "\r\n");
	if (head.error)
		return 431;
	ret->forward = strbuf_steal(&head);
	return 0;
}

static int parse_connect(const char *target, const char *fields, const char *end,
			 struct connect_request *ret)
{
	scoped(strbuf_done) struct strbuf ignored = strbuf_init(CONNECT_HEAD_MAX);

	if (host_split(target, &ret->host, &ret->port) < 0 || ret->port == 0)
		return 400;
	return copy_fields(fields, end, &ignored);
}

static int parse(const char *head, size_t len, struct connect_request *ret)
{
	const char *end = head + len;
	scoped(freep) char *line = memchr(head, '\0', len) ? NULL : take_line(&head, end);
	char *target, *version;

	if (!line)
		return 400;
	target = strchr(line, ' ');
	version = target ? strchr(target + 1, ' ') : NULL;
	if (!version || target == line)
		return 400;
	*target++ = '\0';
	*version++ = '\0';
	if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0)
		return 400;
	if (strcmp(line, "CONNECT") == 0)
		return parse_connect(target, head, end, ret);
	return parse_forward(line, target, head, end, ret);
}

int connect_request_parse(const char *head, size_t len, struct connect_request *ret)
{
	int r;

	*ret = (struct connect_request){ 0 };
	r = parse(head, len, ret);
	if (r > 0)
		connect_request_done(ret);
	return r;
}
