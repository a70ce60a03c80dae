/* SPDX-License-Identifier: MIT */
/*
 * Any package.json is a project or a fault with a sentence; any line of it is a range of versions
 * or none.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/mem.h"
#include "fuzz.h"
#include "publish/detect.h"
#include "publish/noderange.h"

static int project_fd = -1;
static char project_path[] = "/tmp/fuzz-project-XXXXXX";

static void remove_project(void)
{
	(void)unlinkat(project_fd, "package.json", 0);
	(void)rmdir(project_path);
}

static void make_project(void)
{
	if (project_fd >= 0)
		return;
	mem_init();
	if (!mkdtemp(project_path) || (project_fd = open_directory(project_path)) < 0)
		abort();
	atexit(remove_project);
}

static void read_range(const uint8_t *data, size_t size)
{
	scoped(freep) char *text = xstrndup((const char *)data, size);
	char *second = strchr(text, '\n');

	if (second)
		*second++ = '\0';
	else
		second = text;
	/* What a version is in, is a range; and a version is in the range that it is itself. */
	assert(!node_range_has(text, second) || node_range_is_valid(text));
	if (node_version_is_valid(second)) {
		assert(node_version_compare(second, second) == 0);
		assert(node_range_has(second, second));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct project_params params = { .base = "/p/x/" };
	scoped(project_freep) struct project *p = NULL;
	scoped(fault_done) struct fault fault = { 0 };

	read_range(data, size);
	make_project();
	if (write_file_at(project_fd, "package.json", data, size, 0644) < 0)
		abort();
	if (project_detect(project_fd, &params, &p, &fault) < 0) {
		assert(fault.code == FAULT_BAD_PACKAGE_JSON || fault.code == FAULT_NO_BUILD_SCRIPT);
		assert(fault.detail);
		return 0;
	}
	assert(p->script && p->build_argv && p->build_argv[0] && p->outputs && p->outputs[0]);
	assert(!p->node_range || node_range_is_valid(p->node_range));
	return 0;
}
