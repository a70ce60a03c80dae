/* SPDX-License-Identifier: MIT */
/*
 * Published pages: where each is seen, and how many a user may have.
 */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/strbuf.h"
#include "publish/publisher_priv.h"

LOG_AREA("publish");

#define LABEL_LENGTH 26 /* of 36 letters and digits: 134 bits */
#define URL_MAX      4096

struct page *page_find(const struct publisher *p, const char *session_id, const char *name)
{
	const struct shelf *shelf = shelf_find(p, session_id);

	for (struct page *page = shelf ? shelf->pages : NULL; page; page = page->next)
		if (strcmp(page->name, name) == 0)
			return page;
	return NULL;
}

/* The one of the user that ended the longest ago. */
static struct page *oldest_ended(const struct publisher *p, const char *user_id, size_t *ret_n)
{
	struct page *oldest = NULL;

	*ret_n = 0;
	for (struct shelf *shelf = p->shelves; shelf; shelf = shelf->hh.next) {
		for (struct page *page = shelf->pages; page; page = page->next) {
			if (strcmp(page->user_id, user_id) != 0)
				continue;
			++*ret_n;
			if (page->ended_at && page->users == 0 &&
			    (!oldest || page->ended_at < oldest->ended_at))
				oldest = page;
		}
	}
	return oldest;
}

static int make_room(struct publisher *p, const char *user_id, struct fault *reterr)
{
	struct page *oldest;
	size_t n;

	if (p->n_pages < p->settings->publish_pages_per_user)
		return 0;
	oldest = oldest_ended(p, user_id, &n);
	if (n < p->settings->publish_pages_per_user)
		return 0;
	if (!oldest)
		return fault_set(reterr, FAULT_USER_LIMIT,
				 "user '%s' has %zu published pages, as many as "
				 "publish.pages_per_user allows; take one off the air first",
				 user_id, n);
	log_info("session '%s': its page '%s' gives way to a new one of user '%s'",
		 oldest->shelf->session_id, oldest->name, user_id);
	page_remove(oldest);
	return 0;
}

static void new_label(char **member)
{
	char text[LABEL_LENGTH + 1];

	random_label(text, LABEL_LENGTH);
	free(*member);
	*member = xstrdup(text);
}

char *page_new_token(void)
{
	char *token = NULL;

	new_label(&token);
	return token;
}

char *page_change_token_consume(struct page *page, char *token)
{
	struct publisher *p = page->shelf->publisher;
	char *before = page->token;
	struct page *other;

	if (page->token_hash[0])
		HASH_DELETE(token_hh, p->by_token, page);
	page->token_hash[0] = '\0';
	page->token = token;
	if (!token)
		return before;
	sha256_hex(token, strlen(token), page->token_hash);
	HASH_FIND(token_hh, p->by_token, page->token_hash, strlen(page->token_hash), other);
	if (other) /* another's hand in the database */
		page->token_hash[0] = '\0';
	else
		HASH_ADD(token_hh, p->by_token, token_hash[0], strlen(page->token_hash), page);
	return before;
}

struct page *page_of_token(const struct publisher *p, const char *token)
{
	char hash[SHA256_HEX_SIZE];
	struct page *page;

	sha256_hex(token, strlen(token), hash);
	HASH_FIND(token_hh, p->by_token, hash, strlen(hash), page);
	return page;
}

void page_set_names(struct page *page, const char *token, const char *label)
{
	struct publisher *p = page->shelf->publisher;

	HASH_DEL(p->by_label, page);
	free(page->label);
	free(page_change_token_consume(page, xstrdup(token)));
	page->label = xstrdup(label);
	HASH_ADD_KEYPTR(hh, p->by_label, page->label, strlen(page->label), page);
}

/*
 * An id whose session was forgotten may be another's by now: what the one before published under it
 * is nothing that they may see, and goes.
 */
static int page_of_owner(struct publisher *p, const struct session_ref *ref, const char *user_id,
			 const char *name, struct page **ret, struct fault *reterr)
{
	struct page *page = page_find(p, ref->session_id, name);

	if (page &&
	    (strcmp(page->user_id, user_id) != 0 || strcmp(page->app_id, ref->app_id) != 0)) {
		if (page->users > 0)
			return fault_set(reterr, FAULT_TOO_MANY_REQUESTS,
					 "what was published as '%s' before is still being "
					 "removed; try again",
					 name);
		log_info("session '%s': its page '%s' was user '%s''s, removing it",
			 ref->session_id, name, page->user_id);
		page_remove(page);
		page = NULL;
	}
	*ret = page;
	return 0;
}

int page_get(struct publisher *p, const struct principal *principal, const struct session_ref *ref,
	     const char *name, struct page **ret, struct fault *reterr)
{
	const char *user_id;
	int r = registry_session_owner(p->deps.registry, principal, ref, &user_id, reterr);

	return r < 0 ? r : page_of_owner(p, ref, user_id, name, ret, reterr);
}

int page_ensure(struct publisher *p, const struct session_ref *ref, const char *user_id,
		const char *name, struct page **ret, struct fault *reterr)
{
	struct page *page;
	int r = page_of_owner(p, ref, user_id, name, &page, reterr);

	if (r < 0)
		return r;
	if (!page) {
		r = make_room(p, user_id, reterr);
		if (r < 0)
			return r;
		page = xcalloc(1, sizeof(*page));
		page->shelf = shelf_ensure(p, ref->session_id);
		page->name = xstrdup(name);
		page->app_id = xstrdup(ref->app_id);
		page->user_id = xstrdup(user_id);
		page->created_at = clock_realtime();
		free(page_change_token_consume(page, page_new_token()));
		new_label(&page->label);
		HASH_ADD_KEYPTR(hh, p->by_label, page->label, strlen(page->label), page);
		DL_APPEND(page->shelf->pages, page);
		p->n_pages++;
		metric_inc(METRIC_PAGES);
	}
	*ret = page;
	return 0;
}

struct page *page_free(struct page *page)
{
	struct publisher *p;

	if (!page)
		return NULL;
	p = page->shelf->publisher;
	page_opening_done(page);
	page_close(page);
	HASH_DEL(p->by_label, page);
	free(page_change_token_consume(page, NULL));
	DL_DELETE(page->shelf->pages, page);
	p->n_pages--;
	metric_add(METRIC_PAGES, -1);
	shelf_settle(page->shelf);
	free(page->name);
	free(page->app_id);
	free(page->user_id);
	free(page->label);
	free(page);
	return NULL;
}

void page_put(const struct page *page, struct store_batch *batch)
{
	const struct record_published record = {
		.session_id = page->shelf->session_id,
		.name = page->name,
		.app_id = page->app_id,
		.user_id = page->user_id,
		.token = page->token,
		.label = page->label,
		.created_at = (int64_t)page->created_at,
		.ended_at = (int64_t)page->ended_at,
	};

	store_put(batch, RECORD_KIND_PUBLISHED, &record);
}

void page_save(const struct page *page)
{
	struct store_batch *batch = store_batch_new();

	page_put(page, batch);
	publisher_commit(page->shelf->publisher, batch);
}

struct page_removal {
	int root_fd;
	char taken[RELEASE_TAKEN_SIZE];
};

static int removal_work(void *input)
{
	const struct page_removal *r = input;

	return release_remove_taken(r->root_fd, r->taken);
}

static void on_removed(int result, void *arg)
{
	(void)arg;
	if (result < 0)
		log_warning_errno(result, "the files of a page that is gone are still there");
}

/* Its name goes before a build can begin that makes the place anew: that one must not go with it.
 */
static void place_remove(struct publisher *p, const char *session_id, const char *name)
{
	struct page_removal *r = xcalloc(1, sizeof(*r));
	int result;

	r->root_fd = p->published_fd;
	result = release_take_away(r->root_fd, session_id, name, r->taken);
	if (result < 0 && result != -ENOENT)
		on_removed(result, NULL);
	if (result < 0 || !job_start(p->switcher, removal_work, r, free, on_removed, NULL))
		free(r); /* what is still there goes at the next start */
}

void page_remove(struct page *page)
{
	struct publisher *p = page->shelf->publisher;
	struct store_batch *batch = store_batch_new();

	store_delete(batch, RECORD_KIND_PUBLISHED,
		     &(struct record_published){ .session_id = page->shelf->session_id,
						 .name = page->name });
	publisher_commit(p, batch);
	place_remove(p, page->shelf->session_id, page->name);
	page_free(page);
}

void place_remove_unknown(struct publisher *p, const char *key)
{
	const char *name = strrchr(key, '~'); /* no name has one */
	scoped(freep) char *session_id = name ? xstrndup(key, (size_t)(name - key)) : NULL;

	if (!session_id || !id_is_valid(session_id) || !name_is_valid(name + 1) ||
	    page_find(p, session_id, name + 1))
		return;
	place_remove(p, session_id, name + 1);
}

/*
 * Where a page is seen.
 */
bool pages_are_unlisted(const struct settings *settings)
{
	enum { AUTO, PUBLIC, UNLISTED };

	switch (settings->publish_visibility) {
	case PUBLIC:
		return false;
	case UNLISTED:
		return true;
	default:
		return settings->server_public_base_url != NULL ||
		       settings->server_trusted_proxies[0] != NULL;
	}
}

bool pages_have_hosts(const struct settings *settings)
{
	enum { SANDBOX, SEPARATE, TRUSTED };

	return settings->publish_isolation == SEPARATE && settings->publish_host_template != NULL;
}

char *page_path(const struct page *page)
{
	return page_path_with(page, page->token);
}

char *page_path_with(const struct page *page, const char *token)
{
	const struct settings *settings = page->shelf->publisher->settings;
	struct strbuf b = strbuf_init(URL_MAX);

	strbuf_puts(&b, "/api/apps/");
	strbuf_add_percent(&b, page->app_id);
	strbuf_puts(&b, "/sessions/");
	strbuf_add_percent(&b, page->shelf->session_id);
	strbuf_puts(&b, "/published/");
	if (pages_are_unlisted(settings))
		strbuf_printf(&b, "~%s/", token);
	else if (strcmp(page->name, "published") != 0)
		strbuf_printf(&b, "@%s/", page->name);
	return strbuf_steal(&b);
}

/* "http" and ":7070": as the daemon is reached from outside, else as it listens. */
static void reached_by(const struct publisher *p, char **ret_scheme, char **ret_port)
{
	const char *base = p->settings->server_public_base_url;
	const char *rest = base ? strstr(base, "://") : NULL;
	scoped(freep) char *host = NULL;
	const char *bracket, *colon;

	if (!rest) {
		*ret_scheme = xstrdup("http");
		*ret_port = p->port ? xasprintf(":%u", p->port) : xstrdup("");
		return;
	}
	*ret_scheme = xstrndup(base, (size_t)(rest - base));
	host = xstrndup(rest + 3, strcspn(rest + 3, "/"));
	bracket = strchr(host, ']');
	colon = strrchr(bracket ? bracket : host, ':');
	*ret_port = xstrdup(colon ? colon : "");
}

static char *host_url(const struct page *page)
{
	const struct settings *settings = page->shelf->publisher->settings;
	scoped(freep) char *scheme = NULL, *port = NULL;
	struct strbuf b = strbuf_init(URL_MAX);
	const char *template = settings->publish_host_template;
	const char *field = strstr(template, "{label}");
	bool has_port = strchr(template, ':') != NULL;

	reached_by(page->shelf->publisher, &scheme, &port);
	strbuf_printf(&b, "%s://", scheme);
	if (field) {
		strbuf_add(&b, template, (size_t)(field - template));
		strbuf_puts(&b, page->label);
		strbuf_puts(&b, field + strlen("{label}"));
	} else {
		strbuf_puts(&b, template);
	}
	strbuf_printf(&b, "%s/", has_port ? "" : port);
	return strbuf_steal(&b);
}

char *page_url(const struct page *page)
{
	return pages_have_hosts(page->shelf->publisher->settings) ? host_url(page)
								  : page_path(page);
}

char *page_address(const struct page *page)
{
	const struct publisher *p = page->shelf->publisher;
	const char *base = p->settings->server_public_base_url;
	scoped(freep) char *url = page_url(page);
	size_t len = base ? strlen(base) : 0;

	if (url[0] != '/')
		return STEAL(url);
	while (len > 0 && base[len - 1] == '/')
		len--;
	if (base)
		return xasprintf("%.*s%s", (int)len, base, url);
	return p->port ? xasprintf("http://localhost:%u%s", p->port, url) : NULL;
}

char *page_base(const struct page *page)
{
	return pages_have_hosts(page->shelf->publisher->settings) ? NULL : page_path(page);
}
