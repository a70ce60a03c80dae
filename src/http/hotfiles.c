/* SPDX-License-Identifier: MIT */
/*
 * Where a file's bytes are.  What is small and asked for often is held in memory with the fields of
 * its answer ready; of what is larger the descriptor is kept open.  Both are bounded, for a site
 * and for all of them; what was used the longest ago goes first.
 *
 * Nothing here is ever stale: a site's tree doesn't change.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#include "base/beneath.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/strbuf.h"
#include "http/static_priv.h"

/* Up to here to copy costs less than sendfile() does: measured, on loopback. */
#define SMALL_MAX ((uint64_t)8 * 1024)

#define SITE_BYTES_MAX ((size_t)8 * 1024 * 1024)
#define SITE_OPEN_MAX  128
#define ALL_BYTES_MAX  (64.0 * 1024 * 1024)
#define ALL_OPEN_MAX   512.0

/*
 * Opening
 */

static const char *const coding_trees[HTTP_CODING_COUNT_] = {
	[HTTP_CODING_IDENTITY] = "files",
	[HTTP_CODING_GZIP] = "gz",
	[HTTP_CODING_BR] = "br",
};

static int open_file(const struct hot_file *hot)
{
	const struct manifest_file *file = &hot->site->manifest->files[hot->index];
	scoped(freep) char *path = xasprintf("%s/%s", coding_trees[hot->coding], file->path);
	scoped(closep) int fd = beneath_open_plain(hot->site->dirfd, path, O_RDONLY);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != hot->size)
		return -ESTALE;
	return STEAL_FD(fd);
}

static int read_whole(int fd, uint64_t size, struct bytes **ret)
{
	char content[SMALL_MAX];
	size_t len = 0;

	while (len < size) {
		ssize_t n = pread(fd, content + len, (size_t)size - len, (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ESTALE;
		len += (size_t)n;
	}
	*ret = bytes_new(content, len);
	return 0;
}

/*
 * The bounds
 */

static size_t memory_of(const struct hot_file *hot)
{
	return sizeof(*hot) + hot->fields_len + (hot->bytes ? hot->bytes->len : 0);
}

static struct hot_file *hot_file_free(struct hot_file *hot)
{
	free(hot->fields);
	bytes_unref(hot->bytes);
	http_file_unref(hot->file);
	free(hot);
	return NULL;
}

static void count(struct hot_files *files, size_t bytes, size_t n_open, int sign)
{
	files->bytes += sign > 0 ? bytes : -bytes;
	files->n_open += sign > 0 ? n_open : -n_open;
	metric_add(METRIC_STATIC_CACHE_BYTES, sign * (double)bytes);
	metric_add(METRIC_STATIC_OPEN_FILES, sign * (double)n_open);
}

static void drop(struct hot_file *hot)
{
	struct hot_files *files = &hot->site->hot;

	count(files, memory_of(hot), hot->file != NULL, -1);
	files->table[hot->index][hot->coding] = NULL;
	DL_DELETE(files->list, hot);
	hot_file_free(hot);
}

static bool is_over(const struct hot_files *files)
{
	return files->bytes > SITE_BYTES_MAX || files->n_open > SITE_OPEN_MAX ||
	       metric_value(METRIC_STATIC_CACHE_BYTES) > ALL_BYTES_MAX ||
	       metric_value(METRIC_STATIC_OPEN_FILES) > ALL_OPEN_MAX;
}

/* Each site gives up of its own: the others' are in use, or go with them. */
static void make_room(struct hot_files *files, const struct hot_file *but)
{
	while (is_over(files) && files->list != but)
		drop(files->list);
}

void hot_files_init(struct static_site *site)
{
	site->hot = (struct hot_files){
		.table = xcalloc(site->manifest->n_files + 1, sizeof(*site->hot.table)),
	};
}

void hot_files_done(struct static_site *site)
{
	while (site->hot.list)
		drop(site->hot.list);
	free(site->hot.table);
}

/*
 * Getting
 */

static void add_fields(struct hot_file *hot, const struct manifest_file *file)
{
	static const char *const encodings[HTTP_CODING_COUNT_] = {
		[HTTP_CODING_GZIP] = "Content-Encoding: gzip\r\n",
		[HTTP_CODING_BR] = "Content-Encoding: br\r\n",
	};
	static const char *const suffixes[HTTP_CODING_COUNT_] = {
		[HTTP_CODING_IDENTITY] = "",
		[HTTP_CODING_GZIP] = "-gz",
		[HTTP_CODING_BR] = "-br",
	};
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	/* half of the digest is plenty, and shorter in each request */
	snprintf(hot->etag, sizeof(hot->etag), "\"%.32s%s\"", file->sha256, suffixes[hot->coding]);
	strbuf_puts(&b, "Accept-Ranges: bytes\r\n");
	hot->validators_at = b.len;
	strbuf_printf(&b, "ETag: %s\r\nLast-Modified: %s\r\n", hot->etag, hot->site->last_modified);
	hot->vary_at = b.len;
	if (file->br_size || file->gz_size)
		strbuf_puts(&b, "Vary: Accept-Encoding\r\n");
	hot->coding_at = b.len;
	if (encodings[hot->coding])
		strbuf_puts(&b, encodings[hot->coding]);
	hot->fields_len = b.len;
	hot->fields = strbuf_steal(&b);
}

struct hot_file *hot_file_get(struct static_site *site, const struct manifest_file *file,
			      enum http_coding coding)
{
	size_t index = (size_t)(file - site->manifest->files);
	struct hot_file *hot = site->hot.table[index][coding];

	if (hot) {
		if (hot->next) { /* else it is the last already */
			DL_DELETE(site->hot.list, hot);
			DL_APPEND(site->hot.list, hot);
		}
		return hot;
	}

	hot = xcalloc(1, sizeof(*hot));
	*hot = (struct hot_file){
		.site = site,
		.index = index,
		.coding = coding,
		.size = coding == HTTP_CODING_BR     ? file->br_size
			: coding == HTTP_CODING_GZIP ? file->gz_size
						     : file->size,
	};
	add_fields(hot, file);
	site->hot.table[index][coding] = hot;
	DL_APPEND(site->hot.list, hot);
	count(&site->hot, memory_of(hot), 0, 1);
	make_room(&site->hot, hot);
	return hot;
}

/* Others may have filled the memory of all: then what was just used is what this site gives up. */
void hot_file_put(struct hot_file *hot)
{
	if (is_over(&hot->site->hot))
		drop(hot);
}

int hot_file_load(struct hot_file *hot)
{
	scoped(closep) int fd = -1;
	int r;

	if (hot->bytes || hot->file)
		return 0;
	metric_inc(METRIC_STATIC_CACHE_MISSES);
	fd = open_file(hot);
	if (fd < 0)
		return fd;
	if (hot->size > SMALL_MAX) {
		hot->file = http_file_new_take(STEAL_FD(fd));
		count(&hot->site->hot, 0, 1, 1);
	} else {
		r = read_whole(fd, hot->size, &hot->bytes);
		if (r < 0)
			return r;
		count(&hot->site->hot, hot->bytes->len, 0, 1);
	}
	make_room(&hot->site->hot, hot);
	return 0;
}
