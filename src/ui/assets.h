/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

/*
 * The files of the Preview panel, embedded in the binary: what is in src/ui/assets/, each also
 * compressed.
 */
struct ui_asset {
	const char *name; /* "web-preview.js" */
	const char *content_type;
	const unsigned char *data;
	size_t len;
	const unsigned char *gzip; /* the same by gzip */
	size_t gzip_len;
};

extern const struct ui_asset ui_assets[];
extern const size_t n_ui_assets;

/* NULL where there is none of that name. */
const struct ui_asset *ui_asset_find(const char *name);
