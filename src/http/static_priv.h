/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/bytes.h"
#include "http/conditional.h"
#include "http/file.h"
#include "http/static.h"

/*
 * What the files of the static server share.  Each answers one question:
 *
 *	lookup.c       which file a path stands for
 *	conditional.c  in which encoding, whether at all, which part of it
 *	hotfiles.c     where its bytes are: in memory, in an open file
 *	static.c       what a request is answered
 */

/*
 * A file in one encoding, ready to be sent: the fields of its answer, and its bytes or its open
 * file, which are there once they were asked for.
 */
struct hot_file {
	struct static_site *site;
	size_t index; /* of the manifest's file */
	enum http_coding coding;
	uint64_t size;
	char etag[48]; /* with its quotes */
	char *fields;  /* "ETag: …\r\n", and what else an answer with it has */
	size_t fields_len;
	size_t validators_at, vary_at, coding_at; /* in them: each is followed by the next */
	struct bytes *bytes;
	struct http_file *file;
	struct hot_file *prev, *next; /* of the site; the first was used the longest ago */
};

/* A site's hot files, by file and encoding. */
struct hot_files {
	struct hot_file *(*table)[HTTP_CODING_COUNT_];
	struct hot_file *list;
	size_t bytes;
	size_t n_open;
};

struct static_site {
	size_t refs;
	int dirfd;
	struct manifest *manifest;
	char last_modified[HTTP_DATE_SIZE];
	struct hot_files hot;
};

/* hotfiles.c */
void hot_files_init(struct static_site *site);
void hot_files_done(struct static_site *site);

/* Never NULL; good until hot_file_put(), which comes before the next one is got. */
struct hot_file *hot_file_get(struct static_site *site, const struct manifest_file *file,
			      enum http_coding coding);
void hot_file_put(struct hot_file *hot);

/* Gets bytes or file: a negative errno where the file isn't what the manifest says. */
int hot_file_load(struct hot_file *hot) must_use;

/* lookup.c */
struct static_found {
	const struct manifest_file *file; /* NULL: nothing, or a redirect */
	enum { STATIC_HERE, STATIC_ADD_SLASH, STATIC_DROP_SLASH } redirect;
};

/* What stands at a decoded path, "a/b" ("" is the root). */
struct static_found static_lookup(const struct manifest *m, const char *path, bool trailing_slash);

/* 404.html of the path's directory, or of the nearest above it; NULL where there is none. */
const struct manifest_file *static_nearest_404(const struct manifest *m, const char *path);

/* What is behind the prefix, once more if it stands there twice: "…/published/api/…/published/x".
 */
const char *static_collapse(const char *path, const char *prefix);
