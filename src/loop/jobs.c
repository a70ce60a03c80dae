/* SPDX-License-Identifier: MIT */
/*
 * Helper threads for what would block the loop.  The queue is the only thing the threads share with
 * it; a job's result goes back by loop_post(), so `done` and the end of every job are the loop's.
 */
#include "loop/jobs.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <sys/queue.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"

LOG_AREA("jobs");

struct job {
	LIST_ENTRY(job) entry;        /* in the pool's `live`; the loop's */
	TAILQ_ENTRY(job) queue_entry; /* while `queued`; under the lock */
	struct jobs *jobs;            /* NULL once the pool is gone; the loop's */
	bool queued;                  /* under the lock */
	bool silent;                  /* `done` isn't to be called; the loop's */
	job_work_fn *work;
	void *input;
	void (*free_input)(void *input);
	int result; /* handed over by loop_post() */
	job_done_fn *done;
	void *arg;
};

struct jobs {
	struct loop *loop;
	LIST_HEAD(, job) live; /* the loop's */
	unsigned threads_max, queue_max;

	pthread_mutex_t lock;
	pthread_cond_t wake;
	TAILQ_HEAD(, job) queue;
	unsigned n_queued, n_running, n_idle;
	bool stopping;

	unsigned n_threads; /* the loop's */
	pthread_t threads[];
};

struct jobs *jobs_new(struct loop *loop, unsigned threads, unsigned queue_max)
{
	struct jobs *jobs;

	assert(threads > 0);
	jobs = xcalloc(1, sizeof(*jobs) + threads * sizeof(jobs->threads[0]));
	jobs->loop = loop;
	jobs->threads_max = threads;
	jobs->queue_max = queue_max;
	LIST_INIT(&jobs->live);
	TAILQ_INIT(&jobs->queue);
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_cond_init(&jobs->wake, NULL);
	return jobs;
}

static void dequeue_locked(struct jobs *jobs, struct job *job)
{
	TAILQ_REMOVE(&jobs->queue, job, queue_entry);
	job->queued = false;
	jobs->n_queued--;
}

/* On the loop, when no thread has the job any more. */
static void job_end(struct job *job)
{
	if (job->jobs)
		LIST_REMOVE(job, entry);
	metric_add(METRIC_JOBS, -1);
	if (job->free_input)
		job->free_input(job->input);
	free(job);
}

static void on_job_over(void *arg)
{
	struct job *job = arg;

	if (!job->silent) {
		job->silent = true; /* job_free() from inside has nothing left to cancel */
		job->done(job->result, job->arg);
	}
	job_end(job);
}

static void *thread_main(void *arg)
{
	struct jobs *jobs = arg;
	struct job *job;

	pthread_mutex_lock(&jobs->lock);
	for (;;) {
		while (!(job = TAILQ_FIRST(&jobs->queue)) && !jobs->stopping) {
			jobs->n_idle++;
			pthread_cond_wait(&jobs->wake, &jobs->lock);
			jobs->n_idle--;
		}
		if (jobs->stopping)
			break; /* what is still queued is dropped by jobs_free() */
		dequeue_locked(jobs, job);
		jobs->n_running++;
		pthread_mutex_unlock(&jobs->lock);

		job->result = job->work(job->input);

		pthread_mutex_lock(&jobs->lock);
		jobs->n_running--;
		/* Under the lock: who was told of this result finds the thread free. */
		loop_post(jobs->loop, on_job_over, job);
	}
	pthread_mutex_unlock(&jobs->lock);
	return NULL;
}

static int thread_start(struct jobs *jobs)
{
	pthread_t *thread = &jobs->threads[jobs->n_threads];
	sigset_t all, before;
	int r;

	/* Signals are the loop's business: a thread is born with all of them blocked. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(thread, NULL, thread_main, jobs);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0)
		return -r;
	pthread_setname_np(*thread, "job");
	jobs->n_threads++;
	return 0;
}

/* True when the job is in the queue and there is a thread that will come to it. */
static bool job_enqueue(struct jobs *jobs, struct job *job)
{
	bool room, thread_wanted;
	int r;

	pthread_mutex_lock(&jobs->lock);
	/* What a free thread takes at once doesn't count as waiting. */
	room = jobs->n_queued < jobs->queue_max + (jobs->threads_max - jobs->n_running);
	if (room) {
		TAILQ_INSERT_TAIL(&jobs->queue, job, queue_entry);
		job->queued = true;
		jobs->n_queued++;
		pthread_cond_signal(&jobs->wake);
	}
	thread_wanted = jobs->n_queued > jobs->n_idle && jobs->n_threads < jobs->threads_max;
	pthread_mutex_unlock(&jobs->lock);
	if (!room || !thread_wanted)
		return room;

	r = thread_start(jobs);
	if (r < 0)
		log_warning_errno(r, "could not start a helper thread, going on with %u",
				  jobs->n_threads);
	if (jobs->n_threads > 0)
		return true;
	/* Nobody else sees the queue. */
	dequeue_locked(jobs, job);
	return false;
}

struct job *job_start(struct jobs *jobs, job_work_fn *work, void *input, void (*free_input)(void *),
		      job_done_fn *done, void *arg)
{
	struct job *job = xcalloc(1, sizeof(*job));

	job->jobs = jobs;
	job->work = work;
	job->input = input;
	job->free_input = free_input;
	job->done = done;
	job->arg = arg;
	if (!job_enqueue(jobs, job)) {
		free(job);
		return NULL;
	}
	LIST_INSERT_HEAD(&jobs->live, job, entry);
	metric_inc(METRIC_JOBS);
	return job;
}

struct job *job_free(struct job *job)
{
	bool queued;

	if (!job || job->silent)
		return NULL;
	job->silent = true;
	pthread_mutex_lock(&job->jobs->lock);
	queued = job->queued;
	if (queued)
		dequeue_locked(job->jobs, job);
	pthread_mutex_unlock(&job->jobs->lock);
	if (queued)
		job_end(job);
	return NULL;
}

struct jobs *jobs_free(struct jobs *jobs)
{
	struct job *job;

	if (!jobs)
		return NULL;
	pthread_mutex_lock(&jobs->lock);
	jobs->stopping = true;
	pthread_cond_broadcast(&jobs->wake);
	pthread_mutex_unlock(&jobs->lock);

	/* Queued jobs end here; those that run, in the calls the loop still has to make. */
	for (job = LIST_FIRST(&jobs->live); job;) {
		struct job *next = LIST_NEXT(job, entry);

		job_free(job);
		job = next;
	}
	for (unsigned i = 0; i < jobs->n_threads; i++)
		pthread_join(jobs->threads[i], NULL);
	while ((job = LIST_FIRST(&jobs->live))) {
		LIST_REMOVE(job, entry);
		job->jobs = NULL;
	}
	pthread_cond_destroy(&jobs->wake);
	pthread_mutex_destroy(&jobs->lock);
	free(jobs);
	return NULL;
}
