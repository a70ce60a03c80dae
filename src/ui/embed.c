/* SPDX-License-Identifier: MIT */
/*
 * At build time: writes assets.inc from files, so that the binary has them in it.
 *
 *	embed DIRECTORY NAME...
 *
 * reads DIRECTORY/NAME, and the same compressed from DIRECTORY/NAME.gz.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *ending;
	const char *content_type;
} types[] = {
	{ ".html", "text/html; charset=utf-8" },
	{ ".js", "text/javascript; charset=utf-8" },
	{ ".css", "text/css; charset=utf-8" },
	{ ".svg", "image/svg+xml" },
};

static const char *type_of(const char *name)
{
	const char *ending = strrchr(name, '.');

	for (size_t i = 0; ending && i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(types[i].ending, ending) == 0)
			return types[i].content_type;
	}
	fprintf(stderr, "embed: %s: no content type is known for it\n", name);
	exit(1);
}

static void write_bytes(const char *directory, const char *name, const char *suffix, size_t index)
{
	char path[4096];
	FILE *in;
	int byte;

	snprintf(path, sizeof(path), "%s/%s%s", directory, name, suffix);
	in = fopen(path, "rb");
	if (!in) {
		fprintf(stderr, "embed: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	printf("static const unsigned char %s%zu[] = {", suffix[0] ? "gzip" : "data", index);
	for (size_t column = 0; (byte = getc(in)) != EOF; column++)
		printf("%s%d,", column % 20 == 0 ? "\n" : "", byte);
	printf("\n};\n");
	fclose(in);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: embed DIRECTORY NAME...\n");
		return 2;
	}

	printf("/* Made by src/ui/embed.c from src/ui/assets/: do not edit. */\n");
	for (int i = 2; i < argc; i++) {
		write_bytes(argv[1], argv[i], "", (size_t)i);
		write_bytes(argv[1], argv[i], ".gz", (size_t)i);
	}
	printf("const struct ui_asset ui_assets[] = {\n");
	for (int i = 2; i < argc; i++)
		printf("\t{ \"%s\", \"%s\", data%d, sizeof(data%d), gzip%d, sizeof(gzip%d) },\n",
		       argv[i], type_of(argv[i]), i, i, i, i);
	printf("};\n");
	return ferror(stdout) || fflush(stdout) != 0;
}
