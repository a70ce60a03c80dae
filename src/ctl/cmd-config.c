/* SPDX-License-Identifier: MIT */
/*
 * The daemon's configuration, read as the daemon reads it and without the daemon.
 */
#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "config/option.h"
#include "config/settings.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/output.h"

struct reading {
	const struct ctl *ctl;
	cJSON *warnings;
};

static void on_warning(const char *sentence, void *arg)
{
	struct reading *reading = arg;

	ctl_warn(reading->ctl, "%s", sentence);
	cJSON_AddItemToArray(reading->warnings, cJSON_CreateString(sentence));
}

/* `warnings` is the caller's list, added to. */
static int load(const struct ctl *ctl, cJSON *warnings, struct settings **ret,
		struct problem *reterr)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct reading reading = { ctl, warnings };
	const struct settings_sources sources = {
		.config_path = ctl_arg(ctl, NULL),
		.environment = ctl->environment,
	};

	if (settings_load(&sources, on_warning, &reading, ret, &fault) >= 0)
		return 0;
	return problem_of_fault(reterr, &fault);
}

static int config_check(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(settings_freep) struct settings *settings = NULL;
	scoped(json_freep) cJSON *document = cJSON_CreateObject();
	cJSON *warnings = cJSON_AddArrayToObject(document, "warnings");
	const char *file;

	if (load(ctl, warnings, &settings, &problem) < 0)
		return ctl_fail(ctl, &problem);
	file = settings_file(settings);
	if (ctl->common[CTL_JSON].text) {
		json_add_string(document, "file", file);
		output_json(ctl, document);
	} else if (file) {
		fprintf(ctl->out, "%s is fine\n", file);
	} else {
		fputs("there is no file; the defaults and the environment are fine\n", ctl->out);
	}
	return EXIT_OK;
}

/*
 * {"limits.per_session":{"value":"5","source":"default"},...}: each value as the file would have
 * it, and where it comes from.
 */
static void print_json(const struct ctl *ctl, const struct settings *settings)
{
	scoped(json_freep) cJSON *document = cJSON_CreateObject();

	for (size_t i = 0; i < OPTION_COUNT; i++) {
		scoped(strbuf_done) struct strbuf value = strbuf_init(STRBUF_UNLIMITED);
		scoped(freep) char *name = xasprintf("%s.%s", options[i].section, options[i].key);
		cJSON *of = cJSON_AddObjectToObject(document, name);
		unsigned line;

		option_format(&options[i], settings, &value);
		json_add_string(of, "value", strbuf_str(&value));
		json_add_string(of, "source", settings_source_of(settings, i, &line));
		if (line > 0) {
			json_add_string(of, "file", settings_file(settings));
			json_add_u64(of, "line", line);
		}
	}
	output_json(ctl, document);
}

static int config_print(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(settings_freep) struct settings *settings = NULL;
	scoped(json_freep) cJSON *warnings = cJSON_CreateArray();

	if (load(ctl, warnings, &settings, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text)
		print_json(ctl, settings);
	else
		settings_print(settings, ctl->out);
	return EXIT_OK;
}

const struct ctl_command cmd_config_check = {
	.name = "config check",
	.args = "[FILE]",
	.most_args = 1,
	.arg_type = CTL_FILE,
	.summary = "Check the daemon's configuration.",
	.help = "Reads what previewd would read, the PREVIEWD_ variables of the environment "
		"included, and tells what is wrong with file and line. The daemon need not run.",
	.exec = config_check,
};

const struct ctl_command cmd_config_print = {
	.name = "config print",
	.args = "[FILE]",
	.most_args = 1,
	.arg_type = CTL_FILE,
	.summary = "Print the daemon's settings and where each comes from.",
	.exec = config_print,
};
