/* SPDX-License-Identifier: MIT */
/*
 * manifest.json: one object a file, read and written whole.  What is read is checked as if it came
 * from outside, since what it names is opened and sent.
 */
#include "http/manifest.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"

#define MANIFEST_NAME    "manifest.json"
#define MANIFEST_VERSION 1

/* Far past what publish.files_max lets through. */
#define MANIFEST_BYTES_MAX ((size_t)256 * 1024 * 1024)

#define EXACT_INTEGER_MAX 9007199254740992.0 /* 2^53: of a double */

struct manifest *manifest_new(void)
{
	return xcalloc(1, sizeof(struct manifest));
}

struct manifest *manifest_free(struct manifest *m)
{
	if (!m)
		return NULL;
	for (size_t i = 0; i < m->n_files; i++) {
		free(m->files[i].path);
		free(m->files[i].type);
	}
	free(m->files);
	free(m->base);
	free(m);
	return NULL;
}

void manifest_add(struct manifest *m, const struct manifest_file *file)
{
	struct manifest_file *slot;

	/* room is doubled whenever it is used up, so its size needs no place of its own */
	if ((m->n_files & (m->n_files - 1)) == 0)
		m->files = xrealloc(m->files, (m->n_files ? m->n_files * 2 : 1) * sizeof(*slot));

	slot = &m->files[m->n_files++];
	*slot = *file;
	slot->path = xstrdup(file->path);
	slot->type = xstrdup(file->type);
	m->bytes += file->size;
}

static int compare(const void *a, const void *b)
{
	const struct manifest_file *left = a, *right = b;

	return strcmp(left->path, right->path);
}

static int compare_path(const void *path, const void *file)
{
	return strcmp(path, ((const struct manifest_file *)file)->path);
}

static void sort(struct manifest *m)
{
	if (m->n_files > 1)
		qsort(m->files, m->n_files, sizeof(*m->files), compare);
}

const struct manifest_file *manifest_find(const struct manifest *m, const char *path)
{
	if (m->n_files == 0)
		return NULL;
	return bsearch(path, m->files, m->n_files, sizeof(*m->files), compare_path);
}

/*
 * What may stand in a manifest
 */

static bool is_printable(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

static bool path_is_plain(const char *path)
{
	const char *part = path;

	if (!is_printable(path) || strchr(path, '\\') || !utf8_is_valid(path, strlen(path)))
		return false;
	for (;;) {
		size_t len = strcspn(part, "/");

		if (len == 0 || len > NAME_MAX || (len == 1 && part[0] == '.') ||
		    (len == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		if (!part[len])
			return true;
		part += len + 1;
	}
}

static bool digest_is_one(const char *s)
{
	return strspn(s, "0123456789abcdef") == 64 && s[64] == '\0';
}

static int check(const struct manifest *m, struct fault *reterr)
{
	for (size_t i = 0; i < m->n_files; i++) {
		const struct manifest_file *f = &m->files[i];

		if (!path_is_plain(f->path))
			return fault_set(reterr, FAULT_BAD_OUTPUT,
					 "'%.200s' cannot be the path of a published file",
					 f->path);
		if (!digest_is_one(f->sha256) || !f->type[0] || !is_printable(f->type))
			return fault_set(reterr, FAULT_BAD_OUTPUT,
					 "the manifest has no digest or no type of '%.200s'",
					 f->path);
		if (i > 0 && strcmp(m->files[i - 1].path, f->path) == 0)
			return fault_set(reterr, FAULT_BAD_OUTPUT,
					 "the manifest has '%.200s' twice", f->path);
	}
	return 0;
}

/*
 * Writing
 */

static void add_file(struct strbuf *b, const struct manifest_file *f)
{
	strbuf_puts(b, "{\"path\":");
	strbuf_add_json_string(b, f->path);
	strbuf_printf(b, ",\"size\":%" PRIu64 ",\"sha256\":\"%s\",\"type\":", f->size, f->sha256);
	strbuf_add_json_string(b, f->type);
	if (f->br_size)
		strbuf_printf(b, ",\"br\":%" PRIu64, f->br_size);
	if (f->gz_size)
		strbuf_printf(b, ",\"gz\":%" PRIu64, f->gz_size);
	strbuf_puts(b, f->fingerprinted ? ",\"fingerprinted\":true}" : "}");
}

int manifest_write(int dirfd, struct manifest *m)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(MANIFEST_BYTES_MAX);
	int r;

	sort(m);
	r = check(m, NULL);
	if (r < 0)
		return r;

	strbuf_printf(&b, "{\"version\":%d,\"created_at\":%" PRId64, MANIFEST_VERSION,
		      m->created_at);
	if (m->base) {
		strbuf_puts(&b, ",\"base\":");
		strbuf_add_json_string(&b, m->base);
	}
	strbuf_puts(&b, ",\"files\":[");
	for (size_t i = 0; i < m->n_files; i++) {
		strbuf_puts(&b, i ? ",\n" : "\n");
		add_file(&b, &m->files[i]);
	}
	strbuf_puts(&b, "\n]}\n");
	if (b.error)
		return b.error;
	return write_file_at(dirfd, MANIFEST_NAME, b.data, b.len, 0644);
}

/*
 * Reading
 */

/* What isn't there is 0. */
static bool read_u64(const cJSON *object, const char *name, uint64_t *ret)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	*ret = 0;
	if (!item)
		return true;
	if (!cJSON_IsNumber(item) || item->valuedouble < 0 ||
	    item->valuedouble > EXACT_INTEGER_MAX ||
	    item->valuedouble != (double)(uint64_t)item->valuedouble)
		return false;
	*ret = (uint64_t)item->valuedouble;
	return true;
}

static bool read_file(struct manifest *m, const cJSON *item)
{
	const char *path = json_string(item, "path");
	const char *digest = json_string(item, "sha256");
	const char *type = json_string(item, "type");
	struct manifest_file f = { .path = (char *)path, .type = (char *)type };

	if (!path || !digest || !type || !digest_is_one(digest) ||
	    !read_u64(item, "size", &f.size) || !read_u64(item, "br", &f.br_size) ||
	    !read_u64(item, "gz", &f.gz_size))
		return false;
	memcpy(f.sha256, digest, sizeof(f.sha256));
	f.fingerprinted = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(item, "fingerprinted"));
	manifest_add(m, &f);
	return true;
}

static bool read_files(struct manifest *m, const cJSON *document)
{
	const cJSON *files = cJSON_GetObjectItemCaseSensitive(document, "files");
	const cJSON *item;
	uint64_t version, created_at;

	if (!read_u64(document, "version", &version) || version != MANIFEST_VERSION ||
	    !read_u64(document, "created_at", &created_at) || !cJSON_IsArray(files))
		return false;
	m->created_at = (int64_t)created_at;
	m->base = xstrdup_null(json_string(document, "base"));
	cJSON_ArrayForEach(item, files)
	{
		if (!read_file(m, item))
			return false;
	}
	return true;
}

int manifest_read(int dirfd, struct manifest **ret, struct fault *reterr)
{
	scoped(manifest_freep) struct manifest *m = manifest_new();
	scoped(json_freep) cJSON *document = NULL;
	scoped(freep) char *text = NULL;
	size_t len;
	int r;

	r = read_file_at(dirfd, MANIFEST_NAME, MANIFEST_BYTES_MAX, &text, &len);
	if (r < 0) {
		fault_set(reterr, FAULT_INTERNAL, "the release's manifest cannot be read: %s",
			  strerror(-r));
		return r;
	}
	r = json_parse(text, len, &document, reterr);
	if (r < 0)
		return r;
	if (!read_files(m, document))
		return fault_set(reterr, FAULT_BAD_OUTPUT, "the release's manifest is damaged");
	sort(m);
	r = check(m, reterr);
	if (r < 0)
		return r;

	*ret = STEAL(m);
	return 0;
}
