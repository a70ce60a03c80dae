/* SPDX-License-Identifier: MIT */
/*
 * Lines on stderr.  A line is put together on the stack and goes out in one write(2), so that lines
 * of several processes don't mix and logging works when memory doesn't.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"

#define LINE_SIZE 4096
#define LINE_TAIL 8 /* room for what closes a line */

struct line {
	char text[LINE_SIZE];
	size_t len;
};

static const struct {
	const char *name;
	char priority; /* syslog's, as sd-daemon(3) wants it */
} levels[] = {
	[LOG_LEVEL_DEBUG] = { "debug", '7' },
	[LOG_LEVEL_INFO] = { "info", '6' },
	[LOG_LEVEL_WARNING] = { "warning", '4' },
	[LOG_LEVEL_ERROR] = { "error", '3' },
};

static enum log_level least_level = LOG_LEVEL_INFO;
static enum log_format line_format = LOG_FORMAT_TEXT;
static bool journal_reads;

/* $JOURNAL_STREAM alone says little: it is inherited, also by those whose stderr was redirected. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;
	int end = 0;

	if (!stream || sscanf(stream, "%ju:%ju%n", &device, &inode, &end) != 2 || stream[end])
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_setup(enum log_level least, enum log_format format)
{
	least_level = least;
	line_format = format;
	journal_reads = stderr_is_journal();
}

enum log_level log_least(void)
{
	return least_level;
}

static bool line_add(struct line *line, const char *bytes, size_t len)
{
	if (len > sizeof(line->text) - LINE_TAIL - line->len)
		return false;
	memcpy(line->text + line->len, bytes, len);
	line->len += len;
	return true;
}

static void line_close(struct line *line, const char *tail)
{
	const size_t len = strlen(tail);

	memcpy(line->text + line->len, tail, len);
	line->len += len;
}

/* The length of the UTF-8 sequence at `s`; 0 when it is none or a control character. */
static size_t printable(const char *s)
{
	const unsigned char c = (unsigned char)s[0];

	if (c < 0x20 || c == 0x7f)
		return 0;
	/* C1: terminals take U+009B for an escape sequence's start. */
	if (c == 0xc2 && (unsigned char)s[1] < 0xa0)
		return 0;
	for (size_t n = 1; n <= 4 && s[n - 1]; n++)
		if (utf8_is_valid(s, n))
			return n;
	return 0;
}

/* False when the line is full; what is in it then is whole characters. */
static bool line_add_escaped(struct line *line, const char *s, bool json)
{
	while (*s) {
		const size_t n = printable(s);
		char escape[8];
		bool fits;

		if (json && (*s == '"' || *s == '\\'))
			fits = line_add(line, (char[]){ '\\', *s }, 2);
		else if (n > 0)
			fits = line_add(line, s, n);
		else
			fits = line_add(line, escape,
					(size_t)snprintf(escape, sizeof(escape),
							 json ? "\\u%04x" : "\\x%02x",
							 (unsigned char)*s));
		if (!fits)
			return false;
		s += n > 0 ? n : 1;
	}
	return true;
}

static void line_start(struct line *line, enum log_level level)
{
	char now[CLOCK_TEXT_SIZE];
	int len;

	if (line_format == LOG_FORMAT_JSON)
		len = snprintf(line->text, sizeof(line->text),
			       "{\"ts\":\"%s\",\"level\":\"%s\",\"area\":\"",
			       clock_format(clock_realtime(), now), levels[level].name);
	else if (journal_reads)
		len = snprintf(line->text, sizeof(line->text), "<%c>", levels[level].priority);
	else
		len = snprintf(line->text, sizeof(line->text), "%s %-5s ",
			       clock_format(clock_realtime(), now), levels[level].name);
	line->len = (size_t)len;
}

static void line_add_message(struct line *line, const char *message, int error)
{
	const bool json = line_format == LOG_FORMAT_JSON;
	char text[128];

	if (!line_add_escaped(line, message, json) || error == 0)
		return;
	if (line_add_escaped(line, ": ", json))
		line_add_escaped(line, strerror_r(abs(error), text, sizeof(text)), json);
}

void log_write(enum log_level level, const char *area, int error, const char *format, ...)
{
	const bool json = line_format == LOG_FORMAT_JSON;
	const int saved_errno = errno;
	char message[LINE_SIZE];
	struct line line;
	va_list args;

	if (level < least_level)
		return;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);

	line_start(&line, level);
	line_add_escaped(&line, area, json);
	if (json)
		line_add(&line, "\",\"message\":\"", strlen("\",\"message\":\""));
	else
		line_add(&line, ": ", 2);
	line_add_message(&line, message, error);
	line_close(&line, json ? "\"}\n" : "\n");

	/* Where stderr is gone there is nobody to tell. */
	(void)!write(STDERR_FILENO, line.text, line.len);
	errno = saved_errno;
}
