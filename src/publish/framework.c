/* SPDX-License-Identifier: MIT */
/* The table of frameworks, and the files that builds are shown, as they were compiled in. */
#include "publish/framework.h"

#include <string.h>

#include "base/cleanup.h"

const struct framework frameworks[] = {
#define FRAMEWORK(id, ...) { .name = id, __VA_ARGS__ },
#include "publish/frameworks.def"
#undef FRAMEWORK
};
const size_t n_frameworks = ARRAY_SIZE(frameworks);

const struct framework framework_static = { .name = "static", .outputs = ".", .base = BASE_NONE };

static const struct {
	const char *name;
	const char *text;
} injects[] = {
#include "publish/injects.inc"
};

const char *inject_text(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(injects); i++)
		if (strcmp(injects[i].name, name) == 0)
			return injects[i].text;
	return NULL;
}

const char *framework_name(const struct framework *f)
{
	return f ? f->name : "unknown";
}
