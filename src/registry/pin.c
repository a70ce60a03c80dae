/* SPDX-License-Identifier: MIT */
/*
 * Pin and unpin: what must stay is never reaped, also after a restart of the daemon.
 */
#include "base/log.h"
#include "registry/registry_priv.h"

LOG_AREA("registry");

/* The record that is the slot's once all that is on its way has arrived. */
static const struct record_attachment *newest_record(const struct registry *reg,
						     const struct slot *slot)
{
	const struct attachment *newest = slot->current;

	for (const struct registry_op *op = reg->ops; op; op = op->next) {
		if (op->stage == OP_COMMITTING && op->slot == slot && op->attachment)
			newest = op->attachment;
	}
	return newest ? newest->record : NULL;
}

static void on_pinned(struct registry_op *op, int result)
{
	struct registry *reg = op->reg;
	struct slot *slot = op->slot;
	struct attachment *a = slot->current;
	int failure = 0;

	if (result < 0) {
		failure = op_store_failed(op, result);
	} else if (!a) { /* the attach it was for failed */
		failure = fault_set(&op->fault, FAULT_PREVIEW_NOT_FOUND,
				    "nothing is attached as '%s'", slot->name);
	} else {
		bool was_pinned = a->record->pinned != 0;

		a->record->pinned = op->pinned;
		if (was_pinned != op->pinned) {
			log_info("session '%s': '%s' is %s", op->session_id, slot->name,
				 op->pinned ? "pinned" : "no longer pinned");
			if (op->pinned)
				clock_leave(a);
			else
				clock_reset(reg, a, CLOCK_UNPIN);
		}
		op->result.value = attachment_view(reg, a);
	}
	slot_settle(slot);
	session_settle(reg, slot->session, result, false);
	op_finish(op, failure);
}

struct registry_op *registry_pin(struct registry *reg, struct principal *principal,
				 const struct session_ref *ref, const char *name, bool pinned,
				 registry_done_fn *done, void *arg, struct fault *reterr)
{
	struct store_batch *batch;
	struct record_attachment record;
	struct registry_op *op;
	struct attachment *a;
	struct slot *slot;

	if (registry_refuses_changes(reg, reterr) < 0 ||
	    attachment_find(reg, principal, ref, name, &a, reterr) < 0)
		return NULL;
	slot = a->slot;
	if (!slot->will_exist) {
		fault_set(reterr, FAULT_PREVIEW_NOT_FOUND, "'%s' is being detached", name);
		return NULL;
	}

	op = op_new(reg, principal, ref, done, arg);
	op->slot = slot;
	op->pinned = pinned;
	record = *newest_record(reg, slot);
	record.pinned = pinned;
	slot->pending++;
	slot->will_be_pinned = pinned;
	session_begin(slot->session);

	batch = store_batch_new();
	store_put(batch, RECORD_KIND_ATTACHMENT, &record);
	op_commit(op, batch, on_pinned);
	return op;
}
