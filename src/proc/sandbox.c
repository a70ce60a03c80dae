/* SPDX-License-Identifier: MIT */
/*
 * Whether builds can be isolated here: found out by trying, with all that a build's sandbox has.
 * What is tried is in sandbox_args.c, how it runs in sandbox_run.c.
 */
#include "proc/sandbox.h"

#include "base/log.h"
#include "base/mem.h"
#include "proc/sandbox_priv.h"
#include "proc/seccomp.h"

LOG_AREA("sandbox");

#define SAID_MAX     (16 * 1024)
#define PROBE_WALL   (30 * USEC_PER_SEC)
#define PROBE_MEMORY (UINT64_C(256) * 1024 * 1024)

static void sandbox_judge(struct sandbox *s, bool works)
{
	struct sandbox_facts facts = {
		.has_seccomp = seccomp_is_built_in(),
		.has_inside = s->host.inside,
		.has_bwrap = s->host.bwrap,
		.said = strbuf_str(&s->said),
	};

	s->state = works ? SANDBOX_USABLE : SANDBOX_UNUSABLE;
	if (works) {
		log_debug("builds can be isolated here");
		return;
	}
	sandbox_facts_read(&facts);
	free(s->remedy);
	s->remedy = sandbox_remedy(&facts);
	if (s->level != SANDBOX_OFF)
		log_warning("builds can't be isolated here: %s", s->remedy);
}

static void on_probe_output(const char *bytes, size_t len, void *arg)
{
	struct sandbox *s = arg;

	strbuf_add(&s->said, bytes, len);
}

static void on_probe_end(enum sandbox_end end, int code, void *arg)
{
	struct sandbox *s = arg;

	s->probe = sandbox_run_free(s->probe);
	if (end == SANDBOX_TIMED_OUT)
		strbuf_puts(&s->said, "it took too long");
	sandbox_judge(s, end == SANDBOX_EXITED && code == 0);
}

static const struct sandbox_ops probe_ops = {
	.on_output = on_probe_output,
	.on_end = on_probe_end,
};

static void sandbox_try(struct sandbox *s)
{
	static const char *const command[] = { "true", NULL };
	const struct sandbox_request request = {
		.argv = command,
		.workdir = "/tmp",
		.limits = { .wall = PROBE_WALL,
			    .memory = PROBE_MEMORY,
			    .processes = 64,
			    .files = 64 },
	};
	scoped(fault_done) struct fault fault = { 0 };

	strbuf_reset(&s->said);
	sandbox_host_done(&s->host);
	sandbox_host_read(&s->host, s->inside);
	s->state = SANDBOX_TRYING;
	if (!s->host.bwrap || !s->host.inside || !seccomp_is_built_in()) {
		sandbox_judge(s, false);
		return;
	}
	if (sandbox_run_start(s, &request, true, &probe_ops, s, &s->probe, &fault) < 0) {
		strbuf_puts(&s->said, fault.detail);
		sandbox_judge(s, false);
	}
}

struct sandbox *sandbox_new(const struct sandbox_deps *deps, enum sandbox_level level)
{
	struct sandbox *s = xcalloc(1, sizeof(*s));

	s->deps = *deps;
	s->inside = xstrdup_null(deps->inside);
	s->level = level;
	s->said = strbuf_init(SAID_MAX);
	LIST_INIT(&s->runs);
	sandbox_try(s);
	return s;
}

/* What is still on its way to its end gets there without us: bwrap dies with its parent's word. */
struct sandbox *sandbox_free(struct sandbox *s)
{
	if (!s)
		return NULL;
	while (!LIST_EMPTY(&s->runs))
		sandbox_run_abandon(LIST_FIRST(&s->runs));
	sandbox_host_done(&s->host);
	strbuf_done(&s->said);
	free(s->inside);
	free(s->remedy);
	free(s);
	return NULL;
}

void sandbox_set_level(struct sandbox *s, enum sandbox_level level)
{
	s->level = level;
	if (s->state == SANDBOX_UNUSABLE)
		sandbox_try(s);
}

/* The other levels have an answer for a host without a sandbox, and keep it for all of a build. */
void sandbox_retry(struct sandbox *s)
{
	if (s->level == SANDBOX_REQUIRE && s->state == SANDBOX_UNUSABLE)
		sandbox_try(s);
}

bool sandbox_isolates(const struct sandbox *s)
{
	switch (s->level) {
	case SANDBOX_OFF:
		return false;
	case SANDBOX_PREFER:
		return s->state != SANDBOX_UNUSABLE;
	case SANDBOX_REQUIRE:
		return true;
	}
	return true;
}

static const char *limits_text(const struct sandbox *s)
{
	static const char *const texts[] = {
		[0] = "time; memory, processes and disk, by looking",
		[CGROUP_HOLDS_MEMORY] = "memory, by a cgroup; time; processes and disk, by looking",
		[CGROUP_HOLDS_PROCESSES] =
			"processes, by a cgroup; time; memory and disk, by looking",
		[CGROUP_HOLDS_MEMORY | CGROUP_HOLDS_PROCESSES] =
			"memory and processes, by a cgroup; time; disk, by looking",
	};

	return texts[s->held];
}

bool sandbox_is_usable(const struct sandbox *s, const char **ret_remedy, const char **ret_limits)
{
	if (ret_remedy)
		*ret_remedy = s->state == SANDBOX_UNUSABLE ? s->remedy
			      : s->state == SANDBOX_TRYING ? "it is being tried"
							   : NULL;
	if (ret_limits)
		*ret_limits = limits_text(s);
	return s->state == SANDBOX_USABLE;
}

int sandbox_start(struct sandbox *s, const struct sandbox_request *request,
		  const struct sandbox_ops *ops, void *arg, struct sandbox_run **ret,
		  struct fault *reterr)
{
	/* While it is being tried it is taken for usable: bwrap itself says what it can't. */
	if (s->level == SANDBOX_REQUIRE && s->state == SANDBOX_UNUSABLE)
		return fault_set(reterr, FAULT_SANDBOX_UNAVAILABLE,
				 "builds can't be isolated here: %s. Or set publish.sandbox to "
				 "prefer, where you trust what is built",
				 s->remedy);
	return sandbox_run_start(s, request, sandbox_isolates(s), ops, arg, ret, reterr);
}
