/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"

/*
 * Releases on disk, below the state directory's published/:
 *
 *	KEY/releases/ID/   manifest.json files/ br/ gz/     immutable; ID sorts by age
 *	KEY/releases/.tmp-ID/                               being made
 *	KEY/releases/.old-ID/                               being removed
 *	KEY/current        -> releases/ID                   switched by symlink and rename
 *	KEY/previous       -> releases/ID                   what was current before it
 *
 * KEY is "SESSION~NAME": neither may hold a "~".  Everything here blocks: for helper threads, one
 * at a time for a KEY.
 */
#define RELEASE_ID_SIZE 33

struct release_info {
	char id[RELEASE_ID_SIZE];
	usec_t created_at;
	uint64_t bytes; /* on disk, encodings among them */
	size_t files;
};

struct release_list {
	struct release_info *items; /* newest first */
	size_t n;
	char current[RELEASE_ID_SIZE];  /* "" when it is off the air */
	char previous[RELEASE_ID_SIZE]; /* "" when there is none */
};
void release_list_done(struct release_list *l);

bool release_id_is_valid(const char *id);

/* The directory of a place, made where it is missing; `root_fd` is published/. */
int release_place(int root_fd, const char *session_id, const char *name, bool make,
		  int *ret_fd) must_use;

int release_list(int place_fd, struct release_list *ret) must_use;

/* "" when it is off the air. */
int release_current(int place_fd, char ret[static RELEASE_ID_SIZE]) must_use;

/* The directory of a release. */
int release_open(int place_fd, const char *id, int *ret_fd) must_use;

/* A new staging directory, ret_fd, with files/, br/ and gz/ in it. */
int release_begin(int place_fd, char ret_id[static RELEASE_ID_SIZE], int *ret_fd) must_use;

/* fsyncs all of it and gives it its name: now it is a release, not yet the current one. */
int release_finish(int place_fd, const char *id, size_t files, uint64_t bytes) must_use;
void release_abandon(int place_fd, const char *id);

/* Switches `current`, durably; -ESTALE when `expected` isn't NULL and not what is current ("" is
 * for off the air), -ENOENT when there is no such release.  `id` NULL: takes it off the air. */
int release_activate(int place_fd, const char *id, const char *expected) must_use;

/* Removes one that was switched to in vain, or never; not the current one. */
int release_discard(int place_fd, const char *id) must_use;

/* Removes what is past the limits, never the current one or the one before it. */
struct release_keep {
	size_t count;
	uint64_t bytes;
	usec_t age; /* USEC_INFINITY: none */
};
int release_prune(int place_fd, const struct release_keep *keep) must_use;

/* At start: staging directories, half removed releases and a dangling `current` go. */
int release_reconcile(int root_fd) must_use;

/*
 * All of a place.  In two steps: at once, so that what is published there again has a new one, and
 * what takes its time.
 */
#define RELEASE_TAKEN_SIZE 32
int release_take_away(int root_fd, const char *session_id, const char *name,
		      char ret[static RELEASE_TAKEN_SIZE]) must_use;
int release_remove_taken(int root_fd, const char *taken) must_use;
int release_remove_all(int root_fd, const char *session_id, const char *name) must_use;

/* For tests: called before each step that changes the disk. */
extern void (*release_step_hook)(const char *step);
