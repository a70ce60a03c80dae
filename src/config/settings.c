/* SPDX-License-Identifier: MIT */
/*
 * Gathers the settings: the defaults, then over them the file, the environment and the command
 * line. Either every value is good and the whole comes out, or nothing does and a sentence says
 * which line, variable or argument to mend.
 */
#include "config/settings.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/mem.h"
#include "config/ini.h"
#include "config/option.h"
#include "config/places.h"
#include "config/settings_priv.h"

#define FILE_SIZE_MAX   (1024 * 1024)
#define VARIABLE_PREFIX "PREVIEWD_"

/* What every step of a load needs. */
struct load {
	struct settings *settings;
	settings_warning_fn *warn;
	void *warn_arg;
	struct fault *reterr;
};

static void __attribute__((format(printf, 2, 3)))
warn(const struct load *l, const char *format, ...)
{
	scoped(freep) char *sentence = NULL;
	va_list args;

	if (!l->warn)
		return;

	va_start(args, format);
	sentence = xvasprintf(format, args);
	va_end(args);
	l->warn(sentence, l->warn_arg);
}

/* `place` is where the value stands, as a person would look for it. */
static int set(const struct load *l, const struct option *o, enum settings_source source,
	       const char *place, const char *text)
{
	scoped(strbuf_done) struct strbuf must_be = strbuf_init(STRBUF_UNLIMITED);

	if (option_set(o, l->settings, text) < 0) {
		scoped(freep) char *wrong = option_wrong_part(o, text);

		option_describe(o, &must_be);
		return fault_set(l->reterr, FAULT_BAD_REQUEST, "%s: %s.%s: must be %s, not \"%s\"",
				 place, o->section, o->key, strbuf_str(&must_be), wrong);
	}

	l->settings->origins->of[o - options].source = source;
	return 0;
}

static struct settings *new_of_defaults(void)
{
	struct settings *s = xcalloc(1, sizeof(*s));

	s->origins = xcalloc(1, sizeof(*s->origins));
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		int r = option_set(&options[i], s, options[i].default_text);

		assert(r >= 0);
		(void)r;
	}
	return s;
}

static void warn_of_section(const struct load *l, const char *place, const char *section)
{
	const char *nearest = option_nearest_section(section);

	if (nearest)
		warn(l, "%s: there is no section [%s], ignoring it; did you mean [%s]?", place,
		     section, nearest);
	else
		warn(l, "%s: there is no section [%s], ignoring it", place, section);
}

static void warn_of_key(const struct load *l, const char *place, const struct ini *ini)
{
	const struct option *nearest = option_nearest(ini->section, ini->key);

	if (nearest)
		warn(l, "%s: there is no setting %s.%s, ignoring it; did you mean %s.%s?", place,
		     ini->section, ini->key, nearest->section, nearest->key);
	else
		warn(l, "%s: there is no setting %s.%s, ignoring it", place, ini->section,
		     ini->key);
}

/* It is part of the value, which can be meant in a URL but looks like a comment. */
static bool has_look_of_a_comment(const struct ini *ini)
{
	return !ini->quoted && (strstr(ini->value, " #") || strstr(ini->value, " ;"));
}

static int take_entry(const struct load *l, const char *place, const struct ini *ini)
{
	struct settings_origin *origins = l->settings->origins;
	const struct option *o = option_find(ini->section, ini->key);
	int r;

	if (!o) {
		warn_of_key(l, place, ini);
		return 0;
	}
	if (origins->of[o - options].source == SETTINGS_FILE)
		warn(l, "%s: %s.%s stands already in line %u; this one counts", place, o->section,
		     o->key, origins->of[o - options].line);

	r = set(l, o, SETTINGS_FILE, place, ini->value);
	if (r < 0)
		return r;
	if (has_look_of_a_comment(ini))
		warn(l,
		     "%s: %s.%s: what looks like a comment is part of the value; comments stand on "
		     "lines of their own, and a value in quotes is not warned about",
		     place, o->section, o->key);

	origins->of[o - options].line = ini->line;
	return 0;
}

static int take_text(const struct load *l, const char *path, const char *text, size_t len)
{
	scoped(ini_done) struct ini ini = ini_of(text, len);
	bool section_is_known = false;
	int r;

	while ((r = ini_next(&ini)) > 0) {
		scoped(freep) char *place = xasprintf("%s:%u", path, ini.line);

		if (!ini.key) {
			section_is_known = option_section_exists(ini.section);
			if (!section_is_known)
				warn_of_section(l, place, ini.section);
		} else if (section_is_known) {
			r = take_entry(l, place, &ini);
			if (r < 0)
				return r;
		}
	}
	if (r < 0)
		return fault_set(l->reterr, FAULT_BAD_REQUEST, "%s:%u: %s", path, ini.line,
				 ini.problem);
	return 0;
}

/* -ENOENT without a fault when there is no such file. */
static int load_file(const struct load *l, const char *path)
{
	scoped(freep) char *text = NULL;
	size_t len = 0;
	int r;

	r = read_file_at(AT_FDCWD, path, FILE_SIZE_MAX, &text, &len);
	if (r == -ENOENT || r == -ENOTDIR)
		return -ENOENT;
	if (r < 0)
		return fault_set(l->reterr, FAULT_BAD_REQUEST,
				 "The settings file %s cannot be read: %s", path, strerror(-r));

	l->settings->origins->file = xstrdup(path);
	return take_text(l, path, text, len);
}

static int load_named_file(const struct load *l, const char *path)
{
	int r = load_file(l, path);

	if (r == -ENOENT)
		return fault_set(l->reterr, FAULT_BAD_REQUEST,
				 "The settings file %s does not exist", path);
	return r;
}

/* The value of `name`, or NULL. */
static const char *variable(const char *const *environment, const char *name)
{
	size_t len = strlen(name);

	for (; environment && *environment; environment++)
		if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
			return *environment + len + 1;
	return NULL;
}

static int load_default_file(const struct load *l, const char *const *environment)
{
	scoped(strv_freep) char **places = places_of_settings(
		variable(environment, "XDG_CONFIG_HOME"), variable(environment, "HOME"), geteuid());

	for (size_t i = 0; places[i]; i++) {
		int r = load_file(l, places[i]);

		if (r != -ENOENT)
			return r;
	}
	return 0;
}

/*
 * A slip in a variable's name would otherwise go unseen.  Names outside of the sections are not
 * ours to judge: PREVIEWD_SOCKET and others are previewctl's.
 */
static void warn_of_variable(const struct load *l, const char *assignment)
{
	scoped(freep) char *name = xstrndup(assignment, strcspn(assignment, "="));
	scoped(freep) char *section = NULL;
	scoped(freep) char *nearest_name = NULL;
	const struct option *nearest;
	char *key;

	if (strncmp(name, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) != 0)
		return;
	section = xstrdup(name + strlen(VARIABLE_PREFIX));
	for (char *c = section; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c += 'a' - 'A';
	key = strchr(section, '_');
	if (!key)
		return;
	*key++ = '\0';
	if (!option_section_exists(section))
		return;

	nearest = option_nearest(section, key);
	if (!nearest) {
		warn(l, "%s: there is no setting of this name, ignoring it", name);
		return;
	}
	nearest_name = option_variable(nearest);
	if (strcmp(nearest_name, name) != 0)
		warn(l, "%s: there is no setting of this name, ignoring it; did you mean %s?", name,
		     nearest_name);
}

static int load_environment(const struct load *l, const char *const *environment)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		scoped(freep) char *name = option_variable(&options[i]);
		const char *value = variable(environment, name);
		int r;

		if (!value)
			continue;
		r = set(l, &options[i], SETTINGS_ENVIRONMENT, name, value);
		if (r < 0)
			return r;
	}

	for (; environment && *environment; environment++)
		warn_of_variable(l, *environment);
	return 0;
}

/* Unlike in a file, which may be of another version, an unknown name here is a failure. */
static int no_such_option(const struct load *l, const char *section, const char *key)
{
	const struct option *nearest = option_nearest(section, key);

	if (nearest)
		return fault_set(l->reterr, FAULT_BAD_REQUEST,
				 "command line: there is no setting %s.%s; did you mean %s.%s?",
				 section, key, nearest->section, nearest->key);
	return fault_set(l->reterr, FAULT_BAD_REQUEST, "command line: there is no setting %s.%s",
			 section, key);
}

static int load_override(const struct load *l, const char *override)
{
	scoped(freep) char *section = xstrdup(override);
	char *key = strchr(section, '.');
	char *value = strchr(section, '=');
	const struct option *o;

	if (!key || !value || value < key)
		return fault_set(l->reterr, FAULT_BAD_REQUEST,
				 "command line: a setting is written section.key=value, not \"%s\"",
				 override);
	*key++ = '\0';
	*value++ = '\0';

	o = option_find(section, key);
	if (!o)
		return no_such_option(l, section, key);
	return set(l, o, SETTINGS_COMMAND_LINE, "command line", value);
}

int settings_load(const struct settings_sources *sources, settings_warning_fn *warn_fn, void *arg,
		  struct settings **ret, struct fault *reterr)
{
	scoped(settings_freep) struct settings *s = new_of_defaults();
	const struct load l = { .settings = s, .warn = warn_fn, .warn_arg = arg, .reterr = reterr };
	int r;

	r = sources->config_path ? load_named_file(&l, sources->config_path)
				 : load_default_file(&l, sources->environment);
	if (r < 0)
		return r;

	r = load_environment(&l, sources->environment);
	if (r < 0)
		return r;

	for (size_t i = 0; sources->overrides && sources->overrides[i]; i++) {
		r = load_override(&l, sources->overrides[i]);
		if (r < 0)
			return r;
	}

	*ret = STEAL(s);
	return 0;
}

struct settings *settings_free(struct settings *s)
{
	if (!s)
		return NULL;

	for (size_t i = 0; i < OPTION_COUNT; i++)
		option_clear(&options[i], s);
	free(s->origins->file);
	free(s->origins);
	free(s);
	return NULL;
}

const char *settings_file(const struct settings *s)
{
	return s->origins->file;
}

void settings_need_restart(const struct settings *before, const struct settings *after,
			   settings_warning_fn *changed, void *arg)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		scoped(strbuf_done) struct strbuf old = strbuf_init(STRBUF_UNLIMITED);
		scoped(strbuf_done) struct strbuf new = strbuf_init(STRBUF_UNLIMITED);
		const struct option *o = &options[i];

		option_format(o, before, &old);
		option_format(o, after, &new);
		if (!o->reload && strcmp(strbuf_str(&old), strbuf_str(&new)) != 0) {
			const struct load l = { .warn = changed, .warn_arg = arg };

			warn(&l, "%s.%s: the change from \"%s\" to \"%s\" needs a restart",
			     o->section, o->key, strbuf_str(&old), strbuf_str(&new));
		}
	}
}
