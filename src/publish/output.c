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

#include "base/beneath.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/files.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/trees.h"
#include "publish/compress.h"
#include "publish/hostrules.h"
#include "publish/output_priv.h"
#include "publish/rebase.h"
#include "publish/rewrite.h"

/* Text up to here is held in memory; past it, it is copied as it is. */
#define TEXT_MAX  (16 * 1024 * 1024)
#define COPY_STEP (128 * 1024)

/* No output has a file of this name: names with a dot are left out. */
#define SHARED_NAME ".shared"

#define REWRITTEN_MAX (2 * TEXT_MAX)
#define COMPRESS_FROM 1024

struct text_of_file {
	const char *data;
	size_t len;
};

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
	char *buffer;               /* COPY_STEP bytes */
	struct rewrite_rules rules; /* of a base */
	bool has_integrity;         /* scripts and style sheets must stay as they are */
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
	return fault_set_errno(t->reterr, FAULT_INTERNAL, error,
			       "The release's file '%s' cannot be written", path);
}

static int changed(const struct taking *t, const char *path)
{
	return fault_set(t->reterr, FAULT_BAD_OUTPUT,
			 "'%s' was changed while it was being published", path);
}

/* It has another length than there was, or its disk failed. */
static int not_read(const struct taking *t, const char *path, ssize_t n)
{
	if (n >= 0)
		return changed(t, path);
	return fault_set_errno(t->reterr, FAULT_BAD_OUTPUT, (int)n, "'%s' cannot be read", path);
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
	    (uint64_t)st.st_size != f->size || st.st_ino != f->inode ||
	    (t->request->owner && tree_is_foreign(&st, *t->request->owner)))
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
		ssize_t n;
		int r;

		if (*t->cancel)
			return canceled(t);
		n = read_full(in, t->buffer, step);
		if (n != (ssize_t)step)
			return not_read(t, f->path, n);
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
	const ssize_t n = read_full(in, text, f->size + 1);

	if (n != (ssize_t)f->size)
		return not_read(t, f->path, n);
	*ret = STEAL(text);
	return 0;
}

/* A text made for another base. */
static bool rebase(struct taking *t, const struct output_file *f, const char *text,
		   struct strbuf *ret)
{
	if (rebase_text(text, f->size, t->request->rebase_from, t->request->base, ret) == 0 ||
	    ret->error < 0)
		return false;
	t->report->n_rewritten++;
	return true;
}

/* The text with the addresses moved, in `ret`; what it grows by is bounded, past that it stays. */
static bool rewrite(struct taking *t, const struct output_file *f, const char *text,
		    struct strbuf *ret)
{
	const enum rewrite_kind kind = rewrite_kind_of(f->path);

	if (t->request->rebase_from)
		return rebase(t, f, text, ret);
	if (!t->request->base || kind == REWRITE_NONE ||
	    (t->has_integrity && (kind == REWRITE_SCRIPT || kind == REWRITE_CSS)))
		return false;
	if (rewrite_text(kind, text, f->size, &t->rules, ret) == 0)
		return false;
	if (ret->error < 0) {
		warnings_add(&t->report->warnings,
			     "'%s' has too many addresses: they stay as they are", f->path);
		return false;
	}
	t->report->n_rewritten++;
	return true;
}

static int encode(const struct taking *t, enum place place, const struct manifest_file *file,
		  const struct text_of_file *text, uint64_t size_before, compress_fn *compress,
		  uint64_t *ret_size)
{
	/* Only what is smaller is worth a file. */
	scoped(strbuf_done) struct strbuf b = strbuf_init(text->len - 1);
	int r;

	if (size_before > 0 && share(t, place, file->path, size_before)) {
		*ret_size = size_before;
		return 0;
	}
	if (*t->cancel)
		return canceled(t);
	if (!compress(text->data, text->len, &b))
		return 0;
	r = write_file(t, place, file->path, b.data, b.len);
	if (r == 0)
		*ret_size = b.len;
	return r;
}

static int take_text(struct taking *t, const struct output_file *f, int in,
		     struct manifest_file *file)
{
	scoped(strbuf_done) struct strbuf rewritten = strbuf_init(REWRITTEN_MAX);
	scoped(freep) char *original = NULL;
	const struct manifest_file *equal;
	struct text_of_file text;
	int r = read_text(t, f, in, &original);

	if (r < 0)
		return r;
	text = (struct text_of_file){ original, f->size };
	if (rewrite(t, f, original, &rewritten))
		text = (struct text_of_file){ rewritten.data, rewritten.len };
	file->size = text.len;
	sha256_hex(text.data, text.len, file->sha256);
	equal = find_equal(t, file);
	if (!equal || !share(t, PLACE_FILES, f->path, file->size))
		r = write_file(t, PLACE_FILES, f->path, text.data, text.len);
	if (r < 0 || text.len <= COMPRESS_FROM)
		return r;
	r = encode(t, PLACE_BR, file, &text, equal ? equal->br_size : 0, compress_brotli,
		   &file->br_size);
	if (r < 0)
		return r;
	return encode(t, PLACE_GZ, file, &text, equal ? equal->gz_size : 0, compress_gzip,
		      &file->gz_size);
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
	t->report->n_files++;
	t->report->bytes += file.size;
	if (t->report->bytes > t->request->limits.bytes)
		return fault_set(t->reterr, FAULT_OUTPUT_TOO_LARGE,
				 "The output has more than %" PRIu64 " bytes (publish.bytes_max)",
				 t->request->limits.bytes);
	manifest_add(t->manifest, &file);
	return 0;
}

/* --- the base path */

struct name {
	const char *at;
	size_t len;
};

static int compare_name(const void *name, const void *file)
{
	const struct name *n = name;
	const char *path = ((const struct output_file *)file)->path;
	const int r = strncmp(n->at, path, n->len);

	return r ? r : -(path[n->len] != '\0');
}

static bool has_file(const char *path, size_t len, void *arg)
{
	const struct output_list *l = arg;
	const struct name name = { path, len };

	return l->n > 0 && bsearch(&name, l->files, l->n, sizeof(*l->files), compare_name);
}

/* What has to be known of the pages before the first file is taken. */
static int look_at_pages(struct taking *t)
{
	for (size_t i = 0; i < t->list.n; i++) {
		const struct output_file *f = &t->list.files[i];
		scoped(freep) char *outside = NULL;
		scoped(freep) char *text = NULL;
		scoped(closep) int in = -1;
		int r;

		if (rewrite_kind_of(f->path) != REWRITE_HTML || f->size > TEXT_MAX)
			continue;
		if (*t->cancel)
			return canceled(t);
		r = open_source(t, f, &in);
		if (r == 0)
			r = read_text(t, f, in, &text);
		if (r < 0)
			return r;
		t->has_integrity |= rewrite_has_integrity(text, f->size);
		if (strcmp(f->path, "index.html") != 0)
			continue;
		outside = rewrite_find_outside(text, f->size, t->request->base);
		t->rules.with_prefixes = outside != NULL;
	}
	if (t->has_integrity)
		warnings_add(&t->report->warnings,
			     "Pages hold digests of what they load (integrity=): scripts and style "
			     "sheets stay as they are");
	return 0;
}

/* Whether the entry page, as it is now in the release, can load what it asks for. */
static int check_base(struct taking *t)
{
	scoped(freep) char *outside = NULL;
	scoped(freep) char *html = NULL;
	size_t len;
	int r = beneath_read(t->places[PLACE_FILES], "index.html", REWRITTEN_MAX, &html, &len);

	if (r == -EMSGSIZE) {
		t->report->base_state = xstrdup("ok");
		return 0;
	}
	if (r < 0)
		return cannot_write(t, "index.html", r);
	outside = rewrite_find_outside(html, len, t->request->base);
	if (outside)
		warnings_add(&t->report->warnings,
			     "index.html asks for '%.200s', which is not below the page's path and "
			     "no file of the output: it will not be found",
			     outside);
	t->report->base_state = xstrdup(outside                      ? "broken"
					: t->report->n_rewritten > 0 ? "rewritten"
								     : "ok");
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

static int take_output(const struct output_request *request, const volatile bool *cancel,
		       struct manifest *manifest, struct output_report *report,
		       struct fault *reterr)
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
	if (!request->rebase_from)
		hostrules_check(t.output_fd, &report->warnings);
	r = open_places(&t);
	if (r < 0)
		return r;

	manifest->created_at = (int64_t)clock_realtime();
	free(manifest->base);
	manifest->base = xstrdup_null(request->base);
	if (request->base) {
		t.rules = (struct rewrite_rules){ .base = request->base,
						  .has_file = has_file,
						  .arg = &t.list };
		r = request->rebase_from ? 0 : look_at_pages(&t);
		if (r < 0)
			return r;
	}
	r = take_all(&t);
	if (r < 0)
		return r;
	manifest->bytes = report->bytes;
	if (request->base)
		return check_base(&t);
	report->base_state = xstrdup("none");
	return 0;
}

int output_take(const struct output_request *request, const volatile bool *cancel,
		struct manifest *manifest, struct output_report *report, struct fault *reterr)
{
	int r;

	beneath_forget_failure();
	r = take_output(request, cancel, manifest, report, reterr);
	return beneath_tell_failure(r, "The output cannot be read", reterr);
}
