/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/fault.h"

/*
 * What an immutable tree of files holds: path, size, digest, type, encodings.  It is written once,
 * beside the files, and nothing that it doesn't name is served.
 *
 * In the tree's directory:  manifest.json, files/PATH, br/PATH and gz/PATH (precompressed).
 */
struct manifest_file {
	char *path;       /* relative, no empty, "." or ".." part: "assets/app-4f1c22aa.js" */
	uint64_t size;    /* bytes */
	char sha256[65];  /* hexadecimal, of the identity encoding */
	char *type;       /* the Content-Type, with its charset: manifest_type_of() */
	uint64_t br_size; /* 0: there is no such encoding */
	uint64_t gz_size;
	bool fingerprinted; /* its name changes with its content: manifest_is_fingerprinted() */
};

struct manifest {
	struct manifest_file *files; /* sorted by path (strcmp) */
	size_t n_files;
	uint64_t bytes; /* of all, identity encoding */
	char *base; /* the absolute path that it was built for: "/api/…/published/"; or NULL */
	int64_t created_at; /* µs since 1970: Last-Modified of all of it */
};

struct manifest *manifest_new(void);
struct manifest *manifest_free(struct manifest *m);
DEFINE_CLEANUP(struct manifest *, manifest_free)

/* Copies; in any order: manifest_write() sorts. */
void manifest_add(struct manifest *m, const struct manifest_file *file);

/* NULL when there is none of that path. */
const struct manifest_file *manifest_find(const struct manifest *m, const char *path);

/* "text/html; charset=utf-8" and the like by the path's extension; application/octet-stream. */
const char *manifest_type_of(const char *path);

/* Whether its text is worth compressing: text, JavaScript, JSON, XML, SVG, wasm, ... */
bool manifest_is_compressible(const char *type);

/* Whether a bundler put a digest into the name: assets/app-4f1c22aa.js, _next/static/..., ... */
bool manifest_is_fingerprinted(const char *path);

/* manifest.json in that directory: fsynced.  Both block: for helper threads. */
int manifest_write(int dirfd, struct manifest *m) must_use;
int manifest_read(int dirfd, struct manifest **ret, struct fault *reterr) must_use;
