/* SPDX-License-Identifier: MIT */
#pragma once

#include <curl/curl.h>

#include "ctl/client.h"

/*
 * For those that have many requests under way at once (bridge.c).
 */

/* A transfer with the client's settings and address; the caller cleans it up. */
CURL *client_transfer(const struct client *client, const char *path);

/* The list with one header field more: "Name: value". */
struct curl_slist *client_field(struct curl_slist *list, const char *line);

/* The list with the credential's field, where there is one. */
struct curl_slist *client_credential(const struct client *client, struct curl_slist *list);
