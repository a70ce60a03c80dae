/* SPDX-License-Identifier: MIT */
/*
 * The last phases of a build, in a helper thread: what it put out becomes a release, which is not
 * the current one yet.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/mem.h"
#include "publish/publisher_priv.h"

#define DEPTH_MAX 64

struct checking *checking_new_at(int root_fd, const char *session_id, const char *name,
				 const char *base, const struct settings *settings)
{
	struct checking *c = xcalloc(1, sizeof(*c));

	c->state_fd = -1;
	c->published_fd = root_fd;
	c->session_id = xstrdup(session_id);
	c->name = xstrdup(name);
	c->base = xstrdup_null(base);
	c->limits = (struct output_limits){
		.files = settings->publish_files_max,
		.file_bytes = settings->publish_file_max,
		.bytes = settings->publish_bytes_max,
		.depth = DEPTH_MAX,
	};
	c->source_fd = c->place_fd = c->target_fd = -1;
	return c;
}

struct checking *checking_new(const struct page *page, const char *base)
{
	const struct publisher *p = page->shelf->publisher;
	struct checking *c = checking_new_at(p->published_fd, page->shelf->session_id, page->name,
					     base, p->settings);

	c->state_fd = p->state_fd;
	return c;
}

static void discard(struct checking *c)
{
	c->is_finished = c->is_begun = false;
	(void)!release_discard(c->place_fd, c->release_id); /* else it goes when its turn comes */
}

void checking_free(void *arg)
{
	struct checking *c = arg;

	if (c->is_begun && !c->is_finished)
		release_abandon(c->place_fd, c->release_id);
	if (c->is_finished && !c->is_taken)
		discard(c); /* it was canceled in the last moment */
	closep(&c->source_fd);
	closep(&c->target_fd);
	closep(&c->place_fd);
	manifest_free(c->manifest);
	output_report_done(&c->report);
	fault_done(&c->fault);
	strv_free(c->outputs);
	free(c->session_id);
	free(c->name);
	free(c->project);
	free(c->base);
	free(c->source_id);
	free(c->rebase_from);
	free(c);
}

static int internal(struct checking *c, const char *what, int r)
{
	return fault_set_errno(&c->fault, FAULT_INTERNAL, r, "%s", what);
}

static int previous_release(const struct checking *c, int *ret_fd)
{
	char id[RELEASE_ID_SIZE];
	int r = release_current(c->place_fd, id);

	if (r < 0)
		return r;
	return id[0] ? release_open(c->place_fd, id, ret_fd) : -ENOENT;
}

/* 1 where there is nothing to make: what cannot be read is for the switch to tell of. */
static int open_source(struct checking *c, int *ret_fd)
{
	scoped(manifest_freep) struct manifest *manifest = NULL;
	scoped(closep) int fd = -1;

	memcpy(c->release_id, c->source_id, sizeof(c->release_id));
	if (release_open(c->place_fd, c->source_id, &fd) < 0 ||
	    manifest_read(fd, &manifest, NULL) < 0 || !manifest->base ||
	    strcmp(manifest->base, c->base) == 0)
		return 1;
	c->rebase_from = STEAL(manifest->base);
	*ret_fd = STEAL_FD(fd);
	return 0;
}

int checking_work(void *input)
{
	struct checking *c = input;
	scoped(closep) int project = -1, previous = -1;
	struct output_request request;
	struct stat source;
	int r = release_place(c->published_fd, c->session_id, c->name, true, &c->place_fd);

	if (r >= 0 && c->source_id && open_source(c, &previous) > 0)
		return 0;
	if (r >= 0)
		r = release_begin(c->place_fd, c->release_id, &c->target_fd);
	if (r < 0)
		return internal(c, "there is no place for the release", r);
	c->is_begun = true;
	if (!c->source_id && previous_release(c, &previous) < 0)
		previous = -1;
	if (c->project) {
		/* Where a package lies in its workspace, its build may have put a link. */
		project = beneath_open_plain(c->state_fd, c->project, O_RDONLY | O_DIRECTORY);
		if (project < 0)
			return fault_set_errno(&c->fault, FAULT_BAD_OUTPUT, project,
					       "the project is not where it was built");
	}
	request = (struct output_request){
		.project_fd = c->project       ? project
			      : c->rebase_from ? previous
					       : c->source_fd,
		.outputs = (const char *const *)c->outputs,
		.base = c->base,
		.rebase_from = c->rebase_from,
		.is_static = c->is_static,
		.limits = c->limits,
		.target_fd = c->target_fd,
		.previous_fd = previous,
	};
	/* A project that is published as it lies there, and isn't ours. */
	if (request.project_fd == c->source_fd) {
		if (fstat(c->source_fd, &source) < 0)
			return internal(c, "the project cannot be looked at", -errno);
		request.owner = source.st_uid == geteuid() ? NULL : &source.st_uid;
	}
	c->manifest = manifest_new();
	r = output_take(&request, &c->cancel, c->manifest, &c->report, &c->fault);
	if (r < 0)
		return r;
	c->bytes = c->manifest->bytes;
	for (size_t i = 0; i < c->manifest->n_files; i++)
		c->bytes += c->manifest->files[i].br_size + c->manifest->files[i].gz_size;
	r = manifest_write(c->target_fd, c->manifest);
	return r < 0 ? internal(c, "the manifest cannot be written", r) : 0;
}

int finishing_work(void *input)
{
	struct checking *c = input;
	int r = release_finish(c->place_fd, c->release_id, c->manifest->n_files, c->bytes);

	c->is_finished = r >= 0;
	if (c->is_finished && c->cancel) {
		discard(c);
		return -ECANCELED;
	}
	return r < 0 ? internal(c, "the release cannot be made", r) : 0;
}

/* The input goes on to the next job: what the first one has is the second one's. */
struct checking *checking_take_over(struct checking *from)
{
	struct checking *c = xcalloc(1, sizeof(*c));

	*c = *from;
	*from = (struct checking){ .source_fd = -1, .place_fd = -1, .target_fd = -1 };
	return c;
}
