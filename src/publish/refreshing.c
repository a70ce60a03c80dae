/* SPDX-License-Identifier: MIT */
/*
 * From an app's web/dist to a release of it, in a helper thread.
 *
 * What was taken is known again by a digest of its files' names, sizes, inodes and times of change,
 * kept beside the releases: as long as it is the same, nothing is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/beneath.h"
#include "base/crypto.h"
#include "base/files.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "publish/bundles_priv.h"
#include "publish/output_priv.h"

#define PLACE_NAME "web"
#define TAKEN_FILE "taken" /* "DIGEST RELEASE\n" */
#define PATH_MAX_  512

char *bundle_path(const char *app_id)
{
	struct strbuf b = strbuf_init(PATH_MAX_);

	strbuf_puts(&b, "/api/apps/");
	strbuf_add_percent(&b, app_id);
	strbuf_puts(&b, "/web-static/");
	return strbuf_steal(&b);
}

struct refresh *refresh_new(int root_fd, const char *app_id, const struct settings *settings,
			    const char *known)
{
	struct refresh *r = xcalloc(1, sizeof(*r));
	scoped(freep) char *base = bundle_path(app_id);

	r->root_fd = root_fd;
	r->apps_dir = xstrdup(settings->apps_dir);
	r->app_id = xstrdup(app_id);
	r->keep = keep_of(settings);
	snprintf(r->known, sizeof(r->known), "%s", known);
	r->checking = checking_new_at(root_fd, app_id, PLACE_NAME, base, settings);
	r->checking->outputs = xcalloc(2, sizeof(char *));
	r->checking->outputs[0] = xstrdup("dist");
	return r;
}

void refresh_free(void *arg)
{
	struct refresh *r = arg;

	checking_free(r->checking);
	shown_free(r->shown);
	fault_done(&r->fault);
	free(r->apps_dir);
	free(r->app_id);
	free(r);
}

static int internal(struct refresh *r, const char *what, int error)
{
	return fault_set_errno(&r->fault, FAULT_INTERNAL, error, "%s", what);
}

/* APP/web, which has a dist; -ENOENT where it hasn't. */
static int open_web(struct refresh *r)
{
	scoped(freep) char *web = xasprintf("%s/web", r->app_id);
	scoped(closep) int apps = open_directory(r->apps_dir);
	scoped(closep) int fd = -1, dist = -1;

	if (apps < 0)
		return internal(r, "apps.dir cannot be opened", apps);
	fd = beneath_open(apps, web, O_RDONLY | O_DIRECTORY);
	dist = fd < 0 ? fd : beneath_open(fd, "dist", O_PATH | O_DIRECTORY);
	if (dist == -ENOENT || dist == -ENOTDIR)
		return -ENOENT;
	if (dist < 0)
		return internal(r, "its web/dist cannot be opened", dist);
	r->checking->source_fd = STEAL_FD(fd);
	return 0;
}

static void digest(const struct checking *c, const struct output_list *list,
		   char ret[static SHA256_HEX_SIZE])
{
	scoped(sha256_state_freep) struct sha256_state *sha256 = sha256_begin();

	sha256_add(sha256, c->base, strlen(c->base) + 1);
	for (size_t i = 0; i < list->n; i++) {
		const struct output_file *f = &list->files[i];
		const uint64_t about[] = {
			f->size,
			f->device,
			f->inode,
			(uint64_t)f->changed.tv_sec,
			(uint64_t)f->changed.tv_nsec,
		};

		sha256_add(sha256, f->path, strlen(f->path) + 1);
		sha256_add(sha256, about, sizeof(about));
	}
	sha256_end_hex(sha256, ret);
}

/* What is there now. */
static int look(struct refresh *r, char ret_digest[static SHA256_HEX_SIZE])
{
	struct checking *c = r->checking;
	scoped(output_list_done) struct output_list list = { 0 };
	scoped(output_report_done) struct output_report report = { 0 };
	scoped(closep) int dist = -1;
	const struct output_request request = {
		.project_fd = c->source_fd,
		.outputs = (const char *const *)c->outputs,
		.limits = c->limits,
	};
	const char *name;
	int result = output_find(&request, &dist, &name, &r->fault);

	if (result >= 0)
		result =
			output_walk(&request, dist, &c->cancel, &list, &report.warnings, &r->fault);
	if (result >= 0)
		digest(c, &list, ret_digest);
	return result;
}

/* Whether what was taken last is that, and is what is current. */
static bool was_taken(int place_fd, const char *sha256, const char *current)
{
	scoped(freep) char *expected = xasprintf("%s %s\n", sha256, current);
	scoped(freep) char *taken = NULL;

	return current[0] && read_file_at(place_fd, TAKEN_FILE, 256, &taken, NULL) >= 0 &&
	       strcmp(taken, expected) == 0;
}

static int take(struct refresh *r, const char *sha256)
{
	struct checking *c = r->checking;
	scoped(freep) char *taken = NULL;
	int result = checking_work(c);

	if (result >= 0)
		result = finishing_work(c);
	if (result < 0) {
		fault_move(&r->fault, &c->fault);
		return result;
	}
	result = release_activate(c->place_fd, c->release_id, NULL);
	if (result < 0)
		return internal(r, "the release cannot be shown", result);
	c->is_taken = true;
	taken = xasprintf("%s %s\n", sha256, c->release_id);
	result = write_file_at(c->place_fd, TAKEN_FILE, taken, strlen(taken), 0600);
	if (result >= 0)
		result = release_prune(c->place_fd, &r->keep);
	return result < 0 ? internal(r, "the releases cannot be kept", result) : 0;
}

static int show(struct refresh *r, const char *current)
{
	scoped(closep) int place = -1;
	int result;

	if (strcmp(r->known, current) == 0)
		return 0;
	result = release_place(r->root_fd, r->app_id, PLACE_NAME, false, &place);
	if (result >= 0)
		result = shown_open(place, current, &r->shown);
	return result < 0 ? internal(r, "the release cannot be opened", result) : 0;
}

int refresh_work(void *input)
{
	struct refresh *r = input;
	char sha256[SHA256_HEX_SIZE], current[RELEASE_ID_SIZE];
	scoped(closep) int place = -1;
	int result = open_web(r);

	if (result == -ENOENT) {
		r->is_none = true;
		return release_remove_all(r->root_fd, r->app_id, PLACE_NAME);
	}
	if (result >= 0)
		result = look(r, sha256);
	if (result < 0)
		return result;
	result = release_place(r->root_fd, r->app_id, PLACE_NAME, true, &place);
	if (result >= 0)
		result = release_current(place, current);
	if (result < 0)
		return internal(r, "there is no place for it", result);
	if (was_taken(place, sha256, current))
		return show(r, current);
	result = take(r, sha256);
	return result < 0 ? result : show(r, r->checking->release_id);
}
