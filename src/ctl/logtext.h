/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdio.h>

/*
 * A stream for what a program of somebody else's printed, on its way to a terminal: text, tabs and
 * the ends of lines pass, and with `colors` what only sets colours and weights (SGR), which is
 * taken back at the end.  What else drives a terminal (a moved cursor, a title, a clipboard, a
 * question whose answer would be typed into the shell) is left out.  fclose() leaves `to` open;
 * NULL: no memory.
 */
FILE *logtext_stream(FILE *to, bool colors);
