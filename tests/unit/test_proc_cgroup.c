/* SPDX-License-Identifier: MIT */
/*
 * With real groups: as root, where a cgroup2 hierarchy is mounted and writable, the test makes a
 * group, marks it as systemd marks what it delegates, and moves into it.
 */
#include "proc/cgroup.h"

#include "proc_help.h"

#include "loop/jobs.h"
#include "proc/sandbox.h"
#include "proc/spawn.h"
#include "proc/tree.h"

#include <sys/stat.h>
#include <sys/xattr.h>

static char *home;      /* the group the test came from */
static char *delegated; /* NULL: none is to be had */

static void write_file(const char *directory, const char *name, const char *text)
{
	scoped(freep) char *path = xasprintf("%s/%s", directory, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* Where cgroup2 is mounted, and where in it we are. */
static char *find_home(void)
{
	char line[4096], point[1024] = "", path[1024] = "";
	FILE *f = fopen("/proc/self/mountinfo", "re");

	while (fgets(line, sizeof(line), f))
		if (strstr(line, " - cgroup2 ") && !*point)
			assert_int_equal(sscanf(line, "%*s %*s %*s %*s %1023s", point), 1);
	fclose(f);
	f = fopen("/proc/self/cgroup", "re");
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, "0::", 3) == 0)
			assert_int_equal(sscanf(line, "0::%1023s", path), 1);
	fclose(f);
	if (!*point || !*path)
		return NULL;
	return xasprintf("%s%s", point, strcmp(path, "/") == 0 ? "" : path);
}

static int move_into_group(void **state)
{
	(void)state;
	home = geteuid() == 0 ? find_home() : NULL;
	if (!home)
		return 0;
	delegated = xasprintf("%s/previewd-test-%d", home, getpid());
	if (mkdir(delegated, 0755) < 0) {
		free(delegated);
		delegated = NULL;
	}
	return 0;
}

static int move_back(void **state)
{
	(void)state;
	if (delegated) {
		write_file(home, "cgroup.procs", "0");
		if (cgroup_remove(delegated) < 0)
			print_error("# %s stays\n", delegated);
	}
	free(delegated);
	free(home);
	return 0;
}

static void need_group(void)
{
	if (delegated)
		return;
	print_message("# needs root and a writable cgroup2 hierarchy\n");
	skip();
}

/* Each test begins in the delegated group itself, as a service does. */
static struct cgroups *enter(void)
{
	struct cgroups *c = NULL;

	need_group();
	write_file(delegated, "cgroup.procs", "0");
	assert_int_equal(setxattr(delegated, "trusted.delegate", "1", 1, 0), 0);
	assert_int_equal(cgroups_new(&c), 0);
	return c;
}

static void a_group_that_nobody_gave_us_is_left_alone(void **state)
{
	scoped(cgroups_freep) struct cgroups *c = NULL;

	(void)state;
	need_group();
	write_file(delegated, "cgroup.procs", "0");
	removexattr(delegated, "trusted.delegate");
	assert_int_equal(cgroups_new(&c), -EOPNOTSUPP);
	write_file(home, "cgroup.procs", "0");
	assert_int_equal(cgroups_new(&c), -EOPNOTSUPP);
}

static void the_daemon_moves_into_a_leaf_and_finds_itself_there_again(void **state)
{
	scoped(cgroups_freep) struct cgroups *c = enter(), *again = NULL;
	scoped(freep) char *leaf = xasprintf("%s/daemon", delegated);
	scoped(freep) pid_t *pids = NULL;
	scoped(freep) char *path = NULL;
	size_t n;

	(void)state;
	(void)c;
	assert_int_equal(cgroup_processes(leaf, &pids, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(pids[0], getpid());
	assert_int_equal(cgroups_new(&again), 0);
	assert_int_equal(cgroup_make(again, "x", &path), 0);
	assert_int_equal(strncmp(path, delegated, strlen(delegated)), 0);
	assert_int_equal(strcmp(path + strlen(delegated), "/task-x"), 0);
	assert_int_equal(cgroup_remove(path), 0);
	assert_int_equal(cgroup_kill(leaf), -EPERM);
}

static void a_group_of_a_run_is_known_by_its_name_alone(void **state)
{
	scoped(cgroups_freep) struct cgroups *c = enter();
	scoped(freep) char *name = cgroup_run_name("abc");
	scoped(freep) char *group = xasprintf("%s/%s", delegated, name);
	scoped(freep) char *found = NULL, *none = NULL;

	(void)state;
	(void)c;
	assert_int_equal(cgroup_of_run(getpid(), "abc", &none), -ENOENT);
	assert_int_equal(mkdir(group, 0755), 0);
	write_file(group, "cgroup.procs", "0");
	assert_int_equal(cgroup_of_run(getpid(), "abc", &found), 0);
	assert_string_equal(found, group);
	assert_int_equal(cgroup_of_run(getpid(), "ab", &none), -ENOENT);
	assert_int_equal(cgroup_of_run(getpid(), "", &none), -ENOENT);
	write_file(home, "cgroup.procs", "0");
	assert_int_equal(cgroup_remove(found), 0);
}

static void names_are_made_safe_and_no_two_share_a_group(void **state)
{
	scoped(cgroups_freep) struct cgroups *c = enter();
	static const char *const names[] = { "../../x", ".._.._x", "../../x", "" };
	char *paths[ARRAY_SIZE(names)];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(cgroup_make(c, names[i], &paths[i]), 0);
		assert_null(strchr(paths[i] + strlen(delegated) + 1, '/'));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(paths[i], paths[j]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(cgroup_remove(paths[i]), 0);
		assert_int_equal(cgroup_remove(paths[i]), -ENOENT);
		free(paths[i]);
	}
}

struct world {
	struct loop *loop;
	struct jobs *jobs;
	struct child *child;
	struct proc_kill *kill;
	bool is_ready, is_over, has_exited;
	size_t ended, n_left;
};

static void on_output(struct child *c, const char *bytes, size_t len, void *arg)
{
	struct world *w = arg;

	(void)c;
	if (memchr(bytes, '!', len)) {
		w->is_ready = true;
		loop_stop(w->loop);
	}
}

static void on_killed(const struct proc_kill_result *result, void *arg)
{
	struct world *w = arg;

	w->is_over = true;
	w->ended = result->ended;
	w->n_left = result->n_left;
	loop_stop(w->loop);
}

static void on_child_exit(struct child *c, int code, int signal, void *arg)
{
	struct world *w = arg;

	(void)c;
	(void)code;
	(void)signal;
	w->has_exited = true;
	loop_stop(w->loop);
}

static const struct child_ops ops = { .on_output = on_output, .on_exit = on_child_exit };

static void spawn_in(struct world *w, const char *cgroup, const char *script)
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	const char *const environ_text[] = { "PATH=/usr/bin:/bin", NULL };

	*w = (struct world){ .loop = loop_new() };
	w->jobs = jobs_new(w->loop, 1, 4);
	assert_int_equal(child_spawn(w->loop,
				     &(struct spawn_request){ .argv = argv,
							      .environ_ = environ_text,
							      .cwd = "/",
							      .cgroup = cgroup },
				     &ops, w, &w->child, NULL),
			 0);
	while (!w->is_ready && !w->has_exited)
		loop_run(w->loop);
	assert_true(w->is_ready);
}

static void world_done(struct world *w)
{
	proc_kill_free(w->kill);
	(void)!pidref_signal(child_pidref(w->child), SIGKILL);
	while (!w->has_exited)
		loop_run(w->loop);
	child_free(w->child);
	jobs_free(w->jobs);
	loop_free(w->loop);
}

/* A grandchild without any other tie: own session, parent gone, no mark; and deaf. */
#define LOSE "setsid sh -c 'trap \"\" TERM; (sleep 60; sleep 60) & exit' ; echo '!'; exec sleep 60"

static void a_child_is_born_into_its_group_and_the_kill_is_exact(void **state)
{
	scoped(cgroups_freep) struct cgroups *c = enter();
	scoped(freep) char *path = NULL;
	scoped(freep) pid_t *pids = NULL;
	struct world w;
	size_t n;

	(void)state;
	assert_int_equal(cgroup_make(c, "task 1", &path), 0);
	assert_int_equal(cgroup_is_populated(path), 0);
	spawn_in(&w, path, LOSE);
	assert_int_equal(cgroup_is_populated(path), 1);
	assert_int_equal(cgroup_remove(path), -EBUSY);

	/* By the group alone: no root, no mark. */
	w.kill = proc_kill_start(w.loop, w.jobs,
				 proc_tree_new(&(struct proc_tree_settings){ .cgroup = path }),
				 100 * USEC_PER_MSEC, on_killed, &w);
	while (!w.is_over)
		loop_run(w.loop);
	assert_true(w.ended >= 3);
	assert_int_equal(w.n_left, 0);
	world_done(&w);
	while (cgroup_is_populated(path) == 1)
		usleep(1000); /* zombies are in it until they are reaped */
	assert_int_equal(cgroup_processes(path, &pids, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(cgroup_remove(path), 0);
}

static void one_write_kills_all_below(void **state)
{
	scoped(cgroups_freep) struct cgroups *c = enter();
	scoped(freep) char *path = NULL, *below = NULL;
	struct world w;

	(void)state;
	assert_int_equal(cgroup_make(c, "task 2", &path), 0);
	below = xasprintf("%s/own", path);
	assert_int_equal(mkdir(below, 0755), 0);
	spawn_in(&w, below, LOSE);
	assert_int_equal(cgroup_is_populated(path), 1);
	assert_int_equal(cgroup_kill(path), 0);
	while (cgroup_is_populated(path) == 1)
		usleep(1000);
	world_done(&w);
	assert_int_equal(cgroup_remove(path), 0);
}

static void a_group_that_is_gone_stops_no_spawn(void **state)
{
	struct world w;

	(void)state;
	spawn_in(&w, "/nowhere", "echo '!'");
	world_done(&w);
}

static void the_group_we_are_in_is_never_killed_whole(void **state)
{
	scoped(cgroups_freep) struct cgroups *c = enter();
	struct world w;

	(void)state;
	(void)c;
	spawn_in(&w, NULL, "trap '' TERM; echo '!'; while :; do sleep 1; done");
	w.kill = proc_kill_start(w.loop, w.jobs,
				 proc_tree_new(&(struct proc_tree_settings){ .cgroup = delegated }),
				 0, on_killed, &w);
	while (!w.is_over)
		loop_run(w.loop); /* we, who are in it, live to see */
	assert_int_equal(w.n_left, 0);
	assert_false(pidref_is_alive(child_pidref(w.child)));
	world_done(&w);
}

static char *read_line(const char *directory, const char *name)
{
	scoped(freep) char *path = xasprintf("%s/%s", directory, name);
	FILE *f = fopen(path, "re");
	char line[64] = "";

	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	fclose(f);
	return xstrdup(line);
}

static void a_group_holds_the_limits_that_it_says_it_holds(void **state)
{
	scoped(cgroups_freep) struct cgroups *c = enter();
	scoped(freep) char *path = NULL;
	unsigned held;

	(void)state;
	assert_int_equal(cgroup_make(c, "limited", &path), 0);
	held = cgroup_limit(c, path,
			    &(struct cgroup_limits){ .memory = 128 << 20, .processes = 77 });
	if (held & CGROUP_HOLDS_MEMORY) {
		scoped(freep) char *memory = read_line(path, "memory.max");

		assert_string_equal(memory, "134217728\n");
	}
	if (held & CGROUP_HOLDS_PROCESSES) {
		scoped(freep) char *processes = read_line(path, "pids.max");

		assert_string_equal(processes, "77\n");
	}
	if (!held)
		print_message("# the hierarchy here has neither controller\n");
	assert_false(cgroup_ran_out_of_memory(path));
	assert_int_equal(cgroup_limit(c, path, &(struct cgroup_limits){ 0 }), 0);
	assert_int_equal(cgroup_remove(path), 0);
}

struct build {
	struct loop *loop;
	struct sandbox_run *run;
	bool has_group; /* with something in it, while it ran */
	enum sandbox_end end;
};

/* The group of a build, as a path; NULL when there is none. */
static char *find_build_group(void)
{
	DIR *dir = opendir(delegated);
	char *path = NULL;

	for (const struct dirent *e; !path && (e = readdir(dir));)
		if (strncmp(e->d_name, "task-build-", 11) == 0)
			path = xasprintf("%s/%s", delegated, e->d_name);
	closedir(dir);
	return path;
}

static void on_build_output(const char *bytes, size_t len, void *arg)
{
	struct build *b = arg;
	scoped(freep) char *group = find_build_group();

	(void)bytes;
	(void)len;
	b->has_group = group && cgroup_is_populated(group) == 1;
}

static void on_build_end(enum sandbox_end end, int code, void *arg)
{
	struct build *b = arg;

	(void)code;
	b->end = end;
	b->run = sandbox_run_free(b->run);
	loop_stop(b->loop);
}

static const struct sandbox_ops build_ops = { .on_output = on_build_output,
					      .on_end = on_build_end };

static void stop_loop(void *loop)
{
	loop_stop(loop);
}

/* Until it is known whether there is one. */
static const char *await_verdict(struct sandbox *sandbox, struct loop *loop)
{
	struct timer *timer = timer_new(loop, stop_loop, loop);
	const char *remedy = NULL;

	while (!sandbox_is_usable(sandbox, &remedy, NULL) &&
	       strcmp(remedy, "it is being tried") == 0) {
		timer_set(timer, 10 * USEC_PER_MSEC);
		loop_run(loop);
	}
	timer_free(timer);
	return remedy;
}

/* Isolated or not, it is in one. */
static void a_build_has_a_group_as_long_as_it_runs(void **state)
{
	scoped(cgroups_freep) struct cgroups *c = enter();
	struct build b = { .loop = loop_new() };
	struct jobs *jobs = jobs_new(b.loop, 1, 16);
	struct sandbox *sandbox =
		sandbox_new(&(struct sandbox_deps){ .loop = b.loop,
						    .jobs = jobs,
						    .cgroups = c,
						    .inside = "./previewd-sandbox" },
			    SANDBOX_PREFER);
	const char *const argv[] = { "sh", "-c", "echo begun; exec sleep 60", NULL };
	const char *remedy = await_verdict(sandbox, b.loop);
	scoped(freep) char *group = NULL;

	(void)state;
	assert_int_equal(
		sandbox_start(sandbox,
			      &(struct sandbox_request){ .argv = argv,
							 .workdir = "/tmp",
							 .limits = { .wall = 2 * USEC_PER_SEC } },
			      &build_ops, &b, &b.run, NULL),
		0);
	assert_int_equal(loop_run(b.loop), 0);
	assert_true(b.has_group);
	assert_int_equal(b.end, SANDBOX_TIMED_OUT);
	if (remedy)
		print_message("# not isolated: %s\n", remedy);
	sandbox_free(sandbox);
	jobs_free(jobs);
	loop_free(b.loop);
	group = find_build_group();
	assert_null(group);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		proc_test(a_group_that_nobody_gave_us_is_left_alone),
		proc_test(the_daemon_moves_into_a_leaf_and_finds_itself_there_again),
		proc_test(a_group_of_a_run_is_known_by_its_name_alone),
		proc_test(names_are_made_safe_and_no_two_share_a_group),
		proc_test(a_child_is_born_into_its_group_and_the_kill_is_exact),
		proc_test(one_write_kills_all_below),
		proc_test(a_group_that_is_gone_stops_no_spawn),
		proc_test(the_group_we_are_in_is_never_killed_whole),
		proc_test(a_group_holds_the_limits_that_it_says_it_holds),
		proc_test(a_build_has_a_group_as_long_as_it_runs),
	};

	helper_main(argc, argv);
	return cmocka_run_group_tests_name("cgroup", tests, move_into_group, move_back);
}
