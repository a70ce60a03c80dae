/* SPDX-License-Identifier: MIT */
/* What a build put out becomes a release, or a failure that says why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants setjmp, stdarg and stddef above it */
#include <cmocka.h>

#include <sys/socket.h>
#include <sys/un.h>

#ifdef HAVE_BROTLI
#include <brotli/decode.h>
#endif
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

#include "http/manifest.h"
#include "publish/output.h"
#include "publish_tree.h"

#define BASE "/api/apps/a/sessions/s/published/"
#define MIB  (1024 * 1024)

/* A project, and the release that is made of it. */
struct world {
	struct tree project, release;
	struct output_request request;
	struct manifest *manifest;
	struct output_report report;
	struct fault fault;
	volatile bool cancel;
};

static const char *const dist[] = { "dist", NULL };

static void make_places(const struct tree *release)
{
	tree_parents(release, "files/x");
	tree_parents(release, "br/x");
	tree_parents(release, "gz/x");
}

static int set_up(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	w->project = tree_make();
	w->release = tree_make();
	make_places(&w->release);
	w->request = (struct output_request){
		.project_fd = w->project.fd,
		.outputs = dist,
		.limits = { .files = 100, .file_bytes = MIB, .bytes = 4 * MIB, .depth = 8 },
		.target_fd = w->release.fd,
		.previous_fd = -1,
	};
	tree_put(&w->project, "dist/index.html", "<h1>hello</h1>");
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	manifest_free(w->manifest);
	output_report_done(&w->report);
	fault_done(&w->fault);
	tree_done(&w->project);
	tree_done(&w->release);
	free(w);
	return 0;
}

static int take(struct world *w)
{
	manifest_free(w->manifest);
	output_report_done(&w->report);
	fault_done(&w->fault);
	w->manifest = manifest_new();
	return output_take(&w->request, &w->cancel, w->manifest, &w->report, &w->fault);
}

static void is_taken(struct world *w)
{
	if (take(w) < 0)
		fail_msg("%s", w->fault.detail);
}

/* Refused, by a sentence that names what is wrong. */
static void is_refused(struct world *w, enum fault_code code, const char *words)
{
	assert_true(take(w) < 0);
	if (w->fault.code != code || !strstr(w->fault.detail, words))
		fail_msg("%s: %s", fault_slug(w->fault.code), w->fault.detail);
}

static const struct manifest_file *file_of(const struct world *w, const char *path)
{
	return manifest_find(w->manifest, path);
}

static char *content(const struct world *w, const char *path)
{
	char *text = NULL;

	assert_int_equal(read_file_at(w->release.fd, path, 64 * MIB, &text, NULL), 0);
	return text;
}

static void holds(const struct world *w, const char *path, const char *text)
{
	scoped(freep) char *is = content(w, path);

	assert_string_equal(is, text);
}

static void the_files_are_copied_and_named(void **state)
{
	struct world *w = *state;
	const struct manifest_file *f;
	struct stat st;

	tree_put(&w->project, "dist/assets/app-4f1c22aa.js", "let a");
	tree_put(&w->project, "dist/empty", "");
	tree_put_bytes(&w->project, "dist/a b/\xc3\xa9.png", "\0\1\2", 3);
	assert_int_equal(fchmodat(w->project.fd, "dist/empty", 06777, 0), 0);
	is_taken(w);

	assert_int_equal(w->manifest->n_files, 4);
	assert_int_equal(w->report.n_files, 4);
	assert_int_equal(w->report.bytes, 14 + 5 + 0 + 3);
	assert_int_equal(w->manifest->bytes, w->report.bytes);
	assert_null(w->manifest->base);
	assert_string_equal(w->report.base_state, "none");
	assert_int_equal(strv_len(w->report.warnings), 0);

	f = file_of(w, "assets/app-4f1c22aa.js");
	assert_non_null(f);
	assert_string_equal(f->sha256,
			    "21f1173fff072ee5e8022cb485956b08072370bb19a981692ce1c31a3f1e9ea1");
	holds(w, "files/assets/app-4f1c22aa.js", "let a");
	assert_non_null(file_of(w, "a b/\xc3\xa9.png"));
	assert_int_equal(fstatat(w->release.fd, "files/empty", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
}

static void what_is_for_tools_is_left_out(void **state)
{
	struct world *w = *state;

	tree_put(&w->project, "dist/.git/config", "secret");
	tree_put(&w->project, "dist/.env.local", "SECRET=1");
	tree_put(&w->project, "dist/a/node_modules/x/index.js", "x");
	tree_put(&w->project, "dist/.well-known/security.txt", "x");
	tree_put(&w->project, "dist/package.json", "{}");
	tree_link(&w->project, ".env.local", "dist/config.txt");
	is_taken(w);
	assert_int_equal(w->manifest->n_files, 3);
	assert_non_null(file_of(w, ".well-known/security.txt"));
	assert_non_null(file_of(w, "package.json"));
	assert_true(list_mentions(w->report.warnings, "2 of .git and .env*"));
	assert_true(list_mentions(w->report.warnings, "config.txt"));
}

static void of_a_static_project_its_own_files_are_left_out(void **state)
{
	static const char *const here[] = { ".", NULL };
	struct world *w = *state;

	tree_put(&w->project, "index.html", "x");
	tree_put(&w->project, "package.json", "{}");
	tree_put(&w->project, "package-lock.json", "{}");
	w->request.outputs = here;
	w->request.is_static = true;
	is_taken(w);
	assert_int_equal(w->manifest->n_files, 2);
}

static void the_first_output_with_an_index_is_taken(void **state)
{
	static const char *const several[] = { "none", "server", "dist", NULL };
	static const char *const none[] = { "none", "neither", NULL };
	static const char *const server[] = { "none", "server", NULL };
	struct world *w = *state;

	tree_put(&w->project, "server/entry.js", "x");
	w->request.outputs = several;
	is_taken(w);
	assert_non_null(file_of(w, "index.html"));
	w->request.outputs = none;
	is_refused(w, FAULT_NO_OUTPUT, "none, neither");
	w->request.outputs = server;
	is_refused(w, FAULT_NO_INDEX, "'server'");
}

static void an_output_outside_of_the_project_is_refused(void **state)
{
	static const char *const up[] = { "../", NULL };
	static const char *const absolute[] = { "/etc", NULL };
	static const char *const linked[] = { "out", NULL };
	static const char *const a_file[] = { "dist/index.html", NULL };
	struct world *w = *state;

	tree_link(&w->project, w->release.path, "out");
	w->request.outputs = up;
	is_refused(w, FAULT_BAD_OUTPUT, "outside");
	w->request.outputs = absolute;
	is_refused(w, FAULT_BAD_OUTPUT, "outside");
	w->request.outputs = linked;
	is_refused(w, FAULT_BAD_OUTPUT, "outside");
	w->request.outputs = a_file;
	is_refused(w, FAULT_BAD_OUTPUT, "cannot be opened");
}

/* As Nuxt's is: absolute, and as the sandbox or the host names the project. */
static void an_output_may_be_a_link_that_stays_inside(void **state)
{
	static const char *const relative[] = { "r", NULL };
	static const char *const of_sandbox[] = { "s", NULL };
	static const char *const of_host[] = { "h", NULL };
	struct world *w = *state;
	scoped(freep) char *target = xasprintf("%s/dist", w->project.path);

	tree_link(&w->project, "dist", "r");
	tree_link(&w->project, "/build/dist", "s");
	tree_link(&w->project, target, "h");
	w->request.outputs = relative;
	is_taken(w);
	tree_done(&w->release);
	w->release = tree_make();
	make_places(&w->release);
	w->request.target_fd = w->release.fd;
	w->request.outputs = of_sandbox;
	is_taken(w);
	tree_done(&w->release);
	w->release = tree_make();
	make_places(&w->release);
	w->request.target_fd = w->release.fd;
	w->request.outputs = of_host;
	is_taken(w);
}

static void links_inside_are_copied_or_left_out(void **state)
{
	struct world *w = *state;
	struct stat st;

	tree_put(&w->project, "dist/a/real.txt", "real");
	tree_link(&w->project, "../a/real.txt", "dist/b/link.txt");
	tree_link(&w->project, "nothing", "dist/dangling");
	tree_link(&w->project, "loop", "dist/loop");
	tree_link(&w->project, "a", "dist/directory");
	tree_link(&w->project, ".", "dist/self");
	is_taken(w);
	assert_int_equal(w->manifest->n_files, 3);
	assert_int_equal(fstatat(w->release.fd, "files/b/link.txt", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(st.st_mode));
	holds(w, "files/b/link.txt", "real");
	assert_true(list_mentions(w->report.warnings, "'dangling'"));
	assert_true(list_mentions(w->report.warnings, "'loop'"));
	assert_true(list_mentions(w->report.warnings, "'directory'"));
	assert_true(list_mentions(w->report.warnings, "'self'"));
}

static void links_that_leave_are_refused(void **state)
{
	static const char *const targets[] = {
		"/etc/passwd",        "../package.json", "../../../../../etc/passwd",
		"/proc/self/environ", "a/../../x",       "/nothing"
	};
	struct world *w = *state;

	tree_put(&w->project, "package.json", "{}");
	tree_put(&w->project, "dist/a/b", "");
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		tree_link(&w->project, targets[i], "dist/leaving.txt");
		is_refused(w, FAULT_BAD_OUTPUT, "'leaving.txt': a symbolic link that leaves");
		assert_int_equal(unlinkat(w->project.fd, "dist/leaving.txt", 0), 0);
	}
	/* Nothing is copied before all of it has been looked at. */
	assert_int_equal(faccessat(w->release.fd, "files/index.html", F_OK, 0), -1);
}

static void hard_links_to_elsewhere_are_refused(void **state)
{
	struct world *w = *state;

	tree_put(&w->project, "dist/one", "same");
	assert_int_equal(linkat(w->project.fd, "dist/one", w->project.fd, "dist/two", 0), 0);
	is_taken(w);
	assert_int_equal(w->manifest->n_files, 3);
	tree_put(&w->project, "secret", "secret");
	assert_int_equal(linkat(w->project.fd, "secret", w->project.fd, "dist/three", 0), 0);
	is_refused(w, FAULT_BAD_OUTPUT, "'three': a hard link");
}

static void what_is_no_file_is_refused(void **state)
{
	struct world *w = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(mkfifoat(w->project.fd, "dist/fifo", 0644), 0);
	is_refused(w, FAULT_BAD_OUTPUT, "'fifo': neither");
	assert_int_equal(unlinkat(w->project.fd, "dist/fifo", 0), 0);

	/* What is left out is not looked at: it is the link that is found, in any order. */
	assert_int_equal(mkfifoat(w->project.fd, "dist/.fifo", 0644), 0);
	tree_link(&w->project, ".fifo", "dist/a-link");
	is_refused(w, FAULT_BAD_OUTPUT, "'a-link': a symbolic link to what is no file");
	assert_int_equal(unlinkat(w->project.fd, "dist/.fifo", 0), 0);
	assert_int_equal(unlinkat(w->project.fd, "dist/a-link", 0), 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/dist/socket", w->project.path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	is_refused(w, FAULT_BAD_OUTPUT, "'socket': neither");
	assert_int_equal(unlinkat(w->project.fd, "dist/socket", 0), 0);

	/* Only root can make one. */
	if (mknodat(w->project.fd, "dist/null", S_IFCHR | 0666, 0x103) == 0)
		is_refused(w, FAULT_BAD_OUTPUT, "'null': neither");
}

static void names_that_cannot_be_an_address_are_refused(void **state)
{
	static const char *const names[] = { "\xff\xfe", "new\nline", "back\\slash", "\x7f" };
	static const char *const shown[] = { "\\xff\\xfe", "new\\x0aline", "back\\slash", "\\x7f" };
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		scoped(freep) char *path = xasprintf("dist/%s", names[i]);

		tree_put(&w->project, path, "x");
		is_refused(w, FAULT_BAD_OUTPUT, shown[i]);
		assert_int_equal(unlinkat(w->project.fd, path, 0), 0);
	}
}

/* 300 bytes of name are more than the file system takes; of a path they are many. */
static void a_path_that_is_too_long_is_refused(void **state)
{
	struct world *w = *state;
	char name[251] = "";
	scoped(freep) char *path = NULL;

	memset(name, 'n', sizeof(name) - 1);
	path = xasprintf("dist/%s/%s/%s/%s/%s", name, name, name, name, name);
	tree_put(&w->project, path, "x");
	is_refused(w, FAULT_BAD_OUTPUT, "too long");
}

static void a_sparse_giant_is_refused_unread(void **state)
{
	struct world *w = *state;
	int fd;

	tree_put(&w->project, "dist/giant.bin", "");
	fd = openat(w->project.fd, "dist/giant.bin", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, 10L * 1024 * MIB), 0);
	close(fd);
	is_refused(w, FAULT_OUTPUT_TOO_LARGE, "'giant.bin' has 10737418240 bytes");
}

static void too_many_files_end_the_walk(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 99; i++) {
		scoped(freep) char *path = xasprintf("dist/many/%u", i);

		tree_put(&w->project, path, "");
	}
	is_taken(w);
	tree_put(&w->project, "dist/many/more", "");
	is_refused(w, FAULT_OUTPUT_TOO_LARGE, "more than 100 files");
}

/* Directories and what is left out cost time, too. */
static void too_many_directories_end_it_as_well(void **state)
{
	struct world *w = *state;

	w->request.limits.files = 1;
	for (unsigned i = 0; i < 1100; i++) {
		scoped(freep) char *path = xasprintf("dist/%s%u/x", i % 2 ? "." : "", i);

		tree_parents(&w->project, path);
	}
	is_refused(w, FAULT_OUTPUT_TOO_LARGE, "files");
}

static void too_many_bytes_are_refused(void **state)
{
	struct world *w = *state;
	scoped(freep) char *data = xcalloc(1, MIB);

	for (unsigned i = 0; i < 4; i++) {
		scoped(freep) char *path = xasprintf("dist/%u.bin", i);

		tree_put_bytes(&w->project, path, data, MIB);
	}
	is_refused(w, FAULT_OUTPUT_TOO_LARGE, "4194304 bytes");
}

static void too_deep_is_refused(void **state)
{
	struct world *w = *state;

	tree_put(&w->project, "dist/1/2/3/4/5/6/7/8/x", "");
	is_taken(w);
	tree_put(&w->project, "dist/1/2/3/4/5/6/7/8/9/x", "");
	is_refused(w, FAULT_OUTPUT_TOO_LARGE, "8 deep");
}

static void names_that_differ_in_case_are_told(void **state)
{
	struct world *w = *state;

	tree_put(&w->project, "dist/Logo.svg", "<svg/>");
	tree_put(&w->project, "dist/logo.svg", "<svg/>");
	is_taken(w);
	assert_true(list_mentions(w->report.warnings, "differ only in case"));
}

static void a_cancelled_one_ends(void **state)
{
	struct world *w = *state;

	w->cancel = true;
	is_refused(w, FAULT_BUILD_CANCELED, "canceled");
}

static char *repeated(const char *text, size_t n)
{
	const size_t len = strlen(text);
	char *all = xcalloc(n + 1, len);

	for (size_t i = 0; i < n; i++)
		memcpy(all + i * len, text, len);
	return all;
}

static void text_is_precompressed_where_it_gets_smaller(void **state)
{
	struct world *w = *state;
	scoped(freep) char *script = repeated("function f() { return 1; }\n", 200);
	const struct manifest_file *f;

	tree_put(&w->project, "dist/app.js", script);
	tree_put(&w->project, "dist/small.js", "function f() { return 1; }");
	tree_put(&w->project, "dist/picture.png", script);
	is_taken(w);
	f = file_of(w, "app.js");
#ifdef HAVE_BROTLI
	scoped(freep) char *br = content(w, "br/app.js");
	scoped(freep) uint8_t *plain = xcalloc(1, 64 * 1024);
	size_t size = 64 * 1024;

	assert_in_range(f->br_size, 1, f->size - 1);
	assert_int_equal(BrotliDecoderDecompress(f->br_size, (uint8_t *)br, &size, plain),
			 BROTLI_DECODER_RESULT_SUCCESS);
	assert_int_equal(size, f->size);
	assert_memory_equal(plain, script, size);
#endif
#ifdef HAVE_ZLIB
	scoped(freep) char *gz = content(w, "gz/app.js");
	scoped(freep) Bytef *inflated = xcalloc(1, 64 * 1024);
	z_stream z = { .next_in = (Bytef *)gz,
		       .avail_in = (uInt)f->gz_size,
		       .next_out = inflated,
		       .avail_out = 64 * 1024 };

	assert_in_range(f->gz_size, 1, f->size - 1);
	assert_int_equal(inflateInit2(&z, 31), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	inflateEnd(&z);
	assert_memory_equal(inflated, script, f->size);
#endif
	assert_int_equal(file_of(w, "small.js")->br_size + file_of(w, "small.js")->gz_size, 0);
	assert_int_equal(file_of(w, "picture.png")->br_size, 0);
}

static void left_over_addresses_are_moved_below_the_base(void **state)
{
	struct world *w = *state;

	w->request.base = BASE;
	tree_put(&w->project, "dist/index.html",
		 "<script src=\"/assets/app.js\"></script><img src=\"/none.png\">");
	tree_put(&w->project, "dist/assets/app.js", "x.p=\"/\";a=\"/logo.svg\"");
	tree_put(&w->project, "dist/logo.svg", "<svg/>");
	is_taken(w);
	assert_string_equal(w->report.base_state, "rewritten");
	assert_int_equal(w->report.n_rewritten, 2);
	assert_string_equal(w->manifest->base, BASE);
	holds(w, "files/index.html",
	      "<script src=\"" BASE "assets/app.js\"></script><img src=\"/none.png\">");
	/* The page asked for what is outside: so the build wasn't told, and its run time isn't. */
	holds(w, "files/assets/app.js", "x.p=\"" BASE "\";a=\"" BASE "logo.svg\"");
	assert_int_equal(file_of(w, "assets/app.js")->size, 19 + 2 * strlen(BASE));
}

static void a_build_that_was_told_keeps_what_is_its_own(void **state)
{
	struct world *w = *state;

	w->request.base = BASE;
	tree_put(&w->project, "dist/index.html", "<script src=\"" BASE "app.js\"></script>");
	tree_put(&w->project, "dist/app.js", "const link=e=>{return\"/\"+e}");
	is_taken(w);
	assert_string_equal(w->report.base_state, "ok");
	assert_int_equal(w->report.n_rewritten, 0);
	holds(w, "files/app.js", "const link=e=>{return\"/\"+e}");
}

static void a_page_for_another_place_is_said_to_be_broken(void **state)
{
	struct world *w = *state;

	w->request.base = BASE;
	tree_put(&w->project, "dist/index.html", "<script src=\"/repo/app.js\"></script>");
	tree_put(&w->project, "dist/app.js", "x");
	is_taken(w);
	assert_string_equal(w->report.base_state, "broken");
	assert_true(list_mentions(w->report.warnings, "/repo/app.js"));
}

static void what_a_digest_names_stays_as_it_is(void **state)
{
	struct world *w = *state;

	w->request.base = BASE;
	tree_put(&w->project, "dist/index.html",
		 "<script src=\"/app.js\" integrity=\"sha384-x\"></script>");
	tree_put(&w->project, "dist/app.js", "a=\"/app.js\"");
	is_taken(w);
	holds(w, "files/app.js", "a=\"/app.js\"");
	assert_true(list_mentions(w->report.warnings, "integrity"));
}

static ino_t inode_of(const struct tree *t, const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(t->fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_ino;
}

static void equal_files_are_shared_with_the_release_before(void **state)
{
	struct world *w = *state;
	scoped(tree_done) struct tree second = tree_make();
	scoped(freep) char *script = repeated("function f() { return 1; }\n", 200);
	scoped(freep) char *binary = xcalloc(1, 300000);
	struct tree first;

	make_places(&second);
	tree_put(&w->project, "dist/app.js", script);
	tree_put(&w->project, "dist/changed.js", script);
	tree_put_bytes(&w->project, "dist/a/data.bin", binary, 300000);
	is_taken(w);
	assert_int_equal(manifest_write(w->release.fd, w->manifest), 0);

	first = w->release;
	script[0] = 'F';
	tree_put(&w->project, "dist/changed.js", script);
	w->request.previous_fd = first.fd;
	w->request.target_fd = second.fd;
	is_taken(w);
	assert_int_equal(inode_of(&first, "files/app.js"), inode_of(&second, "files/app.js"));
	assert_int_equal(inode_of(&first, "files/a/data.bin"),
			 inode_of(&second, "files/a/data.bin"));
	assert_int_not_equal(inode_of(&first, "files/changed.js"),
			     inode_of(&second, "files/changed.js"));
	assert_int_not_equal(inode_of(&second, "files/app.js"),
			     inode_of(&w->project, "dist/app.js"));
#ifdef HAVE_BROTLI
	assert_int_equal(inode_of(&first, "br/app.js"), inode_of(&second, "br/app.js"));
	assert_true(file_of(w, "app.js")->br_size > 0);
#endif
#ifdef HAVE_ZLIB
	assert_int_equal(inode_of(&first, "gz/app.js"), inode_of(&second, "gz/app.js"));
#endif
	assert_int_equal(faccessat(second.fd, "files/.shared", F_OK, AT_SYMLINK_NOFOLLOW), -1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void a_machine_short_of_descriptors_is_blamed_and_not_the_build(void **state)
{
	struct world *w = *state;
	bool is_done = false;

	tree_put(&w->project, "dist/assets/deep/a.js", "a");
	tree_link(&w->project, "assets/deep/a.js", "dist/b.js");
	for (unsigned n = 0; !is_done; n++) {
		struct rlimit before = leave_descriptors(n);
		int r = take(w);

		setrlimit(RLIMIT_NOFILE, &before);
		is_done = r >= 0;
		assert_true(n > 0 || !is_done);
		if (is_done)
			break;
		if (w->fault.code != FAULT_MACHINE_FAILED)
			fail_msg("with %u: %s: %s", n, fault_slug(w->fault.code), w->fault.detail);
		tree_done(&w->release);
		w->release = tree_make();
		make_places(&w->release);
		w->request.target_fd = w->release.fd;
	}
	assert_non_null(file_of(w, "b.js"));
	assert_non_null(file_of(w, "assets/deep/a.js"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_files_are_copied_and_named),
		T(what_is_for_tools_is_left_out),
		T(of_a_static_project_its_own_files_are_left_out),
		T(the_first_output_with_an_index_is_taken),
		T(an_output_outside_of_the_project_is_refused),
		T(an_output_may_be_a_link_that_stays_inside),
		T(links_inside_are_copied_or_left_out),
		T(links_that_leave_are_refused),
		T(hard_links_to_elsewhere_are_refused),
		T(what_is_no_file_is_refused),
		T(names_that_cannot_be_an_address_are_refused),
		T(a_path_that_is_too_long_is_refused),
		T(a_sparse_giant_is_refused_unread),
		T(too_many_files_end_the_walk),
		T(too_many_directories_end_it_as_well),
		T(too_many_bytes_are_refused),
		T(too_deep_is_refused),
		T(names_that_differ_in_case_are_told),
		T(a_cancelled_one_ends),
		T(a_machine_short_of_descriptors_is_blamed_and_not_the_build),
		T(text_is_precompressed_where_it_gets_smaller),
		T(left_over_addresses_are_moved_below_the_base),
		T(a_build_that_was_told_keeps_what_is_its_own),
		T(a_page_for_another_place_is_said_to_be_broken),
		T(what_a_digest_names_stays_as_it_is),
		T(equal_files_are_shared_with_the_release_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
