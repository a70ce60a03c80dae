/* SPDX-License-Identifier: MIT */
/*
 * The registry's documents as a model is told of them: short sentences, and documents of the
 * members that tools.def promises, without nulls, which some clients' schemas cannot say.
 */
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "mcp/mcp_priv.h"

static const cJSON *get(const cJSON *j, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(j, name);
}

/*
 * Where the user reaches the daemon: its public address; else the one that this client reaches it
 * by, which over the unix socket says nothing: then the first that it listens on.
 */
char *origin_of(const struct mcp_call *call)
{
	const struct mcp *mcp = mcp_call_arg(call);
	const char *public = mcp->settings->server_public_base_url;
	const char *host = mcp_call_tcp_host(call);
	char *const *listen = mcp->settings->server_listen;
	size_t len;

	if (!public)
		return xasprintf("http://%s", host ? host : listen && *listen ? *listen : "");
	len = strlen(public);
	return xstrndup(public, public[len - 1] == '/' ? len - 1 : len);
}

char *absolute_url(const char *origin, const char *url)
{
	if (!url)
		return NULL;
	return url[0] == '/' ? xasprintf("%s%s", origin, url) : xstrdup(url);
}

static void copy_members(cJSON *to, const cJSON *from, const char *const *names)
{
	for (; *names; names++) {
		const cJSON *value = get(from, *names);

		if (value && !cJSON_IsNull(value))
			cJSON_AddItemToObject(to, *names, cJSON_Duplicate(value, true));
	}
}

static void add_url(cJSON *to, const cJSON *from, const char *origin)
{
	scoped(freep) char *url = absolute_url(origin, json_string(from, "url"));

	if (url)
		json_add_string(to, "url", url);
}

cJSON *view_preview(const cJSON *attachment, const char *origin)
{
	static const char *const names[] = {
		"session_id", "app_id",       "name",     "type",         "port",        "path",
		"status",     "pinned",       "focus",    "bash_task_id", "attached_at", "reaps_at",
		"warnings",   "idle_seconds", "replaced", NULL,
	};
	const cJSON *http_status = get(get(attachment, "probe"), "http_status");
	cJSON *j = cJSON_CreateObject();

	copy_members(j, attachment, names);
	add_url(j, attachment, origin);
	if (cJSON_IsNumber(http_status))
		cJSON_AddNumberToObject(j, "http_status", http_status->valuedouble);
	return j;
}

cJSON *view_list(const cJSON *list, const char *origin)
{
	cJSON *j = cJSON_CreateObject(), *previews = cJSON_AddArrayToObject(j, "previews");
	const cJSON *one;

	cJSON_ArrayForEach(one, get(list, "previews"))
		cJSON_AddItemToArray(previews, view_preview(one, origin));
	return j;
}

cJSON *view_detached(const cJSON *document, const char *origin)
{
	static const char *const names[] = { "removed", "hint", NULL };
	const cJSON *previous = get(document, "previous");
	cJSON *j = cJSON_CreateObject();

	copy_members(j, document, names);
	if (cJSON_IsObject(previous))
		cJSON_AddItemToObject(j, "previous", view_preview(previous, origin));
	return j;
}

cJSON *view_why(const cJSON *document, const char *origin)
{
	static const char *const names[] = {
		"session_id", "name",        "port",         "status",
		"activity",   "pinned",      "idle_seconds", "idle_limit_seconds",
		"reaps_at",   "explanation", NULL,
	};
	cJSON *j = cJSON_CreateObject();

	copy_members(j, document, names);
	add_url(j, document, origin);
	return j;
}

cJSON *view_build(const cJSON *build, const char *origin)
{
	static const char *const names[] = {
		"session_id", "app_id", "name",  "build_id",   "state",    "release_id",
		"framework",  "files",  "bytes", "elapsed_ms", "warnings", NULL,
	};
	cJSON *j = cJSON_CreateObject();

	copy_members(j, build, names);
	add_url(j, build, origin);
	return j;
}

static void add_warnings(struct strbuf *b, const cJSON *attachment)
{
	const cJSON *w;

	cJSON_ArrayForEach(w, get(attachment, "warnings")) strbuf_printf(
		b, "\nWarning (%s): %s", json_string(w, "code"), json_string(w, "detail"));
}

char *text_preview(const cJSON *attachment, const char *origin)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
	scoped(freep) char *url = absolute_url(origin, json_string(attachment, "url"));
	const cJSON *http_status = get(get(attachment, "probe"), "http_status");

	strbuf_printf(&b, "Preview '%s' is attached: %s", json_string(attachment, "name"), url);
	if (cJSON_IsNumber(http_status) && http_status->valuedouble >= 400)
		strbuf_printf(&b,
			      "\nThe server answers HTTP %d there: open the page or look at the "
			      "server's output, mend it, and check the path. There is no need to "
			      "attach again.",
			      http_status->valueint);
	else
		strbuf_puts(&b, "\nThe user can see it now; it follows the dev server's reloads. "
				"Attach again only when the port changes.");
	add_warnings(&b, attachment);
	return strbuf_steal(&b);
}

char *text_list(const cJSON *list, const char *session_id, const char *origin)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
	const cJSON *previews = get(list, "previews"), *one;

	if (cJSON_GetArraySize(previews) == 0)
		return xasprintf("Nothing is attached in session '%s'. Start a dev server in the "
				 "background, then call PreviewProxy with its port.",
				 session_id);
	strbuf_printf(&b, "%d attached in session '%s':", cJSON_GetArraySize(previews), session_id);
	cJSON_ArrayForEach(one, previews)
	{
		scoped(freep) char *url = absolute_url(origin, json_string(one, "url"));

		strbuf_printf(&b, "\n- %s: %s (%s)", json_string(one, "name"), url,
			      json_string(one, "status"));
	}
	return strbuf_steal(&b);
}

char *text_detached(const cJSON *document, const char *name)
{
	const char *hint = json_string(document, "hint");

	if (cJSON_IsTrue(get(document, "removed")))
		return xasprintf("Preview '%s' is detached.%s%s", name, hint ? " Note: " : "",
				 hint ? hint : "");
	return xasprintf("Nothing was changed: %s.", hint ? hint : "there was no such preview");
}

char *text_why(const cJSON *document, const char *origin)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
	scoped(freep) char *url = absolute_url(origin, json_string(document, "url"));
	const cJSON *sentence;

	strbuf_printf(&b, "Preview '%s' at %s is %s.", json_string(document, "name"), url,
		      json_string(document, "status"));
	cJSON_ArrayForEach(sentence, get(document, "explanation"))
		strbuf_printf(&b, "\n- %s", sentence->valuestring);
	return strbuf_steal(&b);
}
