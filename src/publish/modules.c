/* SPDX-License-Identifier: MIT */
/*
 * The store of installed packages: modules/USER/KEY/node_modules, below the state directory.
 *
 * The key is a digest of all that the installation depends on, so that what has the same key is the
 * same.  It is bound read-only into builds, never written again, and never shared between users:
 * one who could choose its content would choose what others run.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#include "base/files.h"
#include "base/ids.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/parse.h"
#include "publish/publisher_priv.h"

#define PACKAGES_MAX 65536 /* bytes, of their names */

struct module_store {
	struct modules *modules;
	char *user_id, *key;
	char *path; /* of node_modules, absolute */
	char **packages;
	uint64_t bytes;
	usec_t used_at; /* realtime */
	unsigned refs;
	struct module_store *prev, *next;
};

struct modules {
	int state_fd;
	char *state_dir;
	struct module_store *stores; /* the one used last is the last */
	uint64_t bytes;
};

static char **read_packages(const struct modules *m, const char *user_id, const char *key)
{
	scoped(freep) char *file = xasprintf("modules/%s/%s/packages", user_id, key);
	scoped(freep) char *text = NULL;

	if (read_file_at(m->state_fd, file, PACKAGES_MAX, &text, NULL) < 0)
		return strv_copy(NULL);
	return parse_list(text, '\n');
}

static struct module_store *store_new(struct modules *m, const char *user_id, const char *key,
				      uint64_t bytes)
{
	struct module_store *s = xcalloc(1, sizeof(*s));

	s->modules = m;
	s->user_id = xstrdup(user_id);
	s->key = xstrdup(key);
	s->path = xasprintf("%s/modules/%s/%s/node_modules", m->state_dir, user_id, key);
	s->packages = read_packages(m, user_id, key);
	s->bytes = bytes;
	s->used_at = clock_realtime();
	DL_APPEND(m->stores, s);
	m->bytes += bytes;
	metric_inc(METRIC_PACKAGES);
	return s;
}

static void store_drop(struct module_store *s)
{
	DL_DELETE(s->modules->stores, s);
	s->modules->bytes -= s->bytes;
	metric_add(METRIC_PACKAGES, -1);
	free(s->user_id);
	free(s->key);
	free(s->path);
	strv_free(s->packages);
	free(s);
}

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static DIR *open_dir(int dirfd, const char *path)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		close(fd);
	return d;
}

static int by_use(const struct module_store *a, const struct module_store *b)
{
	return a->used_at < b->used_at ? -1 : a->used_at > b->used_at;
}

static void load_one(struct modules *m, int user_fd, const char *user_id, const char *key)
{
	scoped(freep) char *size = xasprintf("%s/size", key);
	scoped(freep) char *text = NULL;
	struct module_store *s;
	struct stat st;
	uint64_t bytes;

	if (read_file_at(user_fd, size, 32, &text, NULL) < 0 || parse_u64(text, &bytes) < 0 ||
	    fstatat(user_fd, size, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	s = store_new(m, user_id, key, bytes);
	s->used_at = (usec_t)st.st_mtim.tv_sec * USEC_PER_SEC;
}

static void load_user(struct modules *m, int modules_fd, const char *user_id)
{
	scoped(closedirp) DIR *d = open_dir(modules_fd, user_id);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (strlen(e->d_name) == SHA256_HEX_SIZE - 1)
			load_one(m, dirfd(d), user_id, e->d_name);
}

int modules_new(int state_fd, const char *state_dir, struct modules **ret)
{
	scoped(modules_freep) struct modules *m = xcalloc(1, sizeof(*m));
	scoped(closedirp) DIR *d = NULL;
	struct dirent *e;

	m->state_fd = state_fd;
	m->state_dir = xstrdup(state_dir);
	if (mkdirat(state_fd, "modules", 0700) < 0 && errno != EEXIST)
		return -errno;
	d = open_dir(state_fd, "modules");
	if (!d)
		return -errno;
	while ((e = readdir(d)))
		if (id_is_valid(e->d_name))
			load_user(m, dirfd(d), e->d_name);
	DL_SORT(m->stores, by_use);
	*ret = STEAL(m);
	return 0;
}

struct modules *modules_free(struct modules *m)
{
	if (!m)
		return NULL;
	while (m->stores)
		store_drop(m->stores);
	free(m->state_dir);
	free(m);
	return NULL;
}

uint64_t modules_bytes(const struct modules *m)
{
	return m->bytes;
}

const char *module_store_path(const struct module_store *s)
{
	return s->path;
}

char *const *module_store_packages(const struct module_store *s)
{
	return s->packages;
}

char *module_store_package_path(const struct module_store *s, const char *package)
{
	return xasprintf("%s/modules/%s/%s/below/%s/node_modules", s->modules->state_dir,
			 s->user_id, s->key, package);
}

struct module_store *modules_find(struct modules *m, const char *user_id, const char *key)
{
	scoped(freep) char *size = NULL;
	struct module_store *s;

	DL_FOREACH(m->stores, s)
	{
		if (strcmp(s->key, key) == 0 && strcmp(s->user_id, user_id) == 0)
			break;
	}
	if (!s)
		return NULL;
	s->refs++;
	s->used_at = clock_realtime();
	DL_DELETE(m->stores, s);
	DL_APPEND(m->stores, s);
	/* The order of use outlives the daemon as the file's time. */
	size = xasprintf("modules/%s/%s/size", user_id, key);
	(void)utimensat(m->state_fd, size, NULL, AT_SYMLINK_NOFOLLOW);
	return s;
}

struct module_store *modules_let_go(struct module_store *s)
{
	if (s)
		s->refs--;
	return NULL;
}

int modules_add(struct modules *m, const char *user_id, const char *key, const char *staged,
		uint64_t bytes, struct module_store **ret)
{
	scoped(freep) char *user = xasprintf("modules/%s", user_id);
	scoped(freep) char *place = xasprintf("modules/%s/%s", user_id, key);
	struct module_store *s = modules_find(m, user_id, key);

	if (s) { /* another build was faster */
		*ret = s;
		return 0;
	}
	if (mkdirat(m->state_fd, user, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (renameat(m->state_fd, staged, m->state_fd, place) < 0)
		return -errno;
	s = store_new(m, user_id, key, bytes);
	s->refs++;
	*ret = s;
	return 0;
}

void modules_trim(struct modules *m, uint64_t bytes_max,
		  void (*gone)(const char *relative, void *arg), void *arg)
{
	struct module_store *s, *tmp;

	DL_FOREACH_SAFE(m->stores, s, tmp)
	{
		scoped(freep) char *place = NULL, *away = NULL;
		char chance[17];

		if (m->bytes <= bytes_max)
			return;
		if (s->refs > 0)
			continue;
		random_hex(chance, 8);
		place = xasprintf("modules/%s/%s", s->user_id, s->key);
		away = xasprintf("builds/gone-%s", chance);
		if (renameat(m->state_fd, place, m->state_fd, away) < 0)
			continue;
		store_drop(s);
		gone(away, arg);
	}
}
