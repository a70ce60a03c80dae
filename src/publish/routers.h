/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Adds a warning for each router in the project's sources that goes by the whole path of the
 * address and isn't told the base: below a path it finds no route, and nothing but the source can
 * mend that.
 */
void routers_check(int dirfd, char ***warnings);
