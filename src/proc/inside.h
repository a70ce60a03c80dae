/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the daemon and previewd-sandbox, its program inside a sandbox, know of each other:
 *
 *	previewd-sandbox -g FD [-i] [-p SOCKET] [-n PROCESSES] [-d DATA] [-f FILE] [-o FILES] CMD …
 *
 * FD is read for one byte, the word to go; its end means that the daemon is gone. -i says that a
 * pid namespace holds it all. The others are limits as in setrlimit(2).
 */
#define INSIDE_PROGRAM    "previewd-sandbox"
#define INSIDE_PROXY_PORT 3128
#define INSIDE_FAILED     125 /* its exit code where the command never ran */
