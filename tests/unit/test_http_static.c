/* SPDX-License-Identifier: MIT */
/*
 * Where the bytes of published files are: in memory or open, within bounds, and nowhere but in
 * their tree.  What is answered with them is held against nginx by tests/interop.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
/* cmocka wants the four above it */
#include <cmocka.h>

#include "base/files.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "http/static_priv.h"

#define DIGEST "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

#define MANY 1500

struct tree {
	char path[64];
	int fd;
	struct manifest *manifest;
};

static void tree_init(struct tree *t)
{
	*t = (struct tree){ .path = "/tmp/previewd-static-XXXXXX", .manifest = manifest_new() };
	assert_non_null(mkdtemp(t->path));
	t->fd = open_directory(t->path);
	assert_true(t->fd >= 0);
	assert_int_equal(mkdirat(t->fd, "files", 0755), 0);
	assert_int_equal(mkdirat(t->fd, "files/d", 0755), 0);
}

static void tree_add(struct tree *t, const char *path, size_t size)
{
	scoped(freep) char *at = xasprintf("files/%s", path);
	scoped(freep) char *content = xcalloc(1, size + 1);
	const struct manifest_file file = {
		.path = (char *)path,
		.size = size,
		.sha256 = DIGEST,
		.type = (char *)manifest_type_of(path),
	};
	scoped(closep) int fd = openat(t->fd, at, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	memset(content, path[0], size);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, size), size);
	manifest_add(t->manifest, &file);
}

static struct static_site *tree_open(struct tree *t)
{
	struct static_site *site = NULL;

	assert_int_equal(manifest_write(t->fd, t->manifest), 0);
	assert_int_equal(static_site_open_consume(open_directory(t->path), &site, NULL), 0);
	return site;
}

static void tree_done(struct tree *t)
{
	scoped(freep) char *command = xasprintf("rm -rf '%s'", t->path);

	close(t->fd);
	manifest_free(t->manifest);
	assert_int_equal(system(command), 0);
}

static struct hot_file *get(struct static_site *site, const char *path)
{
	const struct manifest_file *file = manifest_find(site->manifest, path);

	assert_non_null(file);
	return hot_file_get(site, file, HTTP_CODING_IDENTITY);
}

static void small_files_are_in_memory_and_large_ones_open(void **state)
{
	struct static_site *site;
	struct hot_file *hot;
	struct tree t;

	(void)state;
	tree_init(&t);
	tree_add(&t, "small.txt", 1000);
	tree_add(&t, "empty.txt", 0);
	tree_add(&t, "d/large.bin", 100000);
	site = tree_open(&t);

	hot = get(site, "small.txt");
	assert_int_equal(hot_file_load(hot), 0);
	assert_true(hot->bytes && hot->bytes->len == 1000 && hot->bytes->data[999] == 's');
	assert_null(hot->file);
	hot_file_put(hot);
	assert_ptr_equal(get(site, "small.txt"), hot);

	hot = get(site, "empty.txt");
	assert_int_equal(hot_file_load(hot), 0);
	assert_true(hot->bytes && hot->bytes->len == 0);

	hot = get(site, "d/large.bin");
	assert_int_equal(hot_file_load(hot), 0);
	assert_true(hot->file && !hot->bytes);
	assert_true(metric_value(METRIC_STATIC_OPEN_FILES) == 1);

	static_site_unref(site);
	assert_true(metric_value(METRIC_STATIC_OPEN_FILES) == 0);
	assert_true(metric_value(METRIC_STATIC_CACHE_BYTES) == 0);
	tree_done(&t);
}

/* As a site is used when somebody asks for all there is, again and again. */
static void visit_all(struct static_site *site, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		char path[32];
		struct hot_file *hot;

		snprintf(path, sizeof(path), "f%zu.txt", i);
		hot = get(site, path);
		assert_int_equal(hot_file_load(hot), 0);
		assert_true(hot->bytes || hot->file);
		hot_file_put(hot);
	}
}

static struct static_site *many_files(struct tree *t, size_t size)
{
	tree_init(t);
	for (size_t i = 0; i < MANY; i++) {
		char path[32];

		snprintf(path, sizeof(path), "f%zu.txt", i);
		tree_add(t, path, size);
	}
	return tree_open(t);
}

static void what_a_site_holds_is_bounded(void **state)
{
	struct static_site *site;
	struct tree t;
	double bytes;

	(void)state;
	site = many_files(&t, 8000);
	visit_all(site, 0, MANY);
	bytes = metric_value(METRIC_STATIC_CACHE_BYTES);
	assert_true(bytes > 4e6 && bytes < 9e6);
	/* the ones used last are those that stayed */
	assert_non_null(site->hot.table[manifest_find(site->manifest, "f1499.txt") -
					site->manifest->files][HTTP_CODING_IDENTITY]);
	assert_null(site->hot.table[manifest_find(site->manifest, "f0.txt") - site->manifest->files]
				   [HTTP_CODING_IDENTITY]);
	static_site_unref(site);
	tree_done(&t);

	site = many_files(&t, 10000);
	visit_all(site, 0, MANY);
	assert_true(metric_value(METRIC_STATIC_OPEN_FILES) > 100);
	assert_true(metric_value(METRIC_STATIC_OPEN_FILES) <= 128);
	static_site_unref(site);
	assert_true(metric_value(METRIC_STATIC_OPEN_FILES) == 0);
	tree_done(&t);
}

static void what_all_sites_hold_is_bounded(void **state)
{
	enum { SITES = 12 };
	struct static_site *sites[SITES];
	struct tree t;

	(void)state;
	sites[0] = many_files(&t, 8000);
	for (size_t i = 1; i < SITES; i++)
		sites[i] = tree_open(&t);
	for (size_t i = 0; i < SITES; i++)
		visit_all(sites[i], 0, 1100);
	assert_true(metric_value(METRIC_STATIC_CACHE_BYTES) < 65.0 * 1024 * 1024);
	visit_all(sites[0], 0, 1100);
	assert_true(metric_value(METRIC_STATIC_CACHE_BYTES) < 65.0 * 1024 * 1024);
	for (size_t i = 0; i < SITES; i++)
		static_site_unref(sites[i]);
	assert_true(metric_value(METRIC_STATIC_CACHE_BYTES) == 0);
	tree_done(&t);
}

static void expect_only_what_is_there(struct static_site *site)
{
	static const struct {
		const char *path;
		int result;
	} rows[] = {
		{ "plain.txt", 0 },          { "d/deep.txt", 0 },     { "link.txt", -ELOOP },
		{ "outside/x.txt", -ELOOP }, { "pipe.txt", -ESTALE }, { "gone.txt", -ENOENT },
		{ "longer.txt", -ESTALE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct hot_file *hot = get(site, rows[i].path);
		int r = hot_file_load(hot);

		/* a link in a directory's place is no directory to the one, a link to the other */
		if (r != rows[i].result && !(r == -ENOTDIR && rows[i].result == -ELOOP))
			fail_msg("%s: %d", rows[i].path, r);
		hot_file_put(hot);
	}
}

static void spoil(struct tree *t)
{
	tree_init(t);
	tree_add(t, "plain.txt", 10);
	tree_add(t, "d/deep.txt", 10);
	tree_add(t, "link.txt", 10);
	tree_add(t, "gone.txt", 10);
	tree_add(t, "pipe.txt", 10);
	tree_add(t, "longer.txt", 10);
	assert_int_equal(mkdirat(t->fd, "files/outside", 0755), 0);
	tree_add(t, "outside/x.txt", 10);

	assert_int_equal(unlinkat(t->fd, "files/link.txt", 0), 0);
	assert_int_equal(symlinkat("plain.txt", t->fd, "files/link.txt"), 0);
	assert_int_equal(unlinkat(t->fd, "files/gone.txt", 0), 0);
	assert_int_equal(unlinkat(t->fd, "files/pipe.txt", 0), 0);
	assert_int_equal(mkfifoat(t->fd, "files/pipe.txt", 0644), 0);
	assert_int_equal(write_file_at(t->fd, "files/longer.txt", "far more than ten", 17, 0644),
			 0);
	assert_int_equal(renameat(t->fd, "files/outside", t->fd, "elsewhere"), 0);
	assert_int_equal(symlinkat("../elsewhere", t->fd, "files/outside"), 0);
}

static void links_pipes_and_what_changed_are_not_opened(void **state)
{
	struct static_site *site;
	struct tree t;

	(void)state;
	spoil(&t);
	site = tree_open(&t);
	expect_only_what_is_there(site);
	static_site_unref(site);
	tree_done(&t);
}

/* The last test: there is no way back. */
static int forget_openat2(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { .len = ARRAY_SIZE(filter), .filter = filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

static void nor_where_the_kernel_does_not_know_openat2(void **state)
{
	struct static_site *site;
	struct tree t;

	(void)state;
	spoil(&t);
	site = tree_open(&t);
	if (forget_openat2() == 0) {
		assert_int_equal(syscall(SYS_openat2, AT_FDCWD, "/", NULL, 0), -1);
		assert_int_equal(errno, ENOSYS);
		expect_only_what_is_there(site);
	}
	static_site_unref(site);
	tree_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_files_are_in_memory_and_large_ones_open),
		cmocka_unit_test(what_a_site_holds_is_bounded),
		cmocka_unit_test(what_all_sites_hold_is_bounded),
		cmocka_unit_test(links_pipes_and_what_changed_are_not_opened),
		cmocka_unit_test(nor_where_the_kernel_does_not_know_openat2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
