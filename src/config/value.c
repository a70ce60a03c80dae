/* SPDX-License-Identifier: MIT */
/*
 * The types that an option's value may have: how each is read from text, written back and described
 * to somebody who got it wrong.  What is written can always be read again.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "config/option.h"
#include "net/connectrules.h"
#include "net/hosts.h"
#include "net/listen.h"

struct value_type {
	int (*set)(const struct option *o, void *member, const char *text);
	void (*format)(const struct option *o, const void *member, struct strbuf *ret);
	void (*describe)(const struct option *o, struct strbuf *ret);
	void (*clear)(void *member); /* NULL: it holds nothing */

	/* Of a text, or of each of a list: what it must be.  NULL: any. */
	bool (*is_valid)(const char *text);
	const char *must_be;
};

static const struct value_type *type_of(const struct option *o);

static bool in_bounds(const struct option *o, uint64_t value, uint64_t unit)
{
	return value >= o->least * unit && (o->most == 0 || value <= o->most * unit);
}

static int bool_set(const struct option *o, void *member, const char *text)
{
	(void)o;
	return parse_bool(text, member);
}

static void bool_format(const struct option *o, const void *member, struct strbuf *ret)
{
	(void)o;
	strbuf_puts(ret, *(const bool *)member ? "yes" : "no");
}

static void bool_describe(const struct option *o, struct strbuf *ret)
{
	(void)o;
	strbuf_puts(ret, "yes or no");
}

static int uint_set(const struct option *o, void *member, const char *text)
{
	return parse_uint(text, o->least, o->most ? o->most : UINT_MAX, member);
}

static void uint_format(const struct option *o, const void *member, struct strbuf *ret)
{
	(void)o;
	strbuf_printf(ret, "%u", *(const unsigned *)member);
}

static void describe_bounds(struct strbuf *ret, const char *least, const char *most)
{
	if (most)
		strbuf_printf(ret, " from %s to %s", least, most);
	else
		strbuf_printf(ret, " of at least %s", least);
}

static void uint_describe(const struct option *o, struct strbuf *ret)
{
	char least[PARSE_TEXT_SIZE], most[PARSE_TEXT_SIZE];

	snprintf(least, sizeof(least), "%" PRIu64, o->least);
	snprintf(most, sizeof(most), "%" PRIu64, o->most);
	strbuf_puts(ret, "a whole number");
	describe_bounds(ret, least, o->most ? most : NULL);
}

static int duration_set(const struct option *o, void *member, const char *text)
{
	usec_t duration;
	int r = parse_duration(text, &duration);

	if (r < 0)
		return r;
	if (!in_bounds(o, duration, USEC_PER_SEC))
		return -ERANGE;

	*(usec_t *)member = duration;
	return 0;
}

static void duration_format(const struct option *o, const void *member, struct strbuf *ret)
{
	char text[PARSE_TEXT_SIZE];

	(void)o;
	strbuf_puts(ret, format_duration(*(const usec_t *)member, text));
}

static void duration_describe(const struct option *o, struct strbuf *ret)
{
	char least[PARSE_TEXT_SIZE], most[PARSE_TEXT_SIZE];

	format_duration(o->least * USEC_PER_SEC, least);
	format_duration(o->most * USEC_PER_SEC, most);
	strbuf_puts(ret, "a duration");
	describe_bounds(ret, least, o->most ? most : NULL);
}

static int size_set(const struct option *o, void *member, const char *text)
{
	uint64_t size;
	int r = parse_size(text, &size);

	if (r < 0)
		return r;
	if (!in_bounds(o, size, 1))
		return -ERANGE;

	*(uint64_t *)member = size;
	return 0;
}

static void size_format(const struct option *o, const void *member, struct strbuf *ret)
{
	char text[PARSE_TEXT_SIZE];

	(void)o;
	strbuf_puts(ret, format_size(*(const uint64_t *)member, text));
}

static void size_describe(const struct option *o, struct strbuf *ret)
{
	char least[PARSE_TEXT_SIZE], most[PARSE_TEXT_SIZE];

	format_size(o->least, least);
	format_size(o->most, most);
	strbuf_puts(ret, "a size");
	describe_bounds(ret, least, o->most ? most : NULL);
}

static int string_set(const struct option *o, void *member, const char *text)
{
	char **string = member;

	(void)o;
	free(*string);
	*string = *text ? xstrdup(text) : NULL;
	return 0;
}

static void string_format(const struct option *o, const void *member, struct strbuf *ret)
{
	const char *string = *(char *const *)member;

	(void)o;
	if (string)
		strbuf_puts(ret, string);
}

static void string_describe(const struct option *o, struct strbuf *ret)
{
	(void)o;
	strbuf_puts(ret, "a line of text");
}

static void string_clear(void *member)
{
	char **string = member;

	free(*string);
	*string = NULL;
}

/* The place of `text` among the row's choices, or -EINVAL. */
static int choice_index(const struct option *o, const char *text)
{
	scoped(strv_freep) char **choices = parse_list(o->choices, ',');

	for (int i = 0; choices[i]; i++)
		if (strcmp(choices[i], text) == 0)
			return i;
	return -EINVAL;
}

/* A daemon's working directory is nobody's business, so a path says where it is from the root. */
static int path_set(const struct option *o, void *member, const char *text)
{
	if (*text && *text != '/' && choice_index(o, text) < 0)
		return -EINVAL;
	return string_set(o, member, text);
}

static void path_describe(const struct option *o, struct strbuf *ret)
{
	strbuf_puts(ret, "an absolute path");
	if (*o->choices)
		strbuf_printf(ret, " or \"%s\"", o->choices);
}

static int text_set(const struct option *o, void *member, const char *text)
{
	if (*text && !type_of(o)->is_valid(text))
		return -EINVAL;
	return string_set(o, member, text);
}

static void text_describe(const struct option *o, struct strbuf *ret)
{
	strbuf_puts(ret, type_of(o)->must_be);
}

/* Of a preview's address: what it begins with is known before its fields are. */
static int template_set(const struct option *o, void *member, const char *text)
{
	static const char *const starts[] = { "http://", "https://", "{scheme}://" };
	bool starts_well = !*text;

	for (size_t i = 0; i < ARRAY_SIZE(starts); i++)
		starts_well |= strncmp(text, starts[i], strlen(starts[i])) == 0;
	if (!starts_well)
		return -EINVAL;
	for (const char *p = text; (p = strpbrk(p, "{}")); p++) {
		scoped(freep) char *field = xstrndup(p + 1, strcspn(p + 1, "{}"));

		if (*p == '}' || p[1 + strlen(field)] != '}' || choice_index(o, field) < 0)
			return -EINVAL;
		p += 1 + strlen(field);
	}
	return string_set(o, member, text);
}

static void template_describe(const struct option *o, struct strbuf *ret)
{
	scoped(strv_freep) char **fields = parse_list(o->choices, ',');

	strbuf_puts(ret, "a URL beginning with http://, https:// or {scheme}://, with fields of");
	for (size_t i = 0; fields[i]; i++)
		strbuf_printf(ret, "%s {%s}", i ? "," : "", fields[i]);
}

/* "{label}.preview.example.org", or with a port. */
static bool host_template_is_valid(const char *text)
{
	static const char field[] = "{label}";
	const char *label = strstr(text, field);
	scoped(freep) char *example = NULL, *host = NULL;
	unsigned port;

	if (!label)
		return false;
	example = xasprintf("%.*sx%s", (int)(label - text), text, label + strlen(field));
	return host_split(example, &host, &port) >= 0 && host_is_valid(host);
}

static int list_set(const struct option *o, void *member, const char *text)
{
	scoped(strv_freep) char **list = parse_list(text, ',');
	const struct value_type *type = type_of(o);
	char ***value = member;

	if (!in_bounds(o, strv_len(list), 1))
		return -ERANGE;
	for (size_t i = 0; type->is_valid && list[i]; i++)
		if (!type->is_valid(list[i]))
			return -EINVAL;

	strv_free(*value);
	*value = STEAL(list);
	return 0;
}

static void list_format(const struct option *o, const void *member, struct strbuf *ret)
{
	char *const *list = *(char **const *)member;

	(void)o;
	for (size_t i = 0; list && list[i]; i++)
		strbuf_printf(ret, "%s%s", i ? ", " : "", list[i]);
}

static void list_describe(const struct option *o, struct strbuf *ret)
{
	const char *of = type_of(o)->must_be;

	strbuf_printf(ret, "a list%s%s separated by commas", of ? " of " : "", of ? of : "");
	if (o->most)
		strbuf_printf(ret, ", of at most %" PRIu64, o->most);
}

static void list_clear(void *member)
{
	char ***list = member;

	*list = strv_free(*list);
}

static int enum_set(const struct option *o, void *member, const char *text)
{
	int i = choice_index(o, text);

	if (i < 0)
		return i;

	*(int *)member = i;
	return 0;
}

static void enum_format(const struct option *o, const void *member, struct strbuf *ret)
{
	scoped(strv_freep) char **choices = parse_list(o->choices, ',');

	strbuf_puts(ret, choices[*(const int *)member]);
}

static void enum_describe(const struct option *o, struct strbuf *ret)
{
	scoped(strv_freep) char **choices = parse_list(o->choices, ',');

	strbuf_puts(ret, "one of ");
	for (size_t i = 0; choices[i]; i++)
		strbuf_printf(ret, "%s%s", i ? ", " : "", choices[i]);
}

static void ports_clear(void *member)
{
	struct settings_ports *ports = member;

	free(ports->ranges);
	*ports = (struct settings_ports){ 0 };
}

static int ports_set(const struct option *o, void *member, const char *text)
{
	scoped(freep) struct port_range *ranges = NULL;
	size_t n;
	int r = parse_port_ranges(text, &ranges, &n);

	if (r < 0)
		return r;
	if (!in_bounds(o, n, 1))
		return -ERANGE;

	ports_clear(member);
	*(struct settings_ports *)member = (struct settings_ports){ STEAL(ranges), n };
	return 0;
}

static void ports_format(const struct option *o, const void *member, struct strbuf *ret)
{
	const struct settings_ports *ports = member;

	(void)o;
	for (size_t i = 0; i < ports->n; i++) {
		const struct port_range *range = &ports->ranges[i];

		strbuf_printf(ret, "%s%u", i ? "," : "", range->first);
		if (range->last != range->first)
			strbuf_printf(ret, "-%u", range->last);
	}
}

static void ports_describe(const struct option *o, struct strbuf *ret)
{
	strbuf_puts(ret, "ports and ranges from 1 to 65535 such as 1024-65535,80");
	if (o->most)
		strbuf_printf(ret, ", at most %" PRIu64 " of them", o->most);
}

/* clang-format off */
static const struct value_type types[] = {
	[OPTION_BOOL]     = { bool_set,     bool_format,     bool_describe,     NULL },
	[OPTION_UINT]     = { uint_set,     uint_format,     uint_describe,     NULL },
	[OPTION_DURATION] = { duration_set, duration_format, duration_describe, NULL },
	[OPTION_SIZE]     = { size_set,     size_format,     size_describe,     NULL },
	[OPTION_STRING]   = { string_set,   string_format,   string_describe,   string_clear },
	[OPTION_PATH]     = { path_set,     string_format,   path_describe,     string_clear },
	[OPTION_LIST]     = { list_set,     list_format,     list_describe,     list_clear },
	[OPTION_ENUM]     = { enum_set,     enum_format,     enum_describe,     NULL },
	[OPTION_PORTS]    = { ports_set,    ports_format,    ports_describe,    ports_clear },
	[OPTION_LISTEN]   = { list_set,     list_format,     list_describe,     list_clear,
			      listen_address_is_valid, "HOST:PORT or [IPV6]:PORT" },
	[OPTION_HOSTS]    = { list_set,     list_format,     list_describe,     list_clear,
			      hosts_entry_is_valid, "host names, addresses, networks or *.domain" },
	[OPTION_NETWORKS] = { list_set,     list_format,     list_describe,     list_clear,
			      hosts_entry_is_network, "addresses or networks" },
	[OPTION_ORIGINS]  = { list_set,     list_format,     list_describe,     list_clear,
			      origin_is_valid, "origins as browsers send them, with nothing behind (https://app.example.org)" },
	[OPTION_REGISTRIES] = { list_set,   list_format,     list_describe,     list_clear,
			      connectrules_entry_is_valid, "host, host:port or *.host" },
	[OPTION_URL]      = { text_set,     string_format,   text_describe,     string_clear,
			      web_url_is_valid, "an http or https URL" },
	[OPTION_TEMPLATE] = { template_set, string_format,   template_describe, string_clear },
	[OPTION_HOST_TEMPLATE] = { text_set, string_format,  text_describe,     string_clear,
			      host_template_is_valid, "a host name with {label} in it" },
};
/* clang-format on */

static const struct value_type *type_of(const struct option *o)
{
	return &types[o->type];
}

/* No value needs one, and with a line's end in it a value could not be written to a file. */
static bool has_control_character(const char *text)
{
	for (; *text; text++)
		if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
			return true;
	return false;
}

int option_set(const struct option *o, struct settings *s, const char *text)
{
	if (has_control_character(text))
		return -EINVAL;
	return type_of(o)->set(o, (char *)s + o->offset, text) < 0 ? -EINVAL : 0;
}

char *option_wrong_part(const struct option *o, const char *text)
{
	scoped(strv_freep) char **list = parse_list(text, ',');
	const struct value_type *type = type_of(o);

	for (size_t i = 0; type->set == list_set && type->is_valid && list[i]; i++)
		if (!type->is_valid(list[i]))
			return xstrdup(list[i]);
	return xstrdup(text);
}

void option_format(const struct option *o, const struct settings *s, struct strbuf *ret)
{
	type_of(o)->format(o, (const char *)s + o->offset, ret);
}

void option_describe(const struct option *o, struct strbuf *ret)
{
	type_of(o)->describe(o, ret);
}

void option_clear(const struct option *o, struct settings *s)
{
	if (type_of(o)->clear)
		type_of(o)->clear((char *)s + o->offset);
}
