/* SPDX-License-Identifier: MIT */
/*
 * A settings file; behind a NUL, values of the command line, one a line.  Any is settings or a
 * fault with a sentence, and settings printed as a file are the same settings.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/parse.h"
#include "config/option.h"
#include "config/settings.h"
#include "fuzz.h"

static int file = -1;

/* The same file in memory each time, with other contents. */
static const char *file_with(const void *bytes, size_t len)
{
	static char path[64];

	if (file < 0) {
		file = memfd_create("settings", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	}
	if (file < 0 || ftruncate(file, 0) < 0 || pwrite(file, bytes, len, 0) != (ssize_t)len)
		abort();
	return path;
}

static void on_warning(const char *sentence, void *arg)
{
	(void)arg;
	assert(sentence[0] && !strchr(sentence, '\n'));
}

static struct settings *load(const void *text, size_t len, const char *const *overrides)
{
	static const char *const no_environment[] = { NULL };
	const struct settings_sources sources = { file_with(text, len), overrides, no_environment };
	scoped(fault_done) struct fault fault = { 0 };
	struct settings *s = NULL;

	if (settings_load(&sources, on_warning, NULL, &s, &fault) < 0) {
		assert(fault.code == FAULT_BAD_REQUEST && fault.detail && !s);
		return NULL;
	}
	return s;
}

static void check_same(const struct settings *a, const struct settings *b)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		scoped(strbuf_done) struct strbuf x = strbuf_init(STRBUF_UNLIMITED);
		scoped(strbuf_done) struct strbuf y = strbuf_init(STRBUF_UNLIMITED);

		option_format(&options[i], a, &x);
		option_format(&options[i], b, &y);
		assert(strcmp(strbuf_str(&x), strbuf_str(&y)) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
	const size_t len = nul ? (size_t)(nul - data) : size;
	scoped(freep) char *rest =
		nul ? xstrndup((const char *)nul + 1, size - len - 1) : xstrdup("");
	scoped(strv_freep) char **overrides = parse_list(rest, '\n');
	scoped(settings_freep) struct settings *once = NULL, *twice = NULL;
	scoped(freep) char *printed = NULL;
	size_t printed_len = 0;
	FILE *f;

	once = load(data, len, (const char *const *)overrides);
	if (!once)
		return 0;
	f = open_memstream(&printed, &printed_len);
	settings_print(once, f);
	fclose(f);
	twice = load(printed, printed_len, NULL);
	assert(twice);
	check_same(once, twice);
	return 0;
}
