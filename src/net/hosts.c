/* SPDX-License-Identifier: MIT */
/*
 * Lists of hosts, and the few facts about host names that several places need.
 */
#include "net/hosts.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/parse.h"

/* An address in 16 bytes, IPv4 in its mapped form, so that one comparison serves both. */
struct address {
	uint8_t bytes[16];
};

enum host_kind {
	HOST_NAME,
	HOST_BENEATH, /* "*.example.org": `name` is ".example.org" */
	HOST_NETWORK, /* an address is a network of all its bits */
};

struct host_entry {
	enum host_kind kind;
	char *name;
	struct address address;
	unsigned prefix_bits;
};

struct hosts {
	size_t n;
	struct host_entry entries[];
};

static bool address_parse(const char *s, struct address *ret, bool *ret_v4)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, s, &v4) == 1) {
		memcpy(ret->bytes, mapped, sizeof(mapped));
		memcpy(ret->bytes + 12, &v4, 4);
		*ret_v4 = true;
		return true;
	}
	if (inet_pton(AF_INET6, s, &v6) == 1) {
		memcpy(ret->bytes, &v6, 16);
		*ret_v4 = IN6_IS_ADDR_V4MAPPED(&v6);
		return true;
	}
	return false;
}

static bool address_in(const struct address *a, const struct host_entry *e)
{
	unsigned whole = e->prefix_bits / 8, rest = e->prefix_bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	if (memcmp(a->bytes, e->address.bytes, whole) != 0)
		return false;
	return rest == 0 || ((a->bytes[whole] ^ e->address.bytes[whole]) & mask) == 0;
}

/* The host as it is compared: lower case, no brackets, no trailing dot. */
static char *normal(const char *host)
{
	size_t len = strlen(host);
	char *s;

	if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	} else if (len > 1 && host[len - 1] == '.') {
		len--;
	}
	s = xstrndup(host, len);
	for (char *p = s; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return s;
}

static bool name_is_hostname(const char *s)
{
	size_t label = 0;

	if (strlen(s) > 253)
		return false;
	for (; *s; s++) {
		if (*s == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if (isalnum((unsigned char)*s) || *s == '-' || *s == '_') {
			if (++label > 63)
				return false;
		} else {
			return false;
		}
	}
	return label > 0;
}

static bool entry_parse(const char *text, struct host_entry *e)
{
	scoped(freep) char *host = normal(text);
	char *slash = strchr(host, '/');
	bool v4;

	if (slash) {
		unsigned bits;

		*slash = '\0';
		if (!address_parse(host, &e->address, &v4))
			return false;
		if (parse_uint(slash + 1, 0, v4 ? 32 : 128, &bits) < 0)
			return false;
		e->kind = HOST_NETWORK;
		e->prefix_bits = v4 ? bits + 96 : bits;
		return true;
	}
	if (address_parse(host, &e->address, &v4)) {
		e->kind = HOST_NETWORK;
		e->prefix_bits = 128;
		return true;
	}
	if (strncmp(host, "*.", 2) == 0) {
		if (!name_is_hostname(host + 2))
			return false;
		e->kind = HOST_BENEATH;
		e->name = xstrdup(host + 1);
		return true;
	}
	if (!name_is_hostname(host))
		return false;
	e->kind = HOST_NAME;
	e->name = STEAL(host);
	return true;
}

int hosts_new(char *const *entries, const char *what, struct hosts **ret, struct fault *reterr)
{
	size_t n = strv_len(entries);
	scoped(hosts_freep) struct hosts *h = xcalloc(1, sizeof(*h) + n * sizeof(h->entries[0]));

	for (size_t i = 0; i < n; i++) {
		if (!entry_parse(entries[i], &h->entries[i]))
			return fault_set(reterr, FAULT_BAD_REQUEST,
					 "%s: '%s' is no host name, address, network or "
					 "*.domain",
					 what, entries[i]);
		h->n++;
	}
	*ret = STEAL(h);
	return 0;
}

struct hosts *hosts_free(struct hosts *h)
{
	if (!h)
		return NULL;

	for (size_t i = 0; i < h->n; i++)
		free(h->entries[i].name);
	free(h);
	return NULL;
}

bool hosts_entry_is_valid(const char *entry)
{
	struct host_entry e = { 0 };
	bool is_valid = entry_parse(entry, &e);

	free(e.name);
	return is_valid;
}

bool hosts_entry_is_network(const char *entry)
{
	struct host_entry e = { 0 };
	bool is_network = entry_parse(entry, &e) && e.kind == HOST_NETWORK;

	free(e.name);
	return is_network;
}

static bool entry_has(const struct host_entry *e, const char *name, const struct address *address)
{
	switch (e->kind) {
	case HOST_NETWORK:
		return address && address_in(address, e);
	case HOST_NAME:
		return !address && strcmp(e->name, name) == 0;
	case HOST_BENEATH: {
		size_t len = strlen(name), tail = strlen(e->name);

		return !address && len > tail && strcmp(name + len - tail, e->name) == 0;
	}
	}
	return false;
}

bool hosts_have(const struct hosts *h, const char *host)
{
	scoped(freep) char *name = normal(host);
	struct address address;
	bool v4, numeric = address_parse(name, &address, &v4);

	for (size_t i = 0; i < h->n; i++) {
		if (entry_has(&h->entries[i], name, numeric ? &address : NULL))
			return true;
	}
	return false;
}

bool host_is_loopback(const char *host)
{
	static const char beneath[] = ".localhost";
	scoped(freep) char *name = normal(host);
	size_t len = strlen(name), tail = sizeof(beneath) - 1;
	struct in_addr v4;
	struct in6_addr v6;

	if (strcmp(name, "localhost") == 0)
		return true;
	if (len > tail && strcmp(name + len - tail, beneath) == 0)
		return true;
	if (inet_pton(AF_INET, name, &v4) == 1)
		return (ntohl(v4.s_addr) >> 24) == 127 || v4.s_addr == 0;
	if (inet_pton(AF_INET6, name, &v6) == 1) {
		if (IN6_IS_ADDR_V4MAPPED(&v6))
			return v6.s6_addr[12] == 127 || v6.s6_addr32[3] == 0;
		return IN6_IS_ADDR_LOOPBACK(&v6) || IN6_IS_ADDR_UNSPECIFIED(&v6);
	}
	return false;
}

static bool v4_is_special(const uint8_t a[static 4])
{
	return a[0] == 0 || a[0] == 127 || a[0] >= 224 || (a[0] == 169 && a[1] == 254) ||
	       (a[0] == 192 && a[1] == 0 && a[2] == 0) ||
	       (a[0] == 100 && a[1] == 100 && a[2] == 100 && a[3] == 200) ||
	       (a[0] == 168 && a[1] == 63 && a[2] == 129 && a[3] == 16);
}

static bool has_prefix(const struct address *a, const uint8_t *prefix, size_t len)
{
	return memcmp(a->bytes, prefix, len) == 0;
}

bool address_is_special(const char *address)
{
	static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b }, zeros[12];
	static const uint8_t nat64_local[6] = { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 };
	static const uint8_t metadata[4] = { 0xfd, 0x00, 0x0e, 0xc2 };
	struct address a;
	bool v4;

	if (!address_parse(address, &a, &v4))
		return true;
	if (v4 || has_prefix(&a, nat64, sizeof(nat64)) || has_prefix(&a, zeros, sizeof(zeros)))
		return v4_is_special(a.bytes + 12);
	if (a.bytes[0] == 0x20 && a.bytes[1] == 0x02) /* 6to4 */
		return v4_is_special(a.bytes + 2);
	return a.bytes[0] == 0xff || (a.bytes[0] == 0xfe && a.bytes[1] >= 0x80) ||
	       has_prefix(&a, nat64_local, sizeof(nat64_local)) ||
	       has_prefix(&a, metadata, sizeof(metadata));
}

bool host_is_address(const char *host)
{
	struct address address;
	bool v4;

	return address_parse(host, &address, &v4);
}

/* "127.1", "2130706433" and "0x7f.1" are addresses to some resolvers and names to us: refused. */
static bool looks_like_odd_address(const char *host)
{
	const char *last = strrchr(host, '.');

	last = last ? last + 1 : host;
	return isdigit((unsigned char)*last);
}

bool host_is_valid(const char *host)
{
	return host_is_address(host) || (name_is_hostname(host) && !looks_like_odd_address(host));
}

int host_split(const char *authority, char **ret_host, unsigned *ret_port)
{
	const char *end = authority[0] == '[' ? strchr(authority, ']') : NULL;
	const char *colon = strchr(end ? end : authority, ':');
	scoped(freep) char *raw =
		colon ? xstrndup(authority, (size_t)(colon - authority)) : xstrdup(authority);
	scoped(freep) char *host = NULL;
	unsigned port = 0;

	if (authority[0] == '[' && (!end || (end[1] != '\0' && end[1] != ':')))
		return -EINVAL;
	if (colon && parse_uint(colon + 1, 1, 65535, &port) < 0)
		return -EINVAL;

	host = normal(raw);
	if (authority[0] == '[' ? !strchr(host, ':') || !host_is_address(host)
				: !host_is_valid(host) || strchr(host, ':'))
		return -EINVAL;

	*ret_host = STEAL(host);
	*ret_port = port;
	return 0;
}

bool origin_is_valid(const char *text)
{
	const char *scheme_end = strstr(text, "://");
	const char *host = scheme_end ? scheme_end + strlen("://") : "";
	const char *port = strrchr(host, ':');
	bool is_https = scheme_end && strncasecmp(text, "https:", 6) == 0;
	bool is_http = scheme_end && strncasecmp(text, "http:", 5) == 0;

	if (!scheme_end || scheme_end == text || !*host || strpbrk(host, "/?#@*"))
		return false;
	return !port ||
	       !((is_https && strcmp(port, ":443") == 0) || (is_http && strcmp(port, ":80") == 0));
}

bool web_url_is_valid(const char *text)
{
	scoped(freep) char *authority = NULL, *host = NULL;
	const size_t scheme = strncmp(text, "http://", 7) == 0    ? 7
			      : strncmp(text, "https://", 8) == 0 ? 8
								  : 0;
	unsigned port;

	if (scheme == 0)
		return false;
	authority = xstrndup(text + scheme, strcspn(text + scheme, "/?#"));
	return host_split(authority, &host, &port) >= 0 && host_is_valid(host);
}
