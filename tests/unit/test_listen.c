/* SPDX-License-Identifier: MIT */
#include "net/listen.h"

#include "base/mem.h"
#include "net/sdnotify.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
/* cmocka wants setjmp.h and the two after it above it */
#include <cmocka.h>

static char directory[] = "/tmp/test_listen.XXXXXX";

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	static const char *const names[] = { "deep/er/s", "deep/er", "deep", "s", "file", "n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		scoped(freep) char *path = xasprintf("%s/%s", directory, names[i]);

		(void)remove(path);
	}
	return rmdir(directory);
}

static void assert_fit_to_serve(int fd)
{
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static void tcp_addresses_read_as_written(void **state)
{
	/* clang-format off */
	static const struct {
		const char *address, *name; /* %u is the port */
		int r;
	} rows[] = {
		{ "127.0.0.1:0", "127.0.0.1:%u" },
		{ "0.0.0.0:0", "0.0.0.0:%u" },
		{ "[::1]:0", "[::1]:%u" },
		{ "localhost:0", "127.0.0.1:%u" },
		{ "", NULL, -EINVAL },
		{ "127.0.0.1", NULL, -EINVAL },
		{ "7070", NULL, -EINVAL },
		{ ":7070", NULL, -EINVAL },
		{ "::1:7070", NULL, -EINVAL },
		{ "[::1:7070", NULL, -EINVAL },
		{ "127.0.0.1:65536", NULL, -EINVAL },
		{ "127.0.0.1:http", NULL, -EINVAL },
		{ "127.0.0.1: 80", NULL, -EINVAL },
		{ "192.0.2.1:0", NULL, -EADDRNOTAVAIL }, /* not ours: TEST-NET-1 */
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(fault_done) struct fault fault = { 0 };
		scoped(closep) int fd = listen_tcp(rows[i].address, &fault);
		scoped(freep) char *name = NULL;
		scoped(freep) char *wanted = NULL;

		if (rows[i].r < 0) {
			assert_int_equal(fd, rows[i].r);
			assert_non_null(strstr(fault.detail, rows[i].address));
			continue;
		}
		assert_fit_to_serve(fd);
		assert_int_equal(fault.code, FAULT_NONE);
		assert_int_not_equal(listen_port(fd), 0);
		name = listen_name(fd);
		wanted = xasprintf("%.*s%u", (int)strlen(rows[i].name) - 2, rows[i].name,
				   listen_port(fd));
		assert_string_equal(name, wanted);
	}
}

static void a_taken_port_is_said_to_be_in_use(void **state)
{
	scoped(fault_done) struct fault fault = { 0 };
	scoped(closep) int first = listen_tcp("127.0.0.1:0", NULL);
	scoped(freep) char *address = listen_name(first);

	(void)state;
	assert_int_equal(listen_tcp(address, &fault), -EADDRINUSE);
	assert_non_null(strstr(fault.detail, "in use"));
}

static int connect_unix(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	scoped(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(sun.sun_path, path, strlen(path));
	if (connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0)
		return -errno;
	return STEAL_FD(fd);
}

static void a_unix_socket_has_its_mode_and_its_directory_whatever_the_umask(void **state)
{
	scoped(freep) char *path = xasprintf("%s/deep/er/s", directory);
	scoped(freep) char *parent = xasprintf("%s/deep/er", directory);
	const mode_t before = umask(0);
	scoped(closep) int wide = listen_unix(path, 0600, NULL);
	scoped(closep) int narrow = -1;
	scoped(freep) char *name = NULL;
	scoped(freep) char *wanted = xasprintf("unix:%s", path);
	struct stat st;

	(void)state;
	assert_fit_to_serve(wide);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(parent, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(listen_port(wide), 0);
	name = listen_name(wide);
	assert_string_equal(name, wanted);

	close(STEAL_FD(wide));
	umask(0777);
	narrow = listen_unix(path, 0660, NULL);
	umask(before);
	assert_fit_to_serve(narrow);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
}

static void a_stale_unix_socket_is_replaced_and_a_living_one_is_not(void **state)
{
	scoped(freep) char *path = xasprintf("%s/s", directory);
	scoped(fault_done) struct fault fault = { 0 };
	scoped(closep) int dead = listen_unix(path, 0600, NULL);
	scoped(closep) int living = -1;
	scoped(closep) int client = -1;

	(void)state;
	assert_fit_to_serve(dead);
	close(STEAL_FD(dead)); /* as a killed daemon does: the path stays */
	assert_int_equal(connect_unix(path), -ECONNREFUSED);

	living = listen_unix(path, 0600, NULL);
	assert_fit_to_serve(living);
	assert_int_equal(listen_unix(path, 0600, &fault), -EADDRINUSE);
	assert_non_null(strstr(fault.detail, path));
	client = connect_unix(path);
	assert_true(client >= 0); /* it has not been touched */
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
	scoped(freep) char *path = xasprintf("%s/file", directory);
	scoped(fault_done) struct fault fault = { 0 };
	scoped(closep) int file = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	struct stat st;

	(void)state;
	assert_int_equal(write(file, "mine", 4), 4);
	assert_int_equal(listen_unix(path, 0600, &fault), -EEXIST);
	assert_non_null(strstr(fault.detail, "no socket"));
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_size, 4);
}

static void a_path_that_no_address_holds_is_refused(void **state)
{
	char path[300];

	(void)state;
	memset(path, 'x', sizeof(path));
	memcpy(path, "/tmp/", 5);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(listen_unix(path, 0600, NULL), -ENAMETOOLONG);
}

/* In a child, which has its own descriptors 3 and 4: its exit status is the line that failed. */
#define CHECK(condition)                           \
	do {                                       \
		if (!(condition))                  \
			_exit(__LINE__ % 251 + 1); \
	} while (0)

static void set_listen_variables(pid_t pid, const char *fds)
{
	scoped(freep) char *text = xasprintf("%d", (int)pid);

	setenv("LISTEN_PID", text, 1);
	setenv("LISTEN_FDS", fds, 1);
	setenv("LISTEN_FDNAMES", "a:b", 1);
}

static void child_takes_two(void)
{
	const int a = listen_tcp("127.0.0.1:0", NULL), b = listen_tcp("[::1]:0", NULL);
	const uint16_t port_a = listen_port(a), port_b = listen_port(b);
	const int a_high = fcntl(a, F_DUPFD, 20), b_high = fcntl(b, F_DUPFD, 20);
	int *fds = NULL;

	CHECK(dup2(a_high, 3) == 3 && dup2(b_high, 4) == 4); /* blocking no, cloexec no */
	CHECK(fcntl(3, F_SETFL, 0) == 0);
	set_listen_variables(getpid(), "2");
	CHECK(listen_inherited(&fds) == 2);
	CHECK(fds[0] == 3 && fds[1] == 4);
	CHECK(listen_port(3) == port_a && listen_port(4) == port_b);
	for (int fd = 3; fd <= 4; fd++) {
		CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	}
	CHECK(!getenv("LISTEN_PID") && !getenv("LISTEN_FDS") && !getenv("LISTEN_FDNAMES"));
	free(fds);
	fds = NULL;
	CHECK(listen_inherited(&fds) == 0);
	free(fds);
}

static void child_leaves_its_parents(void)
{
	int *fds = NULL;

	set_listen_variables(getppid(), "1");
	CHECK(listen_inherited(&fds) == 0);
	CHECK(!getenv("LISTEN_FDS"));
	free(fds);
}

static void child_refuses_what_does_not_listen(void)
{
	int *fds = NULL;

	CHECK(dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), 3) == 3);
	set_listen_variables(getpid(), "1");
	CHECK(listen_inherited(&fds) == -ENOTSOCK);
	set_listen_variables(getpid(), "many");
	CHECK(listen_inherited(&fds) == -EINVAL);
	CHECK(!fds);
}

static void assert_child_passes(void (*check)(void))
{
	const pid_t pid = fork();
	int status;

	if (pid == 0) {
		check();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void sockets_of_the_service_manager_are_taken_over(void **state)
{
	(void)state;
	assert_child_passes(child_takes_two);
}

static void sockets_meant_for_another_process_are_not(void **state)
{
	(void)state;
	assert_child_passes(child_leaves_its_parents);
}

static void what_does_not_listen_is_not_taken_over(void **state)
{
	(void)state;
	assert_child_passes(child_refuses_what_does_not_listen);
}

static int notify_socket(const char *name)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const size_t len = strlen(name);
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(sun.sun_path, name, len);
	if (name[0] == '@')
		sun.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (const struct sockaddr *)&sun,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
			 0);
	return fd;
}

static void assert_told(const char *name)
{
	scoped(closep) int fd = notify_socket(name);
	char text[64] = "";

	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(sd_notify_state("READY=1\nSTATUS=here"), 1);
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT), 19);
	assert_string_equal(text, "READY=1\nSTATUS=here");
}

static void the_service_manager_is_told_at_a_path_or_an_abstract_name(void **state)
{
	scoped(freep) char *path = xasprintf("%s/n", directory);
	scoped(freep) char *abstract = xasprintf("@previewd-test-%d", (int)getpid());

	(void)state;
	assert_told(path);
	assert_told(abstract);
}

static void without_a_service_manager_nobody_is_told(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(sd_notify_state("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
	assert_int_equal(sd_notify_state("READY=1"), -ENOENT);
	setenv("NOTIFY_SOCKET", "vsock:2:3", 1);
	assert_int_equal(sd_notify_state("READY=1"), -EAFNOSUPPORT);
	unsetenv("NOTIFY_SOCKET");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_addresses_read_as_written),
		cmocka_unit_test(a_taken_port_is_said_to_be_in_use),
		cmocka_unit_test(a_unix_socket_has_its_mode_and_its_directory_whatever_the_umask),
		cmocka_unit_test(a_stale_unix_socket_is_replaced_and_a_living_one_is_not),
		cmocka_unit_test(a_file_that_is_no_socket_is_left_alone),
		cmocka_unit_test(a_path_that_no_address_holds_is_refused),
		cmocka_unit_test(sockets_of_the_service_manager_are_taken_over),
		cmocka_unit_test(sockets_meant_for_another_process_are_not),
		cmocka_unit_test(what_does_not_listen_is_not_taken_over),
		cmocka_unit_test(the_service_manager_is_told_at_a_path_or_an_abstract_name),
		cmocka_unit_test(without_a_service_manager_nobody_is_told),
	};

	return cmocka_run_group_tests_name("listen", tests, make_directory, remove_directory);
}
