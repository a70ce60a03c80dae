/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * _redirects and _headers, by which other hosts of static pages are told what to do: they are
 * served as any file is, and not read.  Warns where one says what isn't done anyway.
 */
void hostrules_check(int output_fd, char ***warnings);
