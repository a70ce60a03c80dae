/* SPDX-License-Identifier: MIT */
/*
 * Releases on disk.
 *
 * A reader opens `current` and finds a whole release there, whatever was cut off when: a release
 * gets its name when all of it is on disk, `current` is replaced by rename(2), and what is to go
 * loses its name before its files.  What a crash leaves is only more than there should be.
 */
#include "publish/release.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/ids.h"
#include "base/mem.h"
#include "base/trees.h"

#define RELEASES  "releases"
#define TEMPORARY ".tmp-"
#define OLD       ".old-"
#define SIZE_FILE "size" /* "FILES BYTES\n" */
#define LINK_TEMP ".switching"

/* Of a place that goes: no KEY begins like that. */
#define PLACE_OLD "~old-"

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

void (*release_step_hook)(const char *step);

static void step(const char *name)
{
	if (release_step_hook)
		release_step_hook(name);
}

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int open_dir_at(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, OPEN_DIRECTORY);

	return fd < 0 ? -errno : fd;
}

static bool begins_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

void release_list_done(struct release_list *l)
{
	free(l->items);
	*l = (struct release_list){ 0 };
}

bool release_id_is_valid(const char *id)
{
	return strlen(id) == RELEASE_ID_SIZE - 1 &&
	       strspn(id, "0123456789abcdef") == RELEASE_ID_SIZE - 1;
}

/* 16 digits of its time, 16 of chance. */
static usec_t time_of(const char *id)
{
	char digits[17];

	snprintf(digits, sizeof(digits), "%.16s", id);
	return strtoull(digits, NULL, 16);
}

static char *key_of(const char *session_id, const char *name)
{
	return xasprintf("%s~%s", session_id, name);
}

int release_place(int root_fd, const char *session_id, const char *name, bool make, int *ret_fd)
{
	scoped(freep) char *key = key_of(session_id, name);
	scoped(closep) int fd = -1;
	int r;

	if (make) {
		r = make_directory_at(root_fd, key);
		if (r < 0)
			return r;
	}
	fd = open_dir_at(root_fd, key);
	if (fd < 0)
		return fd;
	if (make) {
		r = make_directory_at(fd, RELEASES);
		if (r < 0)
			return r;
		if (fsync(fd) < 0 || fsync(root_fd) < 0)
			return -errno;
	}
	*ret_fd = STEAL_FD(fd);
	return 0;
}

/*
 * Links.
 */
static int read_link(int place_fd, const char *name, char ret[static RELEASE_ID_SIZE])
{
	static const char prefix[] = RELEASES "/";
	char target[64];
	ssize_t n = readlinkat(place_fd, name, target, sizeof(target) - 1);

	ret[0] = '\0';
	if (n < 0)
		return errno == ENOENT ? 0 : -errno;
	target[n] = '\0';
	if (!begins_with(target, prefix) || !release_id_is_valid(target + strlen(prefix)))
		return 0; /* somebody's hand: as good as none */
	memcpy(ret, target + strlen(prefix), RELEASE_ID_SIZE);
	return 0;
}

int release_current(int place_fd, char ret[static RELEASE_ID_SIZE])
{
	return read_link(place_fd, "current", ret);
}

static int write_link(int place_fd, const char *name, const char *id)
{
	char target[64];

	snprintf(target, sizeof(target), RELEASES "/%s", id);
	step("unlink");
	if (unlinkat(place_fd, LINK_TEMP, 0) < 0 && errno != ENOENT)
		return -errno;
	step("symlink");
	if (symlinkat(target, place_fd, LINK_TEMP) < 0)
		return -errno;
	step("rename link");
	if (renameat(place_fd, LINK_TEMP, place_fd, name) < 0)
		return -errno;
	return 0;
}

int release_open(int place_fd, const char *id, int *ret_fd)
{
	char path[64];
	int fd;

	if (!release_id_is_valid(id))
		return -ENOENT;
	snprintf(path, sizeof(path), RELEASES "/%s", id);
	fd = open_dir_at(place_fd, path);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

/*
 * Lists.
 */
static int newest_first(const void *a, const void *b)
{
	return strcmp(((const struct release_info *)b)->id, ((const struct release_info *)a)->id);
}

static void read_size(int dirfd, const char *id, struct release_info *ret)
{
	scoped(freep) char *path = xasprintf("%s/" SIZE_FILE, id);
	scoped(freep) char *text = NULL;
	uint64_t files = 0, bytes = 0;

	if (read_file_at(dirfd, path, 64, &text, NULL) >= 0 &&
	    sscanf(text, "%" SCNu64 " %" SCNu64, &files, &bytes) == 2) {
		ret->files = (size_t)files;
		ret->bytes = bytes;
	}
}

int release_list(int place_fd, struct release_list *ret)
{
	scoped(release_list_done) struct release_list l = { 0 };
	scoped(closep) int fd = open_dir_at(place_fd, RELEASES);
	scoped(closedirp) DIR *d = NULL;
	struct dirent *e;
	size_t max = 0;
	int r;

	if (fd < 0)
		return fd;
	d = fdopendir(fd);
	if (!d)
		return -errno;
	fd = -1;
	while ((e = readdir(d))) {
		struct release_info *info;

		if (!release_id_is_valid(e->d_name))
			continue;
		if (l.n == max) {
			max = max ? 2 * max : 8;
			l.items = xrealloc(l.items, max * sizeof(*l.items));
		}
		info = &l.items[l.n++];
		*info = (struct release_info){ .created_at = time_of(e->d_name) };
		memcpy(info->id, e->d_name, sizeof(info->id));
		read_size(dirfd(d), e->d_name, info);
	}
	if (l.n > 0)
		qsort(l.items, l.n, sizeof(*l.items), newest_first);

	r = read_link(place_fd, "current", l.current);
	if (r >= 0)
		r = read_link(place_fd, "previous", l.previous);
	if (r < 0)
		return r;
	*ret = l;
	l = (struct release_list){ 0 };
	return 0;
}

/*
 * Making one.
 */
static int new_id(int place_fd, char ret[static RELEASE_ID_SIZE])
{
	scoped(release_list_done) struct release_list l = { 0 };
	usec_t now = clock_realtime();
	char chance[17];
	int r = release_list(place_fd, &l);

	if (r < 0)
		return r;
	/* The clock may have been set back; the newest is the newest all the same. */
	if (l.n > 0 && now <= l.items[0].created_at)
		now = l.items[0].created_at + 1;
	random_hex(chance, 8);
	snprintf(ret, RELEASE_ID_SIZE, "%016" PRIx64 "%s", now, chance);
	return 0;
}

static void staging_path(char *path, size_t size, const char *id)
{
	snprintf(path, size, RELEASES "/" TEMPORARY "%s", id);
}

int release_begin(int place_fd, char ret_id[static RELEASE_ID_SIZE], int *ret_fd)
{
	static const char *const parts[] = { "files", "br", "gz" };
	char id[RELEASE_ID_SIZE], path[64];
	scoped(closep) int fd = -1;
	int r = new_id(place_fd, id);

	if (r < 0)
		return r;
	staging_path(path, sizeof(path), id);
	step("mkdir staging");
	if (mkdirat(place_fd, path, 0700) < 0)
		return -errno;
	fd = open_dir_at(place_fd, path);
	if (fd < 0)
		return fd;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		step("mkdir part");
		if (mkdirat(fd, parts[i], 0700) < 0)
			return -errno;
	}
	memcpy(ret_id, id, sizeof(id));
	*ret_fd = STEAL_FD(fd);
	return 0;
}

int release_finish(int place_fd, const char *id, size_t files, uint64_t bytes)
{
	scoped(closep) int releases = -1, staging = -1;
	char from[64], to[64], size[64];
	int len, r;

	staging_path(from, sizeof(from), id);
	snprintf(to, sizeof(to), RELEASES "/%s", id);
	staging = open_dir_at(place_fd, from);
	if (staging < 0)
		return staging;
	len = snprintf(size, sizeof(size), "%zu %" PRIu64 "\n", files, bytes);
	step("write size");
	r = write_file_at(staging, SIZE_FILE, size, (size_t)len, 0600);
	if (r < 0)
		return r;
	step("sync");
	r = sync_tree(staging);
	if (r < 0)
		return r;
	step("rename release");
	if (renameat(place_fd, from, place_fd, to) < 0)
		return -errno;
	releases = open_dir_at(place_fd, RELEASES);
	if (releases < 0)
		return releases;
	step("sync releases");
	return fsync(releases) < 0 ? -errno : 0;
}

void release_abandon(int place_fd, const char *id)
{
	char path[64];

	staging_path(path, sizeof(path), id);
	if (remove_tree_at(place_fd, path) < 0)
		return; /* the next start removes it */
}

/*
 * Switching.
 */
int release_activate(int place_fd, const char *id, const char *expected)
{
	char current[RELEASE_ID_SIZE], path[64];
	struct stat st;
	int r = release_current(place_fd, current);

	if (r < 0)
		return r;
	if (id) {
		if (!release_id_is_valid(id))
			return -ENOENT;
		snprintf(path, sizeof(path), RELEASES "/%s", id);
		if (fstatat(place_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
	}
	if (expected && strcmp(expected, current) != 0)
		return -ESTALE;
	if (id && strcmp(id, current) == 0)
		return 0;

	/* `previous` first: it is only for what pruning must leave alone. */
	if (current[0]) {
		r = write_link(place_fd, "previous", current);
		if (r < 0)
			return r;
	}
	if (id) {
		r = write_link(place_fd, "current", id);
		if (r < 0)
			return r;
	} else {
		step("unlink current");
		if (unlinkat(place_fd, "current", 0) < 0 && errno != ENOENT)
			return -errno;
	}
	step("sync place");
	return fsync(place_fd) < 0 ? -errno : 0;
}

/*
 * Removing.
 */
static int remove_release(int place_fd, const char *id)
{
	scoped(closep) int releases = open_dir_at(place_fd, RELEASES);
	char from[64], to[64];

	if (releases < 0)
		return releases;
	snprintf(from, sizeof(from), RELEASES "/%s", id);
	snprintf(to, sizeof(to), RELEASES "/" OLD "%s", id);
	step("rename old");
	if (renameat(place_fd, from, place_fd, to) < 0)
		return -errno;
	/* Without its name before without its files, also after a loss of power. */
	step("sync releases");
	if (fsync(releases) < 0)
		return -errno;
	step("remove old");
	return remove_tree_at(place_fd, to);
}

int release_discard(int place_fd, const char *id)
{
	char link[RELEASE_ID_SIZE];
	int r = release_current(place_fd, link);

	if (r < 0 || strcmp(link, id) == 0)
		return r;
	r = read_link(place_fd, "previous", link);
	if (r >= 0 && strcmp(link, id) == 0 && unlinkat(place_fd, "previous", 0) < 0)
		r = -errno;
	return r < 0 ? r : remove_release(place_fd, id);
}

int release_prune(int place_fd, const struct release_keep *keep)
{
	scoped(release_list_done) struct release_list l = { 0 };
	usec_t now = clock_realtime();
	uint64_t bytes = 0;
	size_t n = 0;
	int r = release_list(place_fd, &l), first = 0;

	if (r < 0)
		return r;
	/* What stays in any case counts first. */
	for (size_t i = 0; i < l.n; i++) {
		if (strcmp(l.items[i].id, l.current) != 0 && strcmp(l.items[i].id, l.previous) != 0)
			continue;
		n++;
		bytes += l.items[i].bytes;
	}
	for (size_t i = 0; i < l.n; i++) {
		const struct release_info *one = &l.items[i];

		if (strcmp(one->id, l.current) == 0 || strcmp(one->id, l.previous) == 0)
			continue;
		n++;
		bytes += one->bytes;
		if (n <= keep->count && bytes <= keep->bytes &&
		    (keep->age == USEC_INFINITY || now < one->created_at ||
		     now - one->created_at <= keep->age))
			continue;
		n--;
		bytes -= one->bytes;
		r = remove_release(place_fd, one->id);
		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}

/* Those in the directory whose names begin like that. */
static int remove_named(int dirfd, const char *prefix, const char *prefix2)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), first = 0;
	scoped(closedirp) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		int r;

		if (!begins_with(e->d_name, prefix) &&
		    !(prefix2 && begins_with(e->d_name, prefix2)))
			continue;
		r = remove_tree_at(dirfd, e->d_name);
		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}

static int drop_dangling(int place_fd, const char *name)
{
	struct stat st;

	if (fstatat(place_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fstatat(place_fd, name, &st, 0) == 0)
		return 0;
	return unlinkat(place_fd, name, 0) < 0 ? -errno : 0;
}

static int reconcile_place(int root_fd, const char *key)
{
	scoped(closep) int place = open_dir_at(root_fd, key);
	scoped(closep) int releases = -1;
	int r;

	if (place < 0)
		return place == -ENOTDIR ? 0 : place;
	releases = open_dir_at(place, RELEASES);
	if (releases >= 0) {
		r = remove_named(releases, TEMPORARY, OLD);
		if (r < 0)
			return r;
	}
	if (unlinkat(place, LINK_TEMP, 0) < 0 && errno != ENOENT)
		return -errno;
	r = drop_dangling(place, "current");
	return r < 0 ? r : drop_dangling(place, "previous");
}

int release_reconcile(int root_fd)
{
	int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped(closedirp) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int first = 0, r;
	struct dirent *e;

	if (!d)
		return -errno;
	first = remove_named(root_fd, PLACE_OLD, NULL);
	while ((e = readdir(d))) {
		if (!strchr(e->d_name, '~') || begins_with(e->d_name, PLACE_OLD))
			continue;
		r = reconcile_place(root_fd, e->d_name);
		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}

int release_take_away(int root_fd, const char *session_id, const char *name,
		      char ret[static RELEASE_TAKEN_SIZE])
{
	scoped(freep) char *key = key_of(session_id, name);
	char chance[17];

	random_hex(chance, 8);
	snprintf(ret, RELEASE_TAKEN_SIZE, PLACE_OLD "%s", chance);
	step("rename place");
	return renameat(root_fd, key, root_fd, ret) < 0 ? -errno : 0;
}

int release_remove_taken(int root_fd, const char *taken)
{
	if (fsync(root_fd) < 0)
		return -errno;
	step("remove place");
	return remove_tree_at(root_fd, taken);
}

int release_remove_all(int root_fd, const char *session_id, const char *name)
{
	char taken[RELEASE_TAKEN_SIZE];
	int r = release_take_away(root_fd, session_id, name, taken);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return release_remove_taken(root_fd, taken);
}
