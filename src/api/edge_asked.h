/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"

/*
 * What a proxy at the edge says of the request that it asks about, taken apart: pure, over what
 * anybody may have sent.
 */
#define EDGE_OPEN_PATH   "/.previewd/open"
#define EDGE_COOKIE      "previewd-edge"
#define EDGE_HOST_COOKIE "__Host-" EDGE_COOKIE /* taken from that very host only, and by TLS */

#define EDGE_PASSES_MAX 32 /* each is worth a signature */

struct edge_fields {
	const char *host;   /* with its port, or NULL */
	const char *scheme; /* "https" or "http" */
	const char *target; /* or NULL; so the others */
	const char *method;
	const char *cookies;
};

struct edge_asked {
	char *label;
	char *origin; /* "https://label.preview.example.org:8443" */
	bool is_tls;
	bool opens;    /* a link is being opened */
	char *code;    /* its code; NULL where there is none, or what asks must not use it up */
	char **passes; /* the cookies that may let it pass, at most EDGE_PASSES_MAX; or NULL */
};

/* -EINVAL, and nothing in `ret`, where it is no host that the template makes. */
int edge_asked_read(const struct edge_fields *fields, const char *template,
		    struct edge_asked *ret) must_use;
void edge_asked_done(struct edge_asked *asked);
