/* SPDX-License-Identifier: MIT */
/*
 * From what a build put out to the files of a release: copied as bytes, digested, and named in the
 * manifest.  Text is held in memory while it is worked on, anything else goes through a small
 * buffer.  What the release before had already is shared with it, never with the project.
 */
#include "publish/output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "base/parse.h"
#include "publish/beneath.h"
#include "publish/output_priv.h"

/* Text up to here is held in memory; past it, it is copied as it is. */
#define TEXT_MAX  (16 * 1024 * 1024)
#define COPY_STEP (128 * 1024)

/* No output has a file of this name: names with a dot are left out. */
#define SHARED_NAME ".shared"

/* The directories of a release. */
enum place { PLACE_FILES, PLACE_BR, PLACE_GZ, N_PLACES };
static const char *const place_names[] = { "files", "br", "gz" };

struct taking {
	const struct output_request *request;
	const volatile bool *cancel;
	struct output_list list;
	int output_fd;
	int places[N_PLACES];
	int previous[N_PLACES];  /* -1: none */
	struct manifest *before; /* of the release before, or NULL */
	struct manifest *manifest;
	struct output_report *report;
	struct fault *reterr;
	char *buffer; /* COPY_STEP bytes */
};

void output_report_done(struct output_report *r)
{
	free(r->base_state);
	strv_free(r->warnings);
	*r = (struct output_report){ 0 };
}

static void taking_done(struct taking *t)
{
	output_list_done(&t->list);
	closep(&t->output_fd);
	for (size_t i = 0; i < N_PLACES; i++) {
		closep(&t->places[i]);
		closep(&t->previous[i]);
	}
	manifest_free(t->before);
	free(t->buffer);
}

static int canceled(const struct taking *t)
{
	return fault_set(t->reterr, FAULT_BUILD_CANCELED, "The build was canceled");
}

static int cannot_write(const struct taking *t, const char *path, int error)
{
	return fault_set(t->reterr, FAULT_INTERNAL, "The release's file '%s' cannot be written: %s",
			 path, strerror(-error));
}

static int changed(const struct taking *t, const char *path)
{
	return fault_set(t->reterr, FAULT_BAD_OUTPUT,
			 "'%s' was changed while it was being published", path);
}

/* --- files of the release */

/* Makes the directories above `path`. */
static int make_parents(int dirfd, const char *path)
{
	scoped(freep) char *parent = xstrdup(path);

	for (char *slash = parent; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdirat(dirfd, parent, 0755) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

static int create(int dirfd, const char *path)
{
	int fd, r = make_parents(dirfd, path);

	if (r < 0)
		return r;
	fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	/* As it is served, whatever the umask. */
	if (fchmod(fd, 0644) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		const ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_file(const struct taking *t, enum place place, const char *path, const char *data,
		      size_t len)
{
	scoped(closep) int fd = create(t->places[place], path);
	const int r = fd < 0 ? fd : write_all(fd, data, len);

	return r < 0 ? cannot_write(t, path, r) : 0;
}

/* The same file of the release before, or NULL. */
static const struct manifest_file *find_equal(const struct taking *t,
					      const struct manifest_file *file)
{
	const struct manifest_file *old = t->before ? manifest_find(t->before, file->path) : NULL;

	if (!old || old->size != file->size || strcmp(old->sha256, file->sha256) != 0)
		return NULL;
	return old;
}

/* Shares what the release before has there; where that can't be, it is written anew. */
static bool share(const struct taking *t, enum place place, const char *path, uint64_t size)
{
	struct stat st;

	if (t->previous[place] < 0 ||
	    fstatat(t->previous[place], path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
		return false;
	if (make_parents(t->places[place], path) < 0)
		return false;
	return linkat(t->previous[place], path, t->places[place], path, 0) == 0;
}

/* The same for a file that was written to learn its digest: the shared one takes its place. */
static void share_late(const struct taking *t, const char *path, uint64_t size)
{
	struct stat st;

	if (t->previous[PLACE_FILES] < 0 ||
	    fstatat(t->previous[PLACE_FILES], path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
		return;
	if (linkat(t->previous[PLACE_FILES], path, t->places[PLACE_FILES], SHARED_NAME, 0) == 0 &&
	    renameat(t->places[PLACE_FILES], SHARED_NAME, t->places[PLACE_FILES], path) < 0)
		(void)unlinkat(t->places[PLACE_FILES], SHARED_NAME, 0);
}

/* --- one file */

/* Opens what was looked at, and looks again. */
static int open_source(const struct taking *t, const struct output_file *f, int *ret_fd)
{
	scoped(closep) int fd = f->is_link ? beneath_open(t->output_fd, f->path, O_RDONLY)
					   : beneath_open_plain(t->output_fd, f->path, O_RDONLY);
	struct stat st;

	if (fd == -EACCES)
		return fault_set(t->reterr, FAULT_BAD_OUTPUT, "'%s' cannot be read: %s", f->path,
				 strerror(EACCES));
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size != f->size || st.st_ino != f->inode)
		return changed(t, f->path);
	*ret_fd = STEAL_FD(fd);
	return 0;
}

/* Up to `len` bytes; fewer only at the file's end. */
static ssize_t read_full(int fd, char *to, size_t len)
{
	size_t done = 0;

	while (done < len) {
		const ssize_t n = read(fd, to + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* Copies from `in` to `out`, exactly as many bytes as there were. */
static int copy_bytes(const struct taking *t, const struct output_file *f, int in, int out,
		      struct sha256_state *digest)
{
	uint64_t left = f->size;

	while (left > 0) {
		const size_t step = left < COPY_STEP ? (size_t)left : COPY_STEP;
		int r;

		if (*t->cancel)
			return canceled(t);
		if (read_full(in, t->buffer, step) != (ssize_t)step)
			return changed(t, f->path);
		sha256_add(digest, t->buffer, step);
		r = write_all(out, t->buffer, step);
		if (r < 0)
			return cannot_write(t, f->path, r);
		left -= step;
	}
	return read_full(in, t->buffer, 1) == 0 ? 0 : changed(t, f->path);
}

static int take_bytes(const struct taking *t, const struct output_file *f, int in,
		      struct manifest_file *file)
{
	scoped(sha256_state_freep) struct sha256_state *digest = sha256_begin();
	scoped(closep) int out = create(t->places[PLACE_FILES], f->path);
	int r = out < 0 ? cannot_write(t, f->path, out) : copy_bytes(t, f, in, out, digest);

	if (r < 0)
		return r;
	sha256_end_hex(digest, file->sha256);
	if (find_equal(t, file))
		share_late(t, f->path, file->size);
	return 0;
}

static int read_text(const struct taking *t, const struct output_file *f, int in, char **ret)
{
	scoped(freep) char *text = xcalloc(1, f->size + 1);

	if (read_full(in, text, f->size + 1) != (ssize_t)f->size)
		return changed(t, f->path);
	*ret = STEAL(text);
	return 0;
}

static int take_text(const struct taking *t, const struct output_file *f, int in,
		     struct manifest_file *file)
{
	scoped(freep) char *text = NULL;
	int r = read_text(t, f, in, &text);

	if (r < 0)
		return r;
	sha256_hex(text, f->size, file->sha256);
	if (!find_equal(t, file) || !share(t, PLACE_FILES, f->path, file->size))
		r = write_file(t, PLACE_FILES, f->path, text, f->size);
	return r;
}

static int take_file(struct taking *t, const struct output_file *f)
{
	const char *type = manifest_type_of(f->path);
	struct manifest_file file = {
		.path = f->path,
		.size = f->size,
		.type = (char *)type,
		.fingerprinted = manifest_is_fingerprinted(f->path),
	};
	scoped(closep) int in = -1;
	int r;

	if (*t->cancel)
		return canceled(t);
	r = open_source(t, f, &in);
	if (r < 0)
		return r;
	if (manifest_is_compressible(type) && f->size <= TEXT_MAX)
		r = take_text(t, f, in, &file);
	else
		r = take_bytes(t, f, in, &file);
	if (r < 0)
		return r;
	manifest_add(t->manifest, &file);
	t->report->n_files++;
	t->report->bytes += file.size;
	return 0;
}

/* --- all of it */

static int open_places(struct taking *t)
{
	const struct output_request *request = t->request;

	for (size_t i = 0; i < N_PLACES; i++) {
		t->places[i] = openat(request->target_fd, place_names[i],
				      O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (t->places[i] < 0)
			return cannot_write(t, place_names[i], -errno);
		if (request->previous_fd >= 0)
			t->previous[i] = openat(request->previous_fd, place_names[i],
						O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	/* One that can't be read has nothing to share. */
	if (request->previous_fd >= 0 && manifest_read(request->previous_fd, &t->before, NULL) < 0)
		t->before = NULL;
	return 0;
}

static int take_all(struct taking *t)
{
	for (size_t i = 0; i < t->list.n; i++) {
		const int r = take_file(t, &t->list.files[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

int output_take(const struct output_request *request, const volatile bool *cancel,
		struct manifest *manifest, struct output_report *report, struct fault *reterr)
{
	scoped(taking_done) struct taking t = {
		.request = request,
		.cancel = cancel,
		.output_fd = -1,
		.places = { -1, -1, -1 },
		.previous = { -1, -1, -1 },
		.manifest = manifest,
		.report = report,
		.reterr = reterr,
		.buffer = xcalloc(1, COPY_STEP),
	};
	const char *name;
	int r = output_find(request, &t.output_fd, &name, reterr);

	if (r < 0)
		return r;
	r = output_walk(request, t.output_fd, cancel, &t.list, &report->warnings, reterr);
	if (r < 0)
		return r;
	r = open_places(&t);
	if (r < 0)
		return r;

	manifest->created_at = (int64_t)clock_realtime();
	free(manifest->base);
	manifest->base = xstrdup_null(request->base);
	r = take_all(&t);
	if (r < 0)
		return r;
	manifest->bytes = report->bytes;
	report->base_state = xstrdup("none");
	return 0;
}
