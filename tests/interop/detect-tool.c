/* SPDX-License-Identifier: MIT */
/*
 * What previewd makes of projects, as lines of JSON for tests/interop:
 *
 *	detect-tool project DIRECTORY [BASE [INJECT-DIRECTORY]]
 *	detect-tool output DIRECTORY OUTPUT TARGET [BASE]    TARGET is made, with a manifest
 *	detect-tool range                                    lines "RANGE<tab>VERSION"
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/json.h"
#include "base/mem.h"
#include "http/manifest.h"
#include "publish/detect.h"
#include "publish/framework.h"
#include "publish/noderange.h"
#include "publish/output.h"

static void add_strings(cJSON *object, const char *name, char *const *list)
{
	cJSON *array = cJSON_AddArrayToObject(object, name);

	for (size_t i = 0; list && list[i]; i++)
		cJSON_AddItemToArray(array, cJSON_CreateString(list[i]));
}

static int print(const cJSON *json)
{
	scoped(freep) char *text = json_print(json);

	return puts(text) < 0;
}

static int print_fault(const struct fault *fault)
{
	scoped(json_freep) cJSON *json = cJSON_CreateObject();

	json_add_string(json, "code", fault_slug(fault->code));
	json_add_string(json, "detail", fault->detail);
	return print(json) || 1;
}

static int show_project(const char *directory, const char *base, const char *inject_dir)
{
	const struct project_params params = { .base = base, .inject_dir = inject_dir };
	scoped(project_freep) struct project *p = NULL;
	scoped(fault_done) struct fault fault = { 0 };
	scoped(json_freep) cJSON *json = cJSON_CreateObject();
	scoped(closep) int fd = open_directory(directory);
	cJSON *injects;

	if (project_detect(fd, &params, &p, &fault) < 0)
		return print_fault(&fault);
	json_add_string(json, "framework", framework_name(p->framework));
	json_add_string(json, "dev_command", p->framework ? p->framework->dev_command : NULL);
	json_add_u64(json, "dev_port", p->framework ? p->framework->dev_port : 0);
	json_add_string(json, "script", p->script);
	json_add_string(json, "lockfile", p->lockfile);
	json_add_string(json, "node_range", p->node_range);
	cJSON_AddBoolToObject(json, "needs_install", p->needs_install);
	add_strings(json, "build_argv", p->build_argv);
	add_strings(json, "build_env", p->build_env);
	add_strings(json, "outputs", p->outputs);
	add_strings(json, "warnings", p->warnings);
	injects = cJSON_AddObjectToObject(json, "injects");
	for (size_t i = 0; i < p->n_injects; i++)
		json_add_string(injects, p->injects[i].name, p->injects[i].content);
	return print(json);
}

static int make_target(const char *path)
{
	static const char *const places[] = { "files", "br", "gz" };
	int fd;

	if (mkdir_parents(path, 0755) < 0 || (fd = open_directory(path)) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (mkdirat(fd, places[i], 0755) < 0 && errno != EEXIST)
			return -1;
	return fd;
}

static int take(const char *directory, const char *output, const char *target, const char *base)
{
	const char *const outputs[] = { output, NULL };
	const volatile bool cancel = false;
	scoped(manifest_freep) struct manifest *manifest = manifest_new();
	scoped(output_report_done) struct output_report report = { 0 };
	scoped(fault_done) struct fault fault = { 0 };
	scoped(json_freep) cJSON *json = cJSON_CreateObject();
	scoped(closep) int project_fd = open_directory(directory);
	scoped(closep) int target_fd = make_target(target);
	const struct output_request request = {
		.project_fd = project_fd,
		.outputs = outputs,
		.base = base,
		.is_static = strcmp(output, ".") == 0,
		.limits = { 20000, 25 << 20, 250 << 20, 32 },
		.target_fd = target_fd,
		.previous_fd = -1,
	};

	if (output_take(&request, &cancel, manifest, &report, &fault) < 0)
		return print_fault(&fault);
	if (manifest_write(target_fd, manifest) < 0)
		return 1;
	json_add_u64(json, "files", report.n_files);
	json_add_u64(json, "bytes", report.bytes);
	json_add_u64(json, "rewritten", report.n_rewritten);
	json_add_string(json, "base_state", report.base_state);
	add_strings(json, "warnings", report.warnings);
	return print(json);
}

static int judge_ranges(void)
{
	scoped(freep) char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, stdin) >= 0) {
		char *tab = strchr(line, '\t');

		line[strcspn(line, "\n")] = '\0';
		if (!tab)
			return 2;
		*tab = '\0';
		printf("%s %s\n", node_range_is_valid(line) ? "valid" : "invalid",
		       node_range_has(line, tab + 1) ? "in" : "out");
	}
	return 0;
}

int main(int argc, char **argv)
{
	mem_init();
	if (argc >= 3 && argc <= 5 && strcmp(argv[1], "project") == 0)
		return show_project(argv[2], argc > 3 ? argv[3] : NULL, argc > 4 ? argv[4] : NULL);
	if (argc >= 5 && argc <= 6 && strcmp(argv[1], "output") == 0)
		return take(argv[2], argv[3], argv[4], argc > 5 ? argv[5] : NULL);
	if (argc == 2 && strcmp(argv[1], "range") == 0)
		return judge_ranges();
	fprintf(stderr, "usage: detect-tool project|output|range ...\n");
	return 2;
}
