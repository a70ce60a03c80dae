/* SPDX-License-Identifier: MIT */
/*
 * What people see: tables, ages, JSON.
 */
#include "ctl/output.h"

#include <assert.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "ctl/client.h"
#include "ctl/ctl.h"

struct table {
	const char *const *titles;
	size_t n_columns;
	char **cells; /* row by row */
	size_t n_cells;
};

static char *printable_but(const char *s, char allowed)
{
	char *copy = xstrdup(s);

	for (unsigned char *c = (unsigned char *)copy; *c; c++) {
		/* U+0080 to U+009F are the C1 controls: 0x9b starts a sequence on some terminals.
		 */
		bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f;

		if (c1)
			c[1] = '?';
		if (c1 || ((*c < 0x20 || *c == 0x7f) && (!allowed || *c != (unsigned char)allowed)))
			*c = '?';
	}
	return copy;
}

char *printable(const char *s)
{
	return printable_but(s, '\0');
}

char *printable_lines(const char *s)
{
	return printable_but(s, '\n');
}

char *printable_json(const char *json)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	for (const unsigned char *c = (const unsigned char *)json; *c; c++) {
		if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f)
			strbuf_printf(&b, "\\u%04x", *++c);
		else if (*c == 0x7f)
			strbuf_puts(&b, "\\u007f");
		else
			strbuf_putc(&b, (char)*c);
	}
	return strbuf_steal(&b);
}

void output_json(const struct ctl *ctl, const cJSON *document)
{
	scoped(freep) char *text = ctl->tty ? cJSON_Print(document) : json_print(document);
	scoped(freep) char *shown = printable_json(text);

	fprintf(ctl->out, "%s\n", shown);
}

void output_address(const struct ctl *ctl, const struct cJSON *document)
{
	const char *url = json_string(document, "url");
	const char *address = json_string(document, "address");
	scoped(freep) char *own = NULL, *shown = NULL;

	/* As the daemon is known here, which behind a tunnel it doesn't know itself. */
	if (ctl->client && url && url[0] == '/')
		own = client_address(ctl->client, url);
	shown = printable(own ? own : address ? address : url ? url : "");
	fprintf(ctl->out, "%s\n", shown);
}

void output_sandbox(const struct ctl *ctl, const struct cJSON *sandbox)
{
	bool usable = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(sandbox, "usable"));
	const char *text = json_string(sandbox, usable ? "limits" : "remedy");
	scoped(freep) char *shown = printable(text ? text : "");

	fprintf(ctl->out, "Builds are %s%s%s\n", usable ? "isolated" : "not possible",
		*shown ? ": " : "", shown);
}

const char *format_age(double seconds, char text[static AGE_TEXT_SIZE])
{
	unsigned long s = seconds > 0 ? (unsigned long)seconds : 0;

	if (s < 60)
		snprintf(text, AGE_TEXT_SIZE, "%lus", s);
	else if (s < 3600)
		snprintf(text, AGE_TEXT_SIZE, "%lum%02lus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(text, AGE_TEXT_SIZE, "%luh%02lum", s / 3600, s / 60 % 60);
	else
		snprintf(text, AGE_TEXT_SIZE, "%lud%02luh", s / 86400, s / 3600 % 24);
	return text;
}

struct table *table_new(const char *const *titles)
{
	struct table *t = xcalloc(1, sizeof(*t));

	t->titles = titles;
	while (titles[t->n_columns])
		t->n_columns++;
	assert(t->n_columns > 0);
	return t;
}

struct table *table_free(struct table *t)
{
	if (!t)
		return NULL;

	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
	return NULL;
}

void table_add(struct table *t, const char *cell)
{
	t->cells = xrealloc(t->cells, (t->n_cells + 1) * sizeof(*t->cells));
	t->cells[t->n_cells++] = printable(cell ? cell : "");
}

size_t table_rows(const struct table *t)
{
	return t->n_cells / t->n_columns;
}

/* Characters, not bytes: the continuation bytes of UTF-8 take no column. */
static size_t text_width(const char *s)
{
	size_t width = 0;

	for (; *s; s++)
		width += ((unsigned char)*s & 0xc0) != 0x80;
	return width;
}

static size_t column_width(const struct table *t, size_t column)
{
	size_t width = text_width(t->titles[column]);

	for (size_t i = column; i < t->n_cells; i += t->n_columns)
		if (text_width(t->cells[i]) > width)
			width = text_width(t->cells[i]);
	return width;
}

static const char *color_of(const char *title, const char *cell)
{
	static const char *const colors[][2] = {
		{ "up", "\033[32m" },
		{ "down", "\033[31m" },
		{ "unknown", "\033[33m" },
	};

	if (strcmp(title, "STATUS") != 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(colors); i++)
		if (strcmp(cell, colors[i][0]) == 0)
			return colors[i][1];
	return NULL;
}

static void print_row(const struct table *t, char *const *cells, FILE *f, bool color)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		const char *paint = color ? color_of(t->titles[i], cells[i]) : NULL;
		size_t width = text_width(cells[i]);
		int padding = (int)(column_width(t, i) - width) + 2;

		fprintf(f, "%s%s%s", paint ? paint : "", cells[i], paint ? "\033[0m" : "");
		if (i + 1 < t->n_columns)
			fprintf(f, "%*s", padding, "");
	}
	fputc('\n', f);
}

void table_print(const struct table *t, FILE *f, bool human, bool color)
{
	assert(t->n_cells % t->n_columns == 0);

	if (human && t->n_cells > 0)
		print_row(t, (char *const *)t->titles, f, false);
	for (size_t row = 0; row < t->n_cells; row += t->n_columns) {
		if (human) {
			print_row(t, &t->cells[row], f, color);
			continue;
		}
		for (size_t i = 0; i < t->n_columns; i++)
			fprintf(f, "%s%c", t->cells[row + i], i + 1 < t->n_columns ? '\t' : '\n');
	}
}
