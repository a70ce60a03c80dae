/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Scope-bound ownership.
 *
 * A local that owns something says so where it is declared, and lets go of it on every path out of
 * the scope.  To hand the thing on, STEAL() it: the local forgets it and the receiver has it.
 *
 *	scoped(task_freep) struct task *t = task_new(...);
 *	...
 *	*ret = STEAL(t);
 */
#define scoped(fn) __attribute__((cleanup(fn)))
#define must_use   __attribute__((warn_unused_result))

#define STEAL(p)                             \
	({                                   \
		__typeof__(p) stolen_ = (p); \
		(p) = NULL;                  \
		stolen_;                     \
	})

#define STEAL_FD(fd)                \
	({                          \
		int stolen_ = (fd); \
		(fd) = -1;          \
		stolen_;            \
	})

/* DEFINE_CLEANUP(struct task *, task_free) gives task_freep(), for use with scoped(). */
#define DEFINE_CLEANUP(type, fn)          \
	static inline void fn##p(type *p) \
	{                                 \
		*p = fn(*p);              \
	}

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The struct of which `ptr` is the member `member`. */
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
