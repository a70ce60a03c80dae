/* SPDX-License-Identifier: MIT */
/*
 * What a file's name says of it: its media type, and whether a bundler put a digest of the content
 * into it.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "http/manifest.h"

/*
 * Types
 */

#define UTF8 "; charset=utf-8"

/* Sorted by extension. */
static const struct {
	const char *extension;
	const char *type;
} types[] = {
	/* clang-format off */
	{ "3gp",         "video/3gpp" },
	{ "7z",          "application/x-7z-compressed" },
	{ "aac",         "audio/aac" },
	{ "apng",        "image/apng" },
	{ "atom",        "application/atom+xml" UTF8 },
	{ "avif",        "image/avif" },
	{ "bmp",         "image/bmp" },
	{ "bz2",         "application/x-bzip2" },
	{ "cjs",         "text/javascript" UTF8 },
	{ "css",         "text/css" UTF8 },
	{ "csv",         "text/csv" UTF8 },
	{ "cur",         "image/x-icon" },
	{ "data",        "application/octet-stream" },
	{ "doc",         "application/msword" },
	{ "docx",        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
	{ "eot",         "application/vnd.ms-fontobject" },
	{ "epub",        "application/epub+zip" },
	{ "flac",        "audio/flac" },
	{ "geojson",     "application/geo+json" },
	{ "gif",         "image/gif" },
	{ "glb",         "model/gltf-binary" },
	{ "gltf",        "model/gltf+json" },
	{ "gz",          "application/gzip" },
	{ "heic",        "image/heic" },
	{ "htm",         "text/html" UTF8 },
	{ "html",        "text/html" UTF8 },
	{ "ico",         "image/x-icon" },
	{ "ics",         "text/calendar" UTF8 },
	{ "jpeg",        "image/jpeg" },
	{ "jpg",         "image/jpeg" },
	{ "js",          "text/javascript" UTF8 },
	{ "json",        "application/json" },
	{ "json5",       "application/json5" },
	{ "jsonld",      "application/ld+json" },
	{ "jxl",         "image/jxl" },
	{ "ktx2",        "image/ktx2" },
	{ "m3u8",        "application/vnd.apple.mpegurl" },
	{ "m4a",         "audio/mp4" },
	{ "m4v",         "video/mp4" },
	{ "map",         "application/json" },
	{ "md",          "text/markdown" UTF8 },
	{ "mid",         "audio/midi" },
	{ "midi",        "audio/midi" },
	{ "mjs",         "text/javascript" UTF8 },
	{ "mov",         "video/quicktime" },
	{ "mp3",         "audio/mpeg" },
	{ "mp4",         "video/mp4" },
	{ "mpeg",        "video/mpeg" },
	{ "mpg",         "video/mpeg" },
	{ "oga",         "audio/ogg" },
	{ "ogg",         "audio/ogg" },
	{ "ogv",         "video/ogg" },
	{ "opus",        "audio/ogg" },
	{ "otf",         "font/otf" },
	{ "pdf",         "application/pdf" },
	{ "png",         "image/png" },
	{ "pptx",        "application/vnd.openxmlformats-officedocument.presentationml.presentation" },
	{ "rss",         "application/rss+xml" UTF8 },
	{ "rtf",         "application/rtf" },
	{ "svg",         "image/svg+xml" },
	{ "tar",         "application/x-tar" },
	{ "tif",         "image/tiff" },
	{ "tiff",        "image/tiff" },
	{ "toml",        "application/toml" },
	{ "ts",          "video/mp2t" },
	{ "ttf",         "font/ttf" },
	{ "txt",         "text/plain" UTF8 },
	{ "usdz",        "model/vnd.usdz+zip" },
	{ "vcf",         "text/vcard" UTF8 },
	{ "vtt",         "text/vtt" UTF8 },
	{ "wasm",        "application/wasm" },
	{ "wav",         "audio/wav" },
	{ "weba",        "audio/webm" },
	{ "webm",        "video/webm" },
	{ "webmanifest", "application/manifest+json" },
	{ "webp",        "image/webp" },
	{ "woff",        "font/woff" },
	{ "woff2",       "font/woff2" },
	{ "xhtml",       "application/xhtml+xml" UTF8 },
	{ "xlsx",        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
	{ "xml",         "application/xml" },
	{ "xsl",         "application/xslt+xml" },
	{ "yaml",        "application/yaml" },
	{ "yml",         "application/yaml" },
	{ "zip",         "application/zip" },
	/* clang-format on */
};

static int compare_extension(const void *extension, const void *row)
{
	return strcasecmp(extension, *(const char *const *)row);
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

const char *manifest_type_of(const char *path)
{
	const char *dot = strrchr(name_of(path), '.');
	const void *row = NULL;

	if (dot)
		row = bsearch(dot + 1, types, ARRAY_SIZE(types), sizeof(types[0]),
			      compare_extension);
	return row ? ((const char *const *)row)[1] : "application/octet-stream";
}

static bool type_ends(const char *type, size_t len, const char *with)
{
	size_t n = strlen(with);

	return len > n && strncasecmp(type + len - n, with, n) == 0;
}

bool manifest_is_compressible(const char *type)
{
	static const char *const plain[] = {
		"application/javascript",
		"application/json",
		"application/json5",
		"application/toml",
		"application/wasm",
		"application/xml",
		"application/yaml",
		"application/rtf",
		"application/vnd.ms-fontobject",
		"font/otf",
		"font/ttf",
		"image/bmp",
		"image/x-icon",
		"model/gltf-binary",
		"application/vnd.apple.mpegurl",
	};
	size_t len = strcspn(type, "; ");

	if (strncasecmp(type, "text/", 5) == 0 || type_ends(type, len, "+json") ||
	    type_ends(type, len, "+xml"))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		if (strlen(plain[i]) == len && strncasecmp(type, plain[i], len) == 0)
			return true;
	return false;
}

/*
 * Digests
 *
 * To take a plain name for one with a digest means that a browser keeps an old file for a year; to
 * miss a digest costs a conditional request.  So in doubt there is none.
 */

/* All that bundlers put there is named by its content. */
static const char *const digest_trees[] = {
	"_next/static/",
	"_app/immutable/",
	"_astro/",
	"_build/assets/",
};

/* Where bundlers put most of it, and people sometimes files of their own. */
static const char *const digest_places[] = {
	"assets/", "_nuxt/", "static/js/", "static/css/", "static/media/", "chunks/", "_expo/",
};

static bool is_beneath(const char *path, const char *const *trees, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *at = strstr(path, trees[i]);

		if (at && (at == path || at[-1] == '/'))
			return true;
	}
	return false;
}

static unsigned class_of(char c)
{
	if (c >= '0' && c <= '9')
		return 0;
	if (c >= 'a' && c <= 'z')
		return 1;
	if (c >= 'A' && c <= 'Z')
		return 2;
	return 3;
}

struct text {
	size_t digits, lower, upper, other;
	size_t changes; /* from a class of characters to another */
	bool is_hex;    /* lower case */
	bool is_base32; /* RFC 4648: upper case and 2 to 7 */
};

static struct text look_at(const char *s, size_t len)
{
	struct text t = { .is_hex = true, .is_base32 = true };

	for (size_t i = 0; i < len; i++) {
		unsigned class = class_of(s[i]);

		t.digits += class == 0;
		t.lower += class == 1;
		t.upper += class == 2;
		t.other += class == 3;
		t.changes += i > 0 && class != class_of(s[i - 1]);
		t.is_hex = t.is_hex && (class == 0 || (s[i] >= 'a' && s[i] <= 'f'));
		t.is_base32 = t.is_base32 && (class == 2 || (s[i] >= '2' && s[i] <= '7'));
	}
	return t;
}

static bool is_digest(const char *s, size_t len, bool in_place)
{
	struct text t = look_at(s, len);

	if (len < 8 || len > 64)
		return false;
	if (t.is_hex)
		return t.digits > 0 && t.lower > 0;
	if (t.is_base32 && len == 8)
		return t.digits > 0 || in_place;
	/* base64url and base62: words of one's own change case once or twice */
	return t.changes >= (in_place ? 3 : 4) && (in_place || t.digits > 0) && t.lower > 0;
}

static bool name_has_digest(const char *name, bool in_place)
{
	size_t len = strcspn(name, ".");
	const char *end = strrchr(name, '.');

	if (!end || end == name)
		return false;
	/* base64url may hold a "-", which is what it mostly follows: "index-B-x_a12Q.js" */
	if (len > 9 && name[len - 9] == '-' && is_digest(name + len - 8, 8, in_place))
		return true;

	for (const char *part = name; part < end;) {
		size_t n = strcspn(part, ".-_");
		bool whole = part == name && part + n == end;

		if (is_digest(part, n, in_place) && (!whole || in_place || n >= 16))
			return true;
		part += n + 1;
	}
	return false;
}

bool manifest_is_fingerprinted(const char *path)
{
	const char *name = name_of(path);
	const char *type = manifest_type_of(path);

	/* a page is reached by its name, whatever that looks like */
	if (strncmp(type, "text/html", 9) == 0)
		return false;
	if (is_beneath(path, digest_trees, ARRAY_SIZE(digest_trees)))
		return true;
	return name_has_digest(name, is_beneath(path, digest_places, ARRAY_SIZE(digest_places)));
}
