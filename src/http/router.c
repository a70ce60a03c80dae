/* SPDX-License-Identifier: MIT */
/*
 * Routes as a trie: one node a segment, with its literal children, its one parameter child and the
 * rows that end there.  A path goes down the most literal way first and backs out of it when no row
 * there has the method; what fits but for the method makes the Allow list.
 */
#include "http/router.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "http/url.h"

struct row {
	struct row *next; /* of the same node, in the table's order */
	size_t index;
	char *method;
	char *names[HTTP_PARAMS_MAX];
	size_t n_names;
};

struct node {
	struct node *next; /* sibling */
	char *literal;     /* NULL in the root and in a parameter */
	struct node *literals;
	struct node *parameter;
	struct row *ends;       /* "/a/b" */
	struct row *ends_slash; /* "/a/b/" */
	struct row *rests;      /* "/a/b/{name...}" */
};

struct http_router {
	struct node root;
};

static struct node *node_literal(struct node *node, const char *segment, size_t len, bool make)
{
	struct node **at = &node->literals;

	for (; *at; at = &(*at)->next)
		if (strlen((*at)->literal) == len && memcmp((*at)->literal, segment, len) == 0)
			return *at;
	if (make) {
		*at = xcalloc(1, sizeof(**at));
		(*at)->literal = xstrndup(segment, len);
	}
	return *at;
}

static struct node *node_parameter(struct node *node)
{
	if (!node->parameter)
		node->parameter = xcalloc(1, sizeof(*node->parameter));
	return node->parameter;
}

static void row_add_name(struct row *row, const char *name, size_t len)
{
	assert(row->n_names < HTTP_PARAMS_MAX && len > 0);
	row->names[row->n_names++] = xstrndup(name, len);
}

static void row_link(struct row **list, struct row *row)
{
	while (*list) {
		assert(strcmp((*list)->method, row->method) != 0);
		list = &(*list)->next;
	}
	*list = row;
}

static void router_add(struct http_router *router, const struct http_route *route, size_t index)
{
	struct row *row = xcalloc(1, sizeof(*row));
	struct node *node = &router->root;
	const char *p = route->pattern;

	row->index = index;
	row->method = xstrdup(route->method);
	assert(*p == '/');
	while (*p == '/' && p[1]) {
		const char *segment = ++p;
		const size_t len = strcspn(segment, "/");

		p += len;
		assert(len > 0);
		if (segment[0] != '{') {
			node = node_literal(node, segment, len, true);
			continue;
		}
		assert(len > 2 && segment[len - 1] == '}');
		if (len > 5 && memcmp(segment + len - 4, "...}", 4) == 0) {
			assert(!*p); /* it takes all, so it is the last */
			row_add_name(row, segment + 1, len - 5);
			row_link(&node->rests, row);
			return;
		}
		row_add_name(row, segment + 1, len - 2);
		node = node_parameter(node);
	}
	row_link(*p == '/' ? &node->ends_slash : &node->ends, row);
}

struct http_router *http_router_new(const struct http_route *routes, size_t n)
{
	struct http_router *router = xcalloc(1, sizeof(*router));

	for (size_t i = 0; i < n; i++)
		router_add(router, &routes[i], i);
	return router;
}

static void rows_free(struct row *row)
{
	while (row) {
		struct row *next = row->next;

		for (size_t i = 0; i < row->n_names; i++)
			free(row->names[i]);
		free(row->method);
		free(row);
		row = next;
	}
}

static void node_done(struct node *node)
{
	while (node->literals) {
		struct node *child = node->literals;

		node->literals = child->next;
		node_done(child);
		free(child);
	}
	if (node->parameter)
		node_done(node->parameter);
	free(node->parameter);
	free(node->literal);
	rows_free(node->ends);
	rows_free(node->ends_slash);
	rows_free(node->rests);
}

struct http_router *http_router_free(struct http_router *router)
{
	if (!router)
		return NULL;
	node_done(&router->root);
	free(router);
	return NULL;
}

/* What a walk down the trie has found. */
struct walk {
	const struct http_path *path;
	const char *method;
	const struct row *found;
	size_t rest_from; /* the first segment that goes to "{name...}" */
	const char *values[HTTP_PARAMS_MAX];
	size_t n_values;
	const struct row *fitting[16]; /* lists of rows that fit but for the method */
	size_t n_fitting;
};

static const struct row *row_of_method(const struct row *row, const char *method)
{
	while (row && strcmp(row->method, method) != 0)
		row = row->next;
	return row;
}

static bool walk_take(struct walk *w, const struct row *rows)
{
	w->found = row_of_method(rows, w->method);
	if (!w->found && strcmp(w->method, "HEAD") == 0)
		w->found = row_of_method(rows, "GET");
	if (!w->found && rows && w->n_fitting < ARRAY_SIZE(w->fitting))
		w->fitting[w->n_fitting++] = rows;
	return w->found;
}

/* As deep as the deepest pattern, whatever the path. */
static bool walk_down(struct walk *w, struct node *node, size_t depth)
{
	if (depth == w->path->n) {
		if (walk_take(w, w->path->trailing_slash ? node->ends_slash : node->ends))
			return true;
	} else {
		const char *segment = w->path->segments[depth];
		struct node *child = node_literal(node, segment, strlen(segment), false);

		if (child && walk_down(w, child, depth + 1))
			return true;
		if (node->parameter) {
			assert(w->n_values < HTTP_PARAMS_MAX);
			w->values[w->n_values++] = segment;
			if (walk_down(w, node->parameter, depth + 1))
				return true;
			w->n_values--;
		}
	}
	w->rest_from = depth;
	return walk_take(w, node->rests);
}

/* Unambiguous, since no segment has a slash in it. */
static char *join_rest(const struct http_path *path, size_t from)
{
	scoped(strbuf_done) struct strbuf rest = strbuf_init(STRBUF_UNLIMITED);

	for (size_t i = from; i < path->n; i++) {
		if (i > from)
			strbuf_putc(&rest, '/');
		strbuf_puts(&rest, path->segments[i]);
	}
	if (path->trailing_slash && from < path->n)
		strbuf_putc(&rest, '/');
	return strbuf_steal(&rest);
}

static void fill_match(const struct walk *w, struct http_match *ret)
{
	*ret = (struct http_match){ .route = w->found->index, .n_params = w->found->n_names };
	for (size_t i = 0; i < ret->n_params; i++) {
		ret->params[i].name = w->found->names[i];
		ret->params[i].value =
			i < w->n_values ? xstrdup(w->values[i]) : join_rest(w->path, w->rest_from);
	}
}

/* Whether the method is in one of the lists before. */
static bool is_listed(const struct walk *w, size_t before, const char *method)
{
	for (size_t i = 0; i < before; i++)
		if (row_of_method(w->fitting[i], method))
			return true;
	return false;
}

static char *allow_list(const struct walk *w)
{
	scoped(strbuf_done) struct strbuf allow = strbuf_init(STRBUF_UNLIMITED);
	bool get = false, head = false;

	for (size_t i = 0; i < w->n_fitting; i++) {
		for (const struct row *row = w->fitting[i]; row; row = row->next) {
			if (is_listed(w, i, row->method))
				continue;
			strbuf_printf(&allow, "%s%s", allow.len ? ", " : "", row->method);
			get = get || strcmp(row->method, "GET") == 0;
			head = head || strcmp(row->method, "HEAD") == 0;
		}
	}
	if (get && !head)
		strbuf_puts(&allow, ", HEAD");
	return strbuf_steal(&allow);
}

int http_router_match(const struct http_router *router, const char *method, const char *path,
		      struct http_match *ret, char **ret_allow)
{
	scoped(http_path_done) struct http_path decoded = { 0 };
	struct walk walk = { .path = &decoded, .method = method };
	int r;

	r = http_path_decode((struct http_view){ path, strlen(path) }, &decoded);
	if (r < 0)
		return r;
	/* The walk shares node_literal() with the making of the trie, and makes nothing. */
	if (walk_down(&walk, (struct node *)&router->root, 0)) {
		fill_match(&walk, ret);
		return 0;
	}
	if (walk.n_fitting == 0)
		return -ENOENT;
	*ret_allow = allow_list(&walk);
	return -EOPNOTSUPP;
}

void http_match_done(struct http_match *m)
{
	for (size_t i = 0; i < m->n_params; i++)
		free(m->params[i].value);
	*m = (struct http_match){ 0 };
}

const char *http_match_param(const struct http_match *m, const char *name)
{
	for (size_t i = 0; i < m->n_params; i++)
		if (strcmp(m->params[i].name, name) == 0)
			return m->params[i].value;
	return NULL;
}
