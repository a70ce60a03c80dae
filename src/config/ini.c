/* SPDX-License-Identifier: MIT */
/*
 * The form of a settings file.  It knows nothing of what the settings are, and no input makes it do
 * more than walk the bytes once.
 */
#include "config/ini.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

/* Bytes of the file, not ended by a NUL. */
struct span {
	const char *start;
	const char *end;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct span trim(struct span s)
{
	while (s.start < s.end && is_blank(*s.start))
		s.start++;
	while (s.end > s.start && is_blank(s.end[-1]))
		s.end--;
	return s;
}

static char *copy(struct span s)
{
	return xmemdup(s.start, s.end - s.start);
}

struct ini ini_of(const char *text, size_t len)
{
	static const char byte_order_mark[] = "\xef\xbb\xbf";
	struct ini ini = { .next = text, .end = text + len };

	if (len >= 3 && memcmp(text, byte_order_mark, 3) == 0)
		ini.next += 3;
	return ini;
}

static void forget(char **text)
{
	free(*text);
	*text = NULL;
}

void ini_done(struct ini *ini)
{
	forget(&ini->section);
	forget(&ini->key);
	forget(&ini->value);
}

static int fail(struct ini *ini, const char *problem)
{
	ini->problem = problem;
	return -EINVAL;
}

static struct span take_line(struct ini *ini)
{
	struct span line = { ini->next, memchr(ini->next, '\n', ini->end - ini->next) };

	if (line.end) {
		ini->next = line.end + 1;
	} else {
		line.end = ini->end;
		ini->next = ini->end;
	}
	ini->line++;

	if (line.end > line.start && line.end[-1] == '\r')
		line.end--;
	return trim(line);
}

static int read_section(struct ini *ini, struct span line)
{
	struct span name = trim((struct span){ line.start + 1, line.end - 1 });

	if (line.end - line.start < 3 || line.end[-1] != ']' || name.start == name.end)
		return fail(ini, "a section's line must be of the form [section]");

	ini_done(ini);
	ini->section = copy(name);
	return 1;
}

static int read_quoted(struct ini *ini, struct span quoted, char **ret)
{
	scoped(freep) char *value = xcalloc(1, quoted.end - quoted.start);
	char *to = value;
	const char *from = quoted.start + 1;

	for (; from < quoted.end && *from != '"'; from++) {
		if (*from == '\\' && from + 1 < quoted.end && (from[1] == '"' || from[1] == '\\'))
			from++;
		*to++ = *from;
	}
	if (from == quoted.end)
		return fail(ini, "the closing quote is missing");
	if (from + 1 != quoted.end)
		return fail(ini,
			    "there is more behind the closing quote (a quote that belongs to "
			    "the value is written \\\", a comment stands on a line of its own)");

	*ret = STEAL(value);
	return 0;
}

static int read_entry(struct ini *ini, struct span line)
{
	const char *equals = memchr(line.start, '=', line.end - line.start);
	struct span key, value;

	if (!equals)
		return fail(ini, "this is neither [section] nor key = value nor a comment");
	if (!ini->section)
		return fail(ini, "a key must stand below a [section]");
	key = trim((struct span){ line.start, equals });
	value = trim((struct span){ equals + 1, line.end });
	if (key.start == key.end)
		return fail(ini, "there is no key before the =");

	ini->quoted = value.start < value.end && *value.start == '"';
	if (ini->quoted) {
		int r = read_quoted(ini, value, &ini->value);

		if (r < 0)
			return r;
	} else {
		ini->value = copy(value);
	}
	ini->key = copy(key);
	return 1;
}

int ini_next(struct ini *ini)
{
	forget(&ini->key);
	forget(&ini->value);

	while (ini->next < ini->end) {
		struct span line = take_line(ini);

		if (line.start == line.end || *line.start == '#' || *line.start == ';')
			continue;
		if (memchr(line.start, '\0', line.end - line.start))
			return fail(ini, "there is a NUL byte in the line");
		if (*line.start == '[')
			return read_section(ini, line);
		return read_entry(ini, line);
	}
	return 0;
}
