/* SPDX-License-Identifier: MIT */
/*
 * The registry's own life: start, reload, drain, end.
 */
#include "registry/registry.h"

#include "auth/logins.h"
#include "base/mem.h"
#include "registry/registry_priv.h"
#include "registry/url.h"

#define PORTS 65536

static int apply(struct registry *reg, const struct settings *settings, struct fault *reterr)
{
	struct hosts *allow;
	int r;

	r = url_template_check(settings->preview_public_url_template, reterr);
	if (r < 0)
		return r;
	r = hosts_new(settings->preview_allow_hosts, "preview.allow_hosts", &allow, reterr);
	if (r < 0)
		return r;

	hosts_free(reg->allow_hosts);
	reg->allow_hosts = allow;
	reg->settings = settings;
	logins_forget(reg->logins);
	return 0;
}

int registry_new(const struct registry_deps *deps, const struct settings *settings,
		 struct registry **ret, struct fault *reterr)
{
	scoped(registry_freep) struct registry *reg = xcalloc(1, sizeof(*reg));
	int r;

	reg->deps = *deps;
	reg->logins = logins_new();
	reg->by_port = xcalloc(PORTS, sizeof(struct attachment *));
	watch_start(reg);
	presence_start(reg);
	reaper_start(reg);
	reg->turn_timer = timer_new(deps->loop, on_turns, reg);
	reg->prober = prober_new(deps->loop, deps->fetcher, deps->jobs, deps->sockdiag);

	r = apply(reg, settings, reterr);
	if (r < 0)
		return r;
	r = registry_load(reg, reterr);
	if (r < 0)
		return r;
	presence_load(reg);

	*ret = STEAL(reg);
	return 0;
}

struct registry *registry_free(struct registry *reg)
{
	if (!reg)
		return NULL;

	/* Those nobody waits for any more; the store is gone or will not answer them. */
	while (reg->ops) {
		reg->ops->stage = OP_WAITING;
		registry_op_free(reg->ops);
	}
	while (reg->sessions)
		session_free(reg, reg->sessions);
	prober_free(reg->prober);
	timer_free(reg->turn_timer);
	logins_free(reg->logins);
	reaper_stop(reg);
	presence_stop(reg);
	watch_stop(reg);
	hosts_free(reg->allow_hosts);
	free(reg->listeners);
	free(reg->by_port);
	free(reg);
	return NULL;
}

int registry_reload(struct registry *reg, const struct settings *settings, struct fault *reterr)
{
	int r = apply(reg, settings, reterr);

	if (r < 0)
		return r;
	reg->edge_version++;
	watch_reschedule(reg);
	reaper_reschedule(reg);
	return 0;
}

void registry_forbid_port(struct registry *reg, uint16_t port)
{
	if (reg->n_forbidden_ports < ARRAY_SIZE(reg->forbidden_ports))
		reg->forbidden_ports[reg->n_forbidden_ports++] = port;
}

void registry_on_session_made(struct registry *reg, registry_made_fn *fn, void *arg)
{
	reg->on_session_made = fn;
	reg->on_session_made_arg = arg;
}

void registry_on_session_ended(struct registry *reg, registry_ended_fn *fn, void *arg)
{
	reg->on_session_ended = fn;
	reg->on_session_ended_arg = arg;
}

void registry_drain(struct registry *reg)
{
	reg->draining = true;
	ops_cancel_waiting(reg, NULL, FAULT_DRAINING,
			   "the daemon is shutting down; try again when it is back");
}
