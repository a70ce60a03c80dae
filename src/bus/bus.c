/* SPDX-License-Identifier: MIT */
/*
 * Numbers, journals and delivery of events.
 *
 * Delivery survives what its receivers do: a subscription that ends while events go out is marked
 * dead and swept afterwards, one that begins hears only of what is numbered after it, and an event
 * published from inside a delivery waits until the one before it has reached everybody.
 */
#include "bus/bus.h"

#include <assert.h>
#include <string.h>
#include <utlist.h>

#include "base/hash.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "bus/journal.h"

LOG_AREA("bus");

/* Numbers reserved at a time: what a killed daemon skips at most, in exchange for one write in 500
 * events (a new block is asked for when half of the last is used). */
#define SEQ_BLOCK           1000
#define RESERVE_RETRY_AFTER USEC_PER_SEC

/* The key of the sequence record of those that were forgotten; no session can be called so. */
#define FORGOTTEN_ID "*"

/* An event that waits for its number. */
struct draft {
	struct event *event;
	cJSON *payload;
	struct draft *prev, *next;
};

struct topic {
	struct bus *bus;
	char *session_id;
	uint64_t seq;                /* the last one given */
	uint64_t reserved;           /* may be given up to and with this */
	uint64_t reserving;          /* what `commit` asks for */
	bool known;                  /* the store has its reservation */
	struct store_commit *commit; /* a reservation under way */
	struct draft *drafts;
	uint64_t n_drafts;
	struct journal *journal; /* NULL: nothing remembered */
	struct subscription *subscriptions;
	struct topic *lru_prev, *lru_next;
	UT_hash_handle hh;
};

struct subscription {
	struct bus *bus;
	struct topic *topic; /* NULL: all sessions */
	subscription_fn *fn;
	void *arg;
	uint64_t born; /* hears of events numbered after this many */
	bool dead;
	struct subscription *prev, *next;
	struct subscription *next_dead;
};

/* An event on its way to its receivers. */
struct delivery {
	struct event *event;
	uint64_t ordinal;
	struct delivery *next;
};

struct bus {
	struct loop *loop;
	struct store *store;
	struct bus_settings settings;
	char epoch[17];
	struct topic *topics;
	struct topic *lru; /* those with a journal; first is the first to lose it */
	size_t journal_bytes;
	struct subscription *everything; /* subscriptions to all sessions */
	struct delivery *outbox;
	uint64_t ordinal;   /* events numbered since start */
	uint64_t forgotten; /* the greatest number of a forgotten session: new ones go on behind */
	bool delivering;
	struct subscription *dead; /* ended during a delivery, to be freed after it */
	struct timer *retry;
};

static void reserve(struct topic *t);
static void number_drafts(struct topic *t);

static struct topic *topic_find(const struct bus *bus, const char *session_id)
{
	struct topic *t;

	HASH_FIND_STR(bus->topics, session_id, t);
	return t;
}

static struct topic *topic_ensure(struct bus *bus, const char *session_id)
{
	struct topic *t = topic_find(bus, session_id);

	if (t)
		return t;

	t = xcalloc(1, sizeof(*t));
	t->bus = bus;
	t->session_id = xstrdup(session_id);
	t->seq = t->reserved = bus->forgotten;
	HASH_ADD_KEYPTR(hh, bus->topics, t->session_id, strlen(t->session_id), t);
	return t;
}

static void journal_drop(struct topic *t)
{
	struct bus *bus = t->bus;

	if (!t->journal)
		return;

	DL_DELETE2(bus->lru, t, lru_prev, lru_next);
	bus->journal_bytes -= journal_bytes(t->journal);
	t->journal = journal_free(t->journal);
	metric_add(METRIC_JOURNALS, -1);
}

static void topic_free(struct topic *t)
{
	struct draft *d, *tmp;

	journal_drop(t);
	store_commit_free(t->commit);
	if (t->drafts) {
		log_warning("preview_event_dropped: session '%s': %llu found no number before the "
			    "daemon's end",
			    t->session_id, (unsigned long long)t->n_drafts);
		metric_add(METRIC_EVENTS_DROPPED, (double)t->n_drafts);
	}
	DL_FOREACH_SAFE(t->drafts, d, tmp)
	{
		event_unref(d->event);
		json_free(d->payload);
		free(d);
	}
	HASH_DEL(t->bus->topics, t);
	free(t->session_id);
	free(t);
}

/* One that was only listened to, and of which there is nothing to know. */
static void topic_free_if_blank(struct topic *t)
{
	if (!t->known && !t->commit && !t->drafts && !t->subscriptions)
		topic_free(t);
}

static int on_loaded(const void *record, void *arg)
{
	const struct record_sequence *r = record;
	struct bus *bus = arg;
	struct topic *t;

	if (strcmp(r->session_id, FORGOTTEN_ID) == 0) {
		bus->forgotten = (uint64_t)r->reserved;
		return 0;
	}
	t = topic_ensure(bus, r->session_id);
	t->known = true;
	t->seq = t->reserved = (uint64_t)r->reserved;
	return 0;
}

static void on_retry(void *arg)
{
	struct bus *bus = arg;
	struct topic *t, *tmp;

	HASH_ITER(hh, bus->topics, t, tmp)
	{
		if (t->drafts)
			reserve(t);
	}
}

int bus_new(struct loop *loop, struct store *store, const struct bus_settings *settings,
	    struct bus **ret, struct fault *reterr)
{
	scoped(bus_freep) struct bus *bus = xcalloc(1, sizeof(*bus));
	int r;

	bus->loop = loop;
	bus->store = store;
	bus->settings = *settings;
	bus->retry = timer_new(loop, on_retry, bus);
	random_hex(bus->epoch, 8);

	r = store_load(store, RECORD_KIND_SEQUENCE, on_loaded, bus, reterr);
	if (r < 0)
		return r;

	*ret = STEAL(bus);
	return 0;
}

struct bus *bus_free(struct bus *bus)
{
	struct topic *t, *tmp;

	if (!bus)
		return NULL;

	HASH_ITER(hh, bus->topics, t, tmp)
	topic_free(t);
	timer_free(bus->retry);
	free(bus);
	return NULL;
}

void bus_set_memory_max(struct bus *bus, size_t memory_max)
{
	bus->settings.memory_max = memory_max;
}

const char *bus_epoch(const struct bus *bus)
{
	return bus->epoch;
}

uint64_t bus_latest_seq(const struct bus *bus, const char *session_id)
{
	const struct topic *t = topic_find(bus, session_id);

	return t ? t->seq : bus->forgotten;
}

uint64_t bus_published_seq(const struct bus *bus, const char *session_id)
{
	const struct topic *t = topic_find(bus, session_id);

	return t ? t->seq + t->n_drafts : bus->forgotten;
}

static void on_reserved(int result, void *arg)
{
	struct topic *t = arg;

	t->commit = store_commit_free(t->commit);
	if (result < 0) {
		log_warning_errno(result,
				  "session '%s': could not reserve event numbers, trying again",
				  t->session_id);
		timer_set(t->bus->retry, RESERVE_RETRY_AFTER);
		return;
	}
	t->reserved = t->reserving;
	t->known = true;
	number_drafts(t);
}

static void reserve(struct topic *t)
{
	struct record_sequence record = { .session_id = t->session_id };
	struct store_batch *batch;

	if (t->commit)
		return;

	t->reserving = t->seq + SEQ_BLOCK;
	record.reserved = (int64_t)t->reserving;

	batch = store_batch_new();
	store_put(batch, RECORD_KIND_SEQUENCE, &record);
	t->commit = store_commit_consume(t->bus->store, batch, on_reserved, t);
}

void bus_prepare(struct bus *bus, const char *session_id)
{
	struct topic *t = topic_ensure(bus, session_id);

	if (t->reserved - t->seq < SEQ_BLOCK / 2)
		reserve(t);
}

static void journals_shrink(struct bus *bus, const struct topic *keep)
{
	while (bus->journal_bytes > bus->settings.memory_max && bus->lru && bus->lru != keep)
		journal_drop(bus->lru);
}

static void remember(struct topic *t, struct event *e)
{
	struct bus *bus = t->bus;

	if (!t->journal) {
		t->journal = journal_new(bus->settings.ring);
		metric_inc(METRIC_JOURNALS);
	} else {
		DL_DELETE2(bus->lru, t, lru_prev, lru_next);
	}
	DL_APPEND2(bus->lru, t, lru_prev, lru_next);

	bus->journal_bytes += (size_t)journal_append(t->journal, e);
	journals_shrink(bus, t);
}

static void subscription_remove(struct subscription *s)
{
	if (s->topic) {
		DL_DELETE(s->topic->subscriptions, s);
		topic_free_if_blank(s->topic);
	} else {
		DL_DELETE(s->bus->everything, s);
	}
	free(s);
}

static void sweep(struct bus *bus)
{
	struct subscription *s, *tmp;

	LL_FOREACH_SAFE2(bus->dead, s, tmp, next_dead)
	subscription_remove(s);
	bus->dead = NULL;
}

static void deliver_to(struct subscription *list, const struct delivery *d)
{
	struct subscription *s;

	DL_FOREACH(list, s)
	{
		if (!s->dead && s->born < d->ordinal)
			s->fn(d->event, s->arg);
	}
}

static void deliver(struct bus *bus)
{
	if (bus->delivering)
		return;

	bus->delivering = true;
	while (bus->outbox) {
		struct delivery *d = bus->outbox;
		struct topic *t = topic_find(bus, d->event->session_id);

		LL_DELETE(bus->outbox, d);
		if (t)
			deliver_to(t->subscriptions, d);
		deliver_to(bus->everything, d);
		event_unref(d->event);
		free(d);
	}
	bus->delivering = false;
	sweep(bus);
}

/* Gives the event its number and serialises it, once. */
static void number(struct topic *t, struct event *e, cJSON *payload)
{
	struct delivery *d = xcalloc(1, sizeof(*d));
	char ts[CLOCK_TEXT_SIZE];
	scoped(freep) char *text = NULL;

	e->seq = ++t->seq;
	json_add_string(payload, "session_id", e->session_id);
	json_add_string(payload, "app_id", e->app_id);
	json_add_u64(payload, "preview_seq", e->seq);
	json_add_string(payload, "ts", clock_format(e->ts, ts));

	text = json_print(payload);
	e->payload = bytes_new(text, strlen(text));

	remember(t, e);
	metric_inc(METRIC_EVENTS);

	d->event = event_ref(e);
	d->ordinal = ++t->bus->ordinal;
	LL_APPEND(t->bus->outbox, d);
}

static void number_drafts(struct topic *t)
{
	struct draft *d, *tmp;

	DL_FOREACH_SAFE(t->drafts, d, tmp)
	{
		if (t->seq == t->reserved)
			break;
		DL_DELETE(t->drafts, d);
		t->n_drafts--;
		number(t, d->event, d->payload);
		event_unref(d->event);
		json_free(d->payload);
		free(d);
	}
	if (t->reserved - t->seq < SEQ_BLOCK / 2)
		reserve(t);
	deliver(t->bus);
}

uint64_t bus_publish_consume(struct bus *bus, const struct event_draft *draft, cJSON *payload)
{
	struct topic *t = topic_ensure(bus, draft->session_id);
	struct event *e = xcalloc(1, sizeof(*e));
	struct draft *d = xcalloc(1, sizeof(*d));
	uint64_t seq;

	e->refs = 1;
	e->ts = clock_realtime();
	e->session_id = xstrdup(draft->session_id);
	e->app_id = xstrdup(draft->app_id);
	e->user_id = xstrdup(draft->user_id);
	e->type = xstrdup(draft->type);
	e->entity_type = xstrdup(draft->entity_type);
	e->entity_id = xstrdup(draft->entity_id);

	d->event = e;
	d->payload = payload;
	DL_APPEND(t->drafts, d);
	seq = t->seq + ++t->n_drafts;
	number_drafts(t);
	return seq;
}

struct subscription *bus_subscribe(struct bus *bus, const char *session_id, subscription_fn *fn,
				   void *arg)
{
	struct subscription *s = xcalloc(1, sizeof(*s));

	s->bus = bus;
	s->fn = fn;
	s->arg = arg;
	s->born = bus->ordinal;
	if (session_id) {
		s->topic = topic_ensure(bus, session_id);
		DL_APPEND(s->topic->subscriptions, s);
	} else {
		DL_APPEND(bus->everything, s);
	}
	metric_inc(METRIC_SUBSCRIBERS);
	return s;
}

struct subscription *bus_unsubscribe(struct subscription *s)
{
	if (!s)
		return NULL;

	assert(!s->dead);
	metric_add(METRIC_SUBSCRIBERS, -1);

	if (s->bus->delivering) {
		s->dead = true;
		LL_PREPEND2(s->bus->dead, s, next_dead);
		return NULL;
	}

	subscription_remove(s);
	return NULL;
}

const char *bus_recovery_text(enum bus_recovery r)
{
	static const char *const texts[] = {
		[BUS_NOTHING_MISSED] = "nothing_missed",
		[BUS_REPLAYED] = "replayed",
		[BUS_SNAPSHOT] = "snapshot",
	};

	return texts[r];
}

enum bus_recovery bus_recover(struct bus *bus, const char *session_id, uint64_t since,
			      const char *epoch, subscription_fn *visit, void *arg)
{
	const struct topic *t = topic_find(bus, session_id);
	int64_t missed;

	if (!epoch || strcmp(epoch, bus->epoch) != 0 || !t)
		return BUS_SNAPSHOT;
	if (since == t->seq)
		return BUS_NOTHING_MISSED;
	if (!t->journal)
		return BUS_SNAPSHOT;

	missed = journal_since(t->journal, since, visit, arg);
	return missed < 0 ? BUS_SNAPSHOT : BUS_REPLAYED;
}

void bus_session_ended(struct bus *bus, const char *session_id)
{
	struct topic *t = topic_find(bus, session_id);

	if (!t || !t->journal)
		return;
	DL_DELETE2(bus->lru, t, lru_prev, lru_next);
	DL_PREPEND2(bus->lru, t, lru_prev, lru_next);
}

void bus_session_forget(struct bus *bus, const char *session_id, struct store_batch *batch)
{
	struct topic *t = topic_find(bus, session_id);
	struct record_sequence record = { .session_id = FORGOTTEN_ID };

	store_delete(batch, RECORD_KIND_SEQUENCE,
		     &(struct record_sequence){ .session_id = session_id });
	if (!t)
		return;

	if (t->seq > bus->forgotten) {
		bus->forgotten = t->seq;
		record.reserved = (int64_t)bus->forgotten;
		store_put(batch, RECORD_KIND_SEQUENCE, &record);
	}

	/* What is reserved goes with the record: who follows it still gets new numbers behind it.
	 */
	journal_drop(t);
	t->commit = store_commit_free(t->commit);
	t->reserved = t->seq;
	t->known = false;
	if (t->drafts)
		timer_set(bus->retry, 0);
	topic_free_if_blank(t);
}
