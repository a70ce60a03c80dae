/* SPDX-License-Identifier: MIT */
/*
 * What a build says: all of it goes to its log, and its lines to events, not more often than once a
 * second and not more than a screenful, so that a chatty build doesn't push everything else out of
 * the session's journal.
 */
#include <stdarg.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "publish/publisher_priv.h"

#define TELL_EVERY USEC_PER_SEC
#define LINES_MAX  50
#define LINE_MAX   500   /* bytes, of an event's */
#define HELD_MAX   65536 /* bytes of a line that doesn't end */
#define TAIL_BYTES 8192

/*
 * What a terminal would have shown of it: without escape sequences and control characters, and text
 * in any case.
 */
static char *clean(const char *bytes, size_t len)
{
	char *text = xcalloc(LINE_MAX + 4, 1);
	size_t n = 0;

	for (size_t i = 0; i < len && n < LINE_MAX; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '\033' && i + 1 < len && bytes[i + 1] == '[') {
			for (i += 2; i < len && (bytes[i] < '@' || bytes[i] > '~'); i++)
				;
		} else if (c == '\r') {
			if (i + 1 < len)
				n = 0; /* a progress bar */
		} else if (c == '\t') {
			text[n++] = ' ';
		} else if (c >= ' ' && c != 0x7f) {
			text[n++] = (char)c;
		}
	}
	text[n] = '\0';
	/* Cut in a character's middle, or never text. */
	for (int cut = 0; cut < 3 && n > 0 && !utf8_is_valid(text, n) && len > LINE_MAX; cut++)
		text[--n] = '\0';
	if (!utf8_is_valid(text, n)) {
		for (size_t i = 0; i < n; i++)
			if (text[i] & 0x80)
				text[i] = '?';
	}
	return text;
}

static void drop_lines(struct build *b)
{
	for (size_t i = 0; i < b->n_lines; i++)
		free(b->lines[i]);
	b->n_lines = 0;
	b->n_dropped = 0;
}

void build_publish_event(struct build *b, const char *type, cJSON *payload)
{
	struct publisher *p = b->publisher;
	const struct event_draft draft = {
		.session_id = b->shelf->session_id,
		.app_id = b->app_id,
		.user_id = b->user_id,
		.type = type,
		.entity_type = "web_preview",
		.entity_id = b->params.name,
	};

	bus_publish_consume(p->deps.bus, &draft, payload);
}

void build_tell(struct build *b)
{
	cJSON *j = cJSON_CreateObject(), *lines;

	if (b->tell_timer)
		timer_cancel(b->tell_timer);
	json_add_string(j, "build_id", b->build_id);
	json_add_string(j, "name", b->params.name);
	json_add_string(j, "phase", build_phase_names[b->phase]);
	json_add_u64(j, "elapsed_ms", (clock_monotonic() - b->began) / USEC_PER_MSEC);
	lines = cJSON_AddArrayToObject(j, "lines");
	for (size_t i = 0; i < b->n_lines; i++)
		cJSON_AddItemToArray(lines, cJSON_CreateString(b->lines[i]));
	json_add_u64(j, "dropped", b->n_dropped);
	drop_lines(b);
	b->told_at = clock_monotonic();
	build_publish_event(b, "web_preview:publish_log", j);
}

static void on_tell(void *arg)
{
	build_tell(arg);
}

static void line_for_event(struct build *b, const char *bytes, size_t len)
{
	usec_t since = clock_monotonic() - b->told_at;

	if (!b->lines)
		b->lines = xcalloc(LINES_MAX, sizeof(*b->lines));
	if (b->n_lines < LINES_MAX)
		b->lines[b->n_lines++] = clean(bytes, len);
	else
		b->n_dropped++;
	if (!b->tell_timer)
		b->tell_timer = timer_new(b->publisher->deps.loop, on_tell, b);
	if (!timer_is_set(b->tell_timer))
		timer_set(b->tell_timer, since < TELL_EVERY ? TELL_EVERY - since : 0);
}

static void hold(struct build *b, const char *bytes, size_t len)
{
	if (b->line_len + len > HELD_MAX)
		len = HELD_MAX - b->line_len;
	b->line = xrealloc(b->line, b->line_len + len + 1);
	memcpy(b->line + b->line_len, bytes, len);
	b->line_len += len;
}

void build_output(struct build *b, const char *bytes, size_t len)
{
	textlog_add(&b->log, b->publisher->settings->publish_log_max, bytes, len);
	while (len > 0) {
		const char *end = memchr(bytes, '\n', len);
		size_t n = end ? (size_t)(end - bytes) : len;

		hold(b, bytes, n);
		if (!end)
			return;
		if (b->line_len > 0)
			line_for_event(b, b->line, b->line_len);
		b->line_len = 0;
		bytes += n + 1;
		len -= n + 1;
	}
}

void build_log(struct build *b, const char *format, ...)
{
	scoped(freep) char *text = NULL, *line = NULL;
	va_list args;

	va_start(args, format);
	text = xvasprintf(format, args);
	va_end(args);
	line = xasprintf("%s# %s\n", b->line_len > 0 ? "\n" : "", text);
	build_output(b, line, strlen(line));
}

cJSON *build_log_tail(const struct build *b, size_t lines_max)
{
	const char *bytes = b->log.data;
	size_t len = b->log.len, from, n = 0;
	cJSON *list = cJSON_CreateArray();

	if (len == 0)
		return list;
	for (from = len; from > 0 && n <= lines_max && len - from < TAIL_BYTES; from--)
		n += bytes[from - 1] == '\n' && from != len;
	if (n > lines_max)
		from++;
	while (from < len) {
		const char *end = memchr(bytes + from, '\n', len - from);
		size_t line_len = end ? (size_t)(end - bytes) - from : len - from;
		scoped(freep) char *text = clean(bytes + from, line_len);

		if (text[0])
			cJSON_AddItemToArray(list, cJSON_CreateString(text));
		from += line_len + 1;
	}
	return list;
}
