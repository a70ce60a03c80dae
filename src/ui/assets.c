/* SPDX-License-Identifier: MIT */
/*
 * The embedded files; assets.inc is written by embed.c at build time.
 */
#include "ui/assets.h"

#include <string.h>

#include "ui/assets.inc"

const size_t n_ui_assets = sizeof(ui_assets) / sizeof(ui_assets[0]);

const struct ui_asset *ui_asset_find(const char *name)
{
	for (size_t i = 0; i < n_ui_assets; i++) {
		if (strcmp(ui_assets[i].name, name) == 0)
			return &ui_assets[i];
	}
	return NULL;
}
