/* SPDX-License-Identifier: MIT */
/*
 * Writes the list of routes for previewd(8) from their table, in mdoc(7), while previewd is built.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct row {
	const char *method;
	const char *pattern;
	const char *access;
	const char *scopes; /* as in the table */
	const char *summary;
};

#define DOC_PUBLIC  "No credential."
#define DOC_METRICS "Admin, or no credential where metrics.public is set."
#define DOC_STREAM  "Any credential, in the request or in the first frame."
#define DOC_ANY     "Any credential."
#define DOC_EDGE    "The edge's token, the scope edge, or admin."
#define DOC_ADMIN   "Admin."

/* clang-format off */
static const struct row rows[] = {
#define ROUTE(id, method, pattern, access, scopes, fields, summary) \
	{ method, pattern, DOC_##access, #scopes, summary },
#include "api/routes.def"
#undef ROUTE
};
/* clang-format on */

static void print_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '-')
			putchar('\\');
		putchar(*text);
	}
}

/* "SCOPE_VIEW | SCOPE_SESSION_CREATE" as it stands in a token: view or session:create. */
static void print_scopes(const char *scopes)
{
	char words[200];

	snprintf(words, sizeof(words), "%s", scopes);
	fputs("Scope", stdout);
	for (const char *word = strtok(words, "| "), *next; word; word = next) {
		next = strtok(NULL, "| ");
		printf(" ");
		for (word += strlen("SCOPE_"); *word; word++)
			putchar(*word == '_' ? ':' : tolower((unsigned char)*word));
		if (next)
			printf(" or");
	}
	puts(".");
}

static void print_row(const struct row *row)
{
	printf(".It Li %s ", row->method);
	print_text(row->pattern);
	putchar('\n');
	print_text(row->summary);
	puts(".");
	if (strcmp(row->scopes, "0") == 0)
		puts(row->access);
	else
		print_scopes(row->scopes);
}

int main(void)
{
	puts(".Bl -tag -width Ds");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		print_row(&rows[i]);
	puts(".El");
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
