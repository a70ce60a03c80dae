/* SPDX-License-Identifier: MIT */
/*
 * Replays a fuzz target's corpus as an ordinary test: fuzz_NAME reads tests/fuzz/corpus/NAME.  The
 * input that breaks a promise is the last one named before the program aborts.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "fuzz.h"

#define INPUT_MAX (1024 * 1024)

static int replay(const char *directory, const char *name)
{
	scoped(freep) char *path = xasprintf("%s/%s", directory, name);
	scoped(fclosep) FILE *f = fopen(path, "rb");
	scoped(freep) uint8_t *data = xcalloc(1, INPUT_MAX);

	if (!f)
		return -1;
	printf("# %s\n", name);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, fread(data, 1, INPUT_MAX, f));
	return 0;
}

int main(int argc, char **argv)
{
	const char *base = strrchr(argv[0], '/');
	const char *name = strstr(base ? base : argv[0], "fuzz_");
	const char *srcdir = getenv("srcdir");
	scoped(freep) char *directory = NULL;
	struct dirent *entry;
	unsigned n = 0;
	DIR *dir;

	if (argc > 1)
		directory = xstrdup(argv[1]);
	else
		directory = xasprintf("%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".",
				      name ? name + strlen("fuzz_") : "");

	printf("1..1\n");
	dir = opendir(directory);
	if (!dir) {
		printf("not ok 1 - no corpus at %s\n", directory);
		return 1;
	}
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && replay(directory, entry->d_name) == 0)
			n++;
	closedir(dir);

	printf("%s 1 - %u inputs of %s hold\n", n > 0 ? "ok" : "not ok", n, directory);
	return n == 0;
}
