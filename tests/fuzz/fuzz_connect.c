/* SPDX-License-Identifier: MIT */
/*
 * The rules of a proxy in a line, then the head of a request to it.  What it would hand on is a
 * head, and goes to the one host that the rules were asked about.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/parse.h"
#include "fuzz.h"
#include "http/parse.h"
#include "net/connectrules.h"
#include "net/hosts.h"

/* Only the first of the fields may say for which host it is, to the most lenient of readers. */
static void check_fields(const char *head)
{
	const char *line = strstr(head, "\r\nHost: ") + 2;

	while ((line = strstr(line, "\r\n")) && line[2] != '\r') {
		line += 2;
		assert(strncasecmp(line, "Host", 4) != 0 || !strchr(" \t:", line[4]));
		assert(line[0] != ' ' && line[0] != '\t');
	}
	assert(line && strcmp(line, "\r\n\r\n") == 0);
}

static void check_forward(const struct connect_request *r)
{
	scoped(freep) char *authority = NULL, *host = NULL;
	struct http_head h;
	unsigned port;

	check_fields(r->forward);
	if (http_head_parse(r->forward, strlen(r->forward), NULL, &h, NULL) <= 0)
		return;
	assert(!h.keep_alive);
	authority = xstrndup(h.host.at, h.host.len);
	assert(host_split(authority, &host, &port) == 0);
	assert(strcmp(host, r->host) == 0 && (port == r->port || (port == 0 && r->port == 80)));
}

static void try_rules(const char *line, const struct connect_request *r)
{
	scoped(strv_freep) char **entries = parse_list(line, ',');
	scoped(connectrules_freep) struct connectrules *rules = NULL;
	scoped(fault_done) struct fault fault = { 0 };
	bool may_be_private = false;

	if (connectrules_new((const char *const *)entries, &rules, &fault) < 0) {
		assert(fault.detail);
		return;
	}
	if (!connectrules_allow(rules, r->host, r->port, &may_be_private))
		return;
	assert(entries[0]);
	/* An entry without its port means 443 and public addresses. */
	assert(r->port == 443 || may_be_private);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(connect_request_done) struct connect_request r = { 0 };
	scoped(freep) char *text = xmemdup(data, size);
	char *head = memchr(text, '\n', size);
	int status;

	if (!head)
		return 0;
	*head++ = '\0';
	status = connect_request_parse(head, (size_t)(text + size - head), &r);
	if (status != 0) {
		assert(status == 400 || status == 431);
		assert(!r.host && !r.forward);
		return 0;
	}
	assert(host_is_valid(r.host) && r.port > 0 && r.port <= UINT16_MAX);
	if (r.forward)
		check_forward(&r);
	try_rules(text, &r);
	return 0;
}
