/* SPDX-License-Identifier: MIT */
/*
 * Field values of a request for a file, one a line: Range, Accept-Encoding, If-None-Match, a date;
 * then a path.  Whatever they are, a part lies inside the file, an encoding is one that is there,
 * what is weakly the same includes what is strongly, and a path leads nowhere but to the manifest.
 */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "http/static_priv.h"
#include "http/url.h"

static const struct manifest *some_manifest(void)
{
	static const char *const paths[] = {
		"index.html", "a.html", "a/index.html", "b/index.html", "b/404.html", "c d.js",
	};
	static struct manifest m;
	static struct manifest_file files[ARRAY_SIZE(paths)];

	/* sorted already, but for the first */
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		files[i].path = (char *)paths[(i + 1) % ARRAY_SIZE(paths)];
	m.files = files;
	m.n_files = ARRAY_SIZE(paths);
	return &m;
}

static void try_range(const char *value)
{
	static const uint64_t sizes[] = { 0, 1, 10, 1000, INT64_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t from, len;

		if (http_range_parse(value, sizes[i], &from, &len) != HTTP_RANGE_PART)
			continue;
		assert(len > 0 && from < sizes[i] && len <= sizes[i] - from);
	}
}

static void try_coding(const char *value)
{
	for (unsigned there = 0; there < 4; there++) {
		enum http_coding coding = http_coding_choose(value, there & 1, there & 2);

		assert(coding != HTTP_CODING_GZIP || (there & 1));
		assert(coding != HTTP_CODING_BR || (there & 2));
	}
}

static void try_etag(const char *value)
{
	static const char etag[] = "\"0123-br\"";

	if (http_etag_listed(value, etag, false))
		assert(http_etag_listed(value, etag, true));
	if (!strstr(value, etag) && !strchr(value, '*'))
		assert(!http_etag_listed(value, etag, true));
}

static void try_date(const char *value)
{
	char text[HTTP_DATE_SIZE];
	int64_t seconds, again;

	if (http_date_parse(value, &seconds) < 0)
		return;
	http_date_format(seconds, text);
	assert(http_date_parse(text, &again) == 0 && again == seconds);
}

static void try_path(const char *value)
{
	scoped(http_path_done) struct http_path path = { 0 };
	const struct manifest *m = some_manifest();
	const struct manifest_file *page;
	struct static_found found;
	const char *joined;

	assert(static_collapse(value, "/b/") >= value);
	if (http_path_decode((struct http_view){ value, strlen(value) }, &path) < 0)
		return;
	joined = http_path_join(&path);
	assert(joined[0] != '/' && !strstr(joined, "//"));
	found = static_lookup(m, joined, path.trailing_slash);
	assert(!found.file || (found.file >= m->files && found.file < m->files + m->n_files));
	page = static_nearest_404(m, joined);
	assert(!page || strcmp(page->path, "b/404.html") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const tries[])(const char *) = {
		try_range, try_coding, try_etag, try_date, try_path,
	};
	scoped(freep) char *text = xmemdup(data, size);
	char *line = text;

	for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
		size_t len = strcspn(line, "\n");
		bool last = !line[len];

		line[len] = '\0';
		tries[i](line);
		if (last)
			break;
		line += len + 1;
	}
	return 0;
}
