/* SPDX-License-Identifier: MIT */
#include "http/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the four above it */
#include <cmocka.h>

#include "base/files.h"
#include "base/mem.h"

#define DIGEST "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

struct place {
	char path[64];
	int fd;
};

static struct place make_place(void)
{
	struct place p = { .path = "/tmp/previewd-manifest-XXXXXX" };

	assert_non_null(mkdtemp(p.path));
	p.fd = open_directory(p.path);
	assert_true(p.fd >= 0);
	return p;
}

static void end_place(struct place *p)
{
	unlinkat(p->fd, "manifest.json", 0);
	close(p->fd);
	assert_int_equal(rmdir(p->path), 0);
}

static void add(struct manifest *m, const char *path, uint64_t size)
{
	struct manifest_file f = {
		.path = (char *)path,
		.size = size,
		.sha256 = DIGEST,
		.type = (char *)manifest_type_of(path),
		.br_size = size / 4,
		.gz_size = size / 3,
		.fingerprinted = manifest_is_fingerprinted(path),
	};

	manifest_add(m, &f);
}

static void what_was_written_is_read(void **state)
{
	scoped(manifest_freep) struct manifest *m = manifest_new();
	scoped(manifest_freep) struct manifest *again = NULL;
	struct place p = make_place();
	const struct manifest_file *f;

	(void)state;
	m->created_at = 1795234567890123;
	m->base = xstrdup("/api/apps/a/sessions/s/published/");
	add(m, "index.html", 100);
	add(m, "assets/app-4f1c22aa.js", UINT64_C(5000000000));
	add(m, "a \"quoted\" n\xc3\xa4me.txt", 0);
	assert_int_equal(manifest_write(p.fd, m), 0);
	assert_int_equal(manifest_read(p.fd, &again, NULL), 0);

	assert_int_equal(again->n_files, 3);
	assert_true(again->created_at == m->created_at);
	assert_string_equal(again->base, m->base);
	assert_true(again->bytes == UINT64_C(5000000100));
	f = manifest_find(again, "assets/app-4f1c22aa.js");
	assert_non_null(f);
	assert_true(f->size == UINT64_C(5000000000) && f->br_size == f->size / 4 &&
		    f->gz_size == f->size / 3 && f->fingerprinted);
	assert_string_equal(f->type, "text/javascript; charset=utf-8");
	assert_string_equal(f->sha256, DIGEST);
	f = manifest_find(again, "a \"quoted\" n\xc3\xa4me.txt");
	assert_true(f && f->size == 0 && f->br_size == 0 && !f->fingerprinted);
	assert_null(manifest_find(again, "assets"));
	end_place(&p);
}

static void many_files_are_found(void **state)
{
	scoped(manifest_freep) struct manifest *m = manifest_new();
	scoped(manifest_freep) struct manifest *again = NULL;
	struct place p = make_place();
	char path[32];

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(path, sizeof(path), "d%u/f%u.txt", i * 7919 % 61, i);
		add(m, path, i);
	}
	assert_int_equal(manifest_write(p.fd, m), 0);
	assert_int_equal(manifest_read(p.fd, &again, NULL), 0);
	for (unsigned i = 0; i < 3000; i++) {
		const struct manifest_file *f;

		snprintf(path, sizeof(path), "d%u/f%u.txt", i * 7919 % 61, i);
		f = manifest_find(again, path);
		assert_true(f && f->size == i);
	}
	end_place(&p);
}

static void a_path_that_leaves_its_tree_is_refused(void **state)
{
	static const char *const bad[] = {
		"",    "/etc/passwd", "../x", "a/../b", "a//b",     "a/",
		"./a", "a/.",         "a\\b", "a\nb",   "\xff\xfe",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		scoped(manifest_freep) struct manifest *m = manifest_new();
		struct place p = make_place();

		add(m, bad[i], 1);
		if (manifest_write(p.fd, m) >= 0)
			fail_msg("'%s' was written", bad[i]);
		end_place(&p);
	}
}

static void a_damaged_manifest_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
		"{\"version\":1,\"created_at\":1}",
		"{\"version\":2,\"created_at\":1,\"files\":[]}",
		"{\"version\":1,\"created_at\":-1,\"files\":[]}",
		"{\"version\":1,\"created_at\":1,\"files\":[1]}",
		"{\"version\":1,\"created_at\":1,\"files\":[{\"path\":\"a\",\"size\":1,"
		"\"type\":\"t/t\"}]}",
		"{\"version\":1,\"created_at\":1,\"files\":[{\"path\":\"../a\",\"size\":1,"
		"\"sha256\":\"" DIGEST "\",\"type\":\"t/t\"}]}",
		"{\"version\":1,\"created_at\":1,\"files\":[{\"path\":\"a\",\"size\":1.5,"
		"\"sha256\":\"" DIGEST "\",\"type\":\"t/t\"}]}",
		"{\"version\":1,\"created_at\":1,\"files\":[{\"path\":\"a\",\"size\":1,"
		"\"sha256\":\"" DIGEST "\",\"type\":\"t/t\\r\\nSet-Cookie: a=b\"}]}",
		"{\"version\":1,\"created_at\":1,\"files\":["
		"{\"path\":\"a\",\"size\":1,\"sha256\":\"" DIGEST "\",\"type\":\"t/t\"},"
		"{\"path\":\"a\",\"size\":1,\"sha256\":\"" DIGEST "\",\"type\":\"t/t\"}]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		scoped(manifest_freep) struct manifest *m = NULL;
		scoped(fault_done) struct fault fault = { 0 };
		struct place p = make_place();

		assert_int_equal(write_file_at(p.fd, "manifest.json", bad[i], strlen(bad[i]), 0644),
				 0);
		if (manifest_read(p.fd, &m, &fault) >= 0)
			fail_msg("%s was read", bad[i]);
		assert_non_null(fault.detail);
		end_place(&p);
	}
}

static void a_type_goes_by_the_extension(void **state)
{
	/* clang-format off */
	static const struct {
		const char *path, *type;
		bool compressible;
	} rows[] = {
		{ "index.html",       "text/html; charset=utf-8", true },
		{ "A/INDEX.HTM",      "text/html; charset=utf-8", true },
		{ "a.js",             "text/javascript; charset=utf-8", true },
		{ "a.mjs",            "text/javascript; charset=utf-8", true },
		{ "a.css",            "text/css; charset=utf-8", true },
		{ "a.json",           "application/json", true },
		{ "a.js.map",         "application/json", true },
		{ "a.webmanifest",    "application/manifest+json", true },
		{ "a.svg",            "image/svg+xml", true },
		{ "a.wasm",           "application/wasm", true },
		{ "a.woff2",          "font/woff2", false },
		{ "a.ttf",            "font/ttf", true },
		{ "a.png",            "image/png", false },
		{ "a.jpg",            "image/jpeg", false },
		{ "a.mp4",            "video/mp4", false },
		{ "a.zip",            "application/zip", false },
		{ "a.3gp",            "video/3gpp", false },
		{ "a.txt",            "text/plain; charset=utf-8", true },
		{ "LICENSE",          "application/octet-stream", false },
		{ "dir.html/data",    "application/octet-stream", false },
		{ "a.",               "application/octet-stream", false },
		{ "a.unknown",        "application/octet-stream", false },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *type = manifest_type_of(rows[i].path);

		if (strcmp(type, rows[i].type) != 0)
			fail_msg("%s: %s", rows[i].path, type);
		if (manifest_is_compressible(type) != rows[i].compressible)
			fail_msg("%s: compressible?", type);
	}
}

static void digests_in_names_are_told_from_words(void **state)
{
	/* clang-format off */
	static const struct {
		const char *path;
		bool digest;
	} rows[] = {
		/* Vite: base64url, 8 */
		{ "assets/index-DiwrgTda.js", true },
		{ "assets/index-B-x_a12Q.css", true },
		{ "assets/app-4f1c22aa.js", true },
		{ "assets/react-CHdo91hT.svg", true },
		{ "assets/index-BzTn7xq_.js", true },
		/* Next, SvelteKit, Astro, Nuxt, SolidStart: whole trees */
		{ "_next/static/chunks/main-app-1f2e3d4c5b6a7988.js", true },
		{ "_next/static/QkVb3x_1/_buildManifest.js", true },
		{ "_next/static/media/e4af272ccee01ff0-s.p.woff2", true },
		{ "_app/immutable/entry/start.CZl5bxvY.js", true },
		{ "_astro/logo.CZl5bxvY_Z1a2b3c.webp", true },
		{ "_nuxt/BX3kd92A.js", true },
		{ "_nuxt/builds/latest.json", false },
		{ "_app/version.json", false },
		/* CRA, Angular, Docusaurus, VitePress, Gatsby, Parcel, webpack */
		{ "static/js/main.4f1c22aa.js", true },
		{ "static/js/787.1a2b3c4d.chunk.js", true },
		{ "main-5VQ4XKLA.js", true },
		{ "chunk-QZ3XKJ2B.js", true },
		{ "assets/js/17896441.6a9cb3b5.js", true },
		{ "assets/index.md.Dx8d3k2l.lean.js", true },
		{ "component---src-pages-index-js-0fd2a1b3c4d5e6f70819.js", true },
		{ "index.4f1c22aa.js", true },
		{ "runtime.4f1c22aa0b1c2d3e4f50.js", true },
		/* words, numbers, dates, pages */
		{ "index.html", false },
		{ "assets/index-DiwrgTda.html", false },
		{ "app.js", false },
		{ "assets/logo.svg", false },
		{ "assets/user-settings.js", false },
		{ "assets/my-component-definitions.js", false },
		{ "assets/report-20240101.pdf", false },
		{ "assets/banner-1280x720.png", false },
		{ "assets/photo-iphone12.png", false },
		{ "assets/background-image.png", false },
		{ "jquery-3.7.1.min.js", false },
		{ "assets/bootstrap.bundle.min.js", false },
		{ "favicon-32x32.png", false },
		{ "apple-touch-icon-180x180.png", false },
		{ "HomePage.js", false },
		{ "site.webmanifest", false },
		{ "CHANGELOG", false },
		{ "DEADBEEF1", false },
		{ "", false },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (manifest_is_fingerprinted(rows[i].path) != rows[i].digest)
			fail_msg("%s: %s", rows[i].path, rows[i].digest ? "missed" : "taken");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(many_files_are_found),
		cmocka_unit_test(a_path_that_leaves_its_tree_is_refused),
		cmocka_unit_test(a_damaged_manifest_is_refused),
		cmocka_unit_test(a_type_goes_by_the_extension),
		cmocka_unit_test(digests_in_names_are_told_from_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
