/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/fault.h"

/*
 * Lists of hosts as the settings write them: names ("localhost"), everything beneath a name
 * ("*.example.org"), addresses ("::1", "[::1]") and networks ("10.0.0.0/8").
 */
struct hosts;

/* `entries` is a strv.  `what` names the setting in a fault's sentence. */
int hosts_new(char *const *entries, const char *what, struct hosts **ret,
	      struct fault *reterr) must_use;
struct hosts *hosts_free(struct hosts *h);
DEFINE_CLEANUP(struct hosts *, hosts_free)

/*
 * Whether a name or numeric address is in the list.  Names compare without case and without a
 * trailing dot; an address is compared as an address (an IPv4-mapped one as IPv4), so that no other
 * spelling of it slips through or by.
 */
bool hosts_have(const struct hosts *h, const char *host);

/* "localhost", names beneath it (RFC 6761 section 6.3), 127.0.0.0/8, ::1, 0.0.0.0 and :: */
bool host_is_loopback(const char *host);

/*
 * Whether an address is one that no name of a server leads to in good faith: this machine itself,
 * the link, where clouds have their metadata, those metadata elsewhere, multicast, what is
 * reserved; and what only carries such an IPv4 address (RFC 4291, 6052, 3056).  What is no address
 * is.
 */
bool address_is_special(const char *address);

/* A numeric IPv4 or IPv6 address, without brackets. */
bool host_is_address(const char *host);

/* Letters, digits, hyphens, dots and underscores in labels of at most 63, or a numeric address. */
bool host_is_valid(const char *host);

/* What a list of hosts may hold, and what it may hold where it is compared to addresses alone. */
bool hosts_entry_is_valid(const char *entry);
bool hosts_entry_is_network(const char *entry);

/*
 * "https://app.example.org", as a browser sends it (RFC 6454 section 6.2): with nothing behind, and
 * without the scheme's own port.  Another spelling would never match.
 */
bool origin_is_valid(const char *text);

/* An http or https URL whose host is one, without a user. */
bool web_url_is_valid(const char *text);

/*
 * Splits "name", "name:port", "[::1]:port", "[::1]" into the host (without brackets, lower case,
 * without a trailing dot; the caller frees) and the port (0 when none).  -EINVAL for anything else.
 */
int host_split(const char *authority, char **ret_host, unsigned *ret_port) must_use;
