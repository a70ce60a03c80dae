/* SPDX-License-Identifier: MIT */
/*
 * The life of an operation: it waits for a probe or its turn, is committed, applied and answered.
 * Whoever asked may lose interest at any time; what the store was given happens all the same.
 */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/mem.h"
#include "registry/registry_priv.h"

LOG_AREA("registry");

static void op_free(struct registry_op *op)
{
	DL_DELETE(op->reg->ops, op);
	if (op->waits_for)
		DL_DELETE2(op->waits_for->waiting, op, wait_prev, wait_next);
	else if (op->turn)
		DL_DELETE2(op->reg->turns, op, turn_prev, turn_next);
	store_commit_free(op->commit);
	probe_free(op->probe);
	tasks_ending_free(op->task_ending);
	json_free(op->left);
	principal_unref(op->principal);
	json_free(op->result.value);
	fault_done(&op->fault);
	attach_params_done(&op->attach);
	attachment_free(op->reg, op->attachment);
	free(op->workdir);
	free(op->meta);
	free(op->app_id);
	free(op->session_id);
	free(op->label);
	free(op->url);
	free(op->probed_address);
	free(op->probe_json);
	free(op->ending);
	free(op);
}

struct registry_op *registry_op_free(struct registry_op *op)
{
	if (!op)
		return NULL;

	if (op->stage != OP_WAITING)
		op->done = NULL; /* op_finish() frees it */
	else
		op_free(op);
	return NULL;
}

struct registry_op *op_new(struct registry *reg, struct principal *principal,
			   const struct session_ref *ref, registry_done_fn *done, void *arg)
{
	struct registry_op *op = xcalloc(1, sizeof(*op));

	op->reg = reg;
	op->principal = principal ? principal_ref(principal) : NULL;
	op->app_id = xstrdup(ref->app_id);
	op->session_id = xstrdup(ref->session_id);
	op->done = done;
	op->arg = arg;
	DL_APPEND(reg->ops, op);
	return op;
}

void op_finish(struct registry_op *op, int failure)
{
	registry_done_fn *done = op->done;

	op->stage = OP_WAITING;
	if (done)
		done(failure, &op->result, &op->fault, op->arg);
	else
		op_free(op);
}

void on_turns(void *registry)
{
	struct registry *reg = registry;
	struct registry_op *op;
	size_t n;

	/* Who asks meanwhile comes in the step after this one. */
	DL_COUNT2(reg->turns, op, n, turn_next);
	while (n-- > 0 && (op = reg->turns)) {
		op_turn_fn *turn = STEAL(op->turn);

		DL_DELETE2(reg->turns, op, turn_prev, turn_next);
		turn(op);
	}
	if (reg->turns)
		timer_set(reg->turn_timer, 0);
}

void op_take_turn(struct registry_op *op, op_turn_fn *fn)
{
	struct registry *reg = op->reg;

	op->turn = fn;
	DL_APPEND2(reg->turns, op, turn_prev, turn_next);
	if (!timer_is_set(reg->turn_timer))
		timer_set(reg->turn_timer, 0);
}

void op_wait_for_slot(struct registry_op *op, struct slot *slot, op_turn_fn *fn)
{
	op->turn = fn;
	op->waits_for = slot;
	DL_APPEND2(slot->waiting, op, wait_prev, wait_next);
}

void slot_is_quiet(struct slot *slot)
{
	struct registry_op *op;

	while ((op = slot->waiting)) {
		DL_DELETE2(slot->waiting, op, wait_prev, wait_next);
		op->waits_for = NULL;
		op_take_turn(op, op->turn);
	}
}

static void on_turn(struct registry_op *op)
{
	op_finish(op, op->failure);
}

void op_finish_later(struct registry_op *op, int failure)
{
	op->failure = failure;
	op_take_turn(op, on_turn);
}

static void on_committed(int result, void *arg)
{
	struct registry_op *op = arg;

	op->commit = store_commit_free(op->commit);
	if (op->forgetting)
		session_forgotten(op->reg, STEAL(op->forgetting), result);
	op->apply(op, result);
}

void op_commit(struct registry_op *op, struct store_batch *batch, op_apply_fn *apply)
{
	op->stage = OP_COMMITTING;
	op->apply = apply;
	op->commit = store_commit_consume(op->reg->deps.store, batch, on_committed, op);
}

int op_store_failed(struct registry_op *op, int result)
{
	log_error_errno(result, "session '%s': the store refused a change, nothing of it was done",
			op->session_id);
	if (result == -EAGAIN)
		fault_set(&op->fault, FAULT_STORE_UNAVAILABLE,
			  "the store is busy; nothing was changed, try again");
	else
		fault_set(&op->fault, FAULT_STORE_UNAVAILABLE,
			  "the store cannot be written (%s); nothing was changed",
			  strerror(-result));
	op->fault.retry_after_seconds = 1;
	return -fault_errno(FAULT_STORE_UNAVAILABLE);
}

int registry_refuses_changes(const struct registry *reg, struct fault *reterr)
{
	if (!reg->draining)
		return 0;
	return fault_set(reterr, FAULT_DRAINING,
			 "the daemon is shutting down; try again when it is back");
}

void ops_cancel_waiting(struct registry *reg, const char *session_id, enum fault_code code,
			const char *sentence)
{
	struct registry_op *op, *tmp;

	/* Their answers are told in the loop's next step: nothing is freed under this walk. */
	DL_FOREACH_SAFE(reg->ops, op, tmp)
	{
		if (!op->probe || (session_id && strcmp(op->session_id, session_id) != 0))
			continue;
		op->probe = probe_free(op->probe);
		op_finish_later(op, fault_set(&op->fault, code, "%s", sentence));
	}
}
