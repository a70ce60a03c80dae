/* SPDX-License-Identifier: MIT */
/*
 * Reads .claude/launch.json.  What it holds is the user's own and is run as they would run it; what
 * isn't known in it is for others.
 */
#include "ctl/launch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"

#define FILE_NAME  ".claude/launch.json"
#define FILE_MAX   (1024 * 1024)
#define FOLDER     "${workspaceFolder}"
#define WORDS_MAX  1024
#define NAMES_SIZE 4096

void launch_file_done(struct launch_file *f)
{
	free(f->folder);
	json_free(f->document);
	*f = (struct launch_file){ 0 };
}

void launch_done(struct launch *l)
{
	free(l->name);
	strv_free(l->argv);
	free(l->cwd);
	strv_free(l->env);
	*l = (struct launch){ 0 };
}

/* Past the comment at `i`, if there is one. */
static size_t skip_comment(const char *text, size_t len, size_t i)
{
	const char *end;

	if (i + 1 >= len || text[i] != '/')
		return i;
	if (text[i + 1] == '/') {
		end = memchr(text + i, '\n', len - i);
		return end ? (size_t)(end - text) : len;
	}
	if (text[i + 1] != '*')
		return i;
	for (size_t j = i + 2; j + 1 < len; j++)
		if (text[j] == '*' && text[j + 1] == '/')
			return j + 2;
	return len;
}

/* Past blanks and comments. */
static size_t skip_blanks(const char *text, size_t len, size_t i)
{
	for (;;) {
		size_t next = skip_comment(text, len, i);

		if (next == i && i < len && strchr(" \t\r\n", text[i]) && text[i] != '\0')
			next++;
		if (next == i)
			return i;
		i = next;
	}
}

static size_t skip_string(const char *text, size_t len, size_t i)
{
	for (i++; i < len && text[i] != '"'; i++)
		if (text[i] == '\\')
			i++;
	return i < len ? i + 1 : len;
}

char *launch_plain_json(const char *text, size_t len)
{
	char *plain = xstrndup(text, len);

	len = strlen(plain);
	for (size_t i = 0; i < len;) {
		size_t next = skip_comment(plain, len, i);

		if (next > i) {
			memset(plain + i, ' ', next - i);
		} else if (plain[i] == '"') {
			next = skip_string(plain, len, i);
		} else if (plain[i] == ',') {
			size_t after = skip_blanks(plain, len, i + 1);

			if (after < len && (plain[after] == '}' || plain[after] == ']'))
				plain[i] = ' ';
			next = i + 1;
		} else {
			next = i + 1;
		}
		i = next;
	}
	return plain;
}

/*
 * Folders above may be anybody's to write to, as /tmp is: what is run is one's own, root's, or of
 * whose folder one has gone into.
 */
static int check_owner(FILE *f, const char *path, uid_t owner, struct problem *reterr)
{
	struct stat st;

	if (fstat(fileno(f), &st) < 0)
		return problem_set(reterr, EXIT_FAILED, "launch", "%s: %s", path, strerror(errno));
	if (st.st_uid == owner || st.st_uid == geteuid() || st.st_uid == 0)
		return 0;
	return problem_set(reterr, EXIT_FAILED, "launch",
			   "%s is another user's: it is not used here", path);
}

static int read_launch_file(const char *path, uid_t owner, cJSON **ret, struct problem *reterr)
{
	scoped(fault_done) struct fault fault = { 0 };
	scoped(fclosep) FILE *f = fopen(path, "re");
	scoped(strbuf_done) struct strbuf b = strbuf_init(FILE_MAX);
	scoped(freep) char *plain = NULL;
	char buffer[4096];
	size_t n;

	if (!f)
		return errno == ENOENT || errno == ENOTDIR
			       ? 0
			       : problem_set(reterr, EXIT_FAILED, "launch", "%s: %s", path,
					     strerror(errno));
	if (check_owner(f, path, owner, reterr) < 0)
		return -1;
	while ((n = fread(buffer, 1, sizeof(buffer), f)) > 0)
		strbuf_add(&b, buffer, n);
	if (ferror(f) || b.error)
		return problem_set(reterr, EXIT_FAILED, "launch", "%s can't be read", path);
	plain = launch_plain_json(strbuf_str(&b), b.len);
	if (json_parse(plain, strlen(plain), ret, &fault) < 0)
		return problem_set(reterr, EXIT_FAILED, "launch", "%s: %s", path, fault.detail);
	return 1;
}

int launch_find(const char *from, struct launch_file *ret, struct problem *reterr)
{
	scoped(freep) char *folder = xstrdup(from);
	struct stat st;

	if (stat(from, &st) < 0)
		return 0;
	for (;;) {
		scoped(freep) char *path = xasprintf("%s/" FILE_NAME, folder);
		int r = read_launch_file(path, st.st_uid, &ret->document, reterr);
		char *slash;

		if (r != 0) {
			ret->folder = r > 0 ? STEAL(folder) : NULL;
			return r;
		}
		slash = strrchr(folder, '/');
		if (!slash)
			return 0;
		*slash = '\0';
	}
}

/*
 * A configuration.
 */
static char *with_folder(const char *text, const char *folder)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
	const char *at;

	while ((at = strstr(text, FOLDER))) {
		strbuf_add(&b, text, (size_t)(at - text));
		strbuf_puts(&b, folder);
		text = at + strlen(FOLDER);
	}
	strbuf_puts(&b, text);
	return strbuf_steal(&b);
}

/* Adds the strings of a list, or fails at what is none. */
static int add_words(char ***words, size_t *n, const cJSON *list, const char *folder)
{
	const cJSON *word;

	if (list && !cJSON_IsArray(list))
		return -EINVAL;
	cJSON_ArrayForEach(word, list)
	{
		if (!cJSON_IsString(word) || *n >= WORDS_MAX)
			return -EINVAL;
		(*words)[(*n)++] = with_folder(word->valuestring, folder);
	}
	return 0;
}

static int read_command(const cJSON *c, const char *folder, char ***ret)
{
	const char *executable = json_string(c, "runtimeExecutable");
	const char *program = json_string(c, "program");
	size_t n = 0;
	char **words = xcalloc(WORDS_MAX + 3, sizeof(*words));
	int r;

	*ret = words;
	if (!executable && !program)
		return -EINVAL;
	words[n++] = with_folder(executable ? executable : "node", folder);
	r = add_words(&words, &n, cJSON_GetObjectItemCaseSensitive(c, "runtimeArgs"), folder);
	if (r >= 0 && program)
		words[n++] = with_folder(program, folder);
	if (r >= 0)
		r = add_words(&words, &n, cJSON_GetObjectItemCaseSensitive(c, "args"), folder);
	return r;
}

static int read_env(const cJSON *c, const char *folder, char ***ret)
{
	const cJSON *env = cJSON_GetObjectItemCaseSensitive(c, "env"), *variable;
	size_t n = 0;

	*ret = xcalloc((size_t)cJSON_GetArraySize(env) + 1, sizeof(**ret));
	cJSON_ArrayForEach(variable, env)
	{
		scoped(freep) char *value = NULL;

		if (!variable->string || !*variable->string || strchr(variable->string, '='))
			return -EINVAL;
		if (cJSON_IsString(variable))
			value = with_folder(variable->valuestring, folder);
		else if (cJSON_IsNumber(variable) || cJSON_IsBool(variable))
			value = json_print(variable);
		else
			return -EINVAL;
		(*ret)[n++] = xasprintf("%s=%s", variable->string, value);
	}
	return 0;
}

static char *read_cwd(const cJSON *c, const char *folder)
{
	const char *cwd = json_string(c, "cwd");
	scoped(freep) char *path = cwd ? with_folder(cwd, folder) : NULL;

	if (!path)
		return xstrdup(folder);
	return path[0] == '/' ? STEAL(path) : xasprintf("%s/%s", folder, path);
}

static int read_port(const cJSON *c, struct launch *ret)
{
	const cJSON *port = cJSON_GetObjectItemCaseSensitive(c, "port");

	ret->picks_port = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(c, "autoPort"));
	if (!port)
		return 0;
	if (!cJSON_IsNumber(port) || port->valuedouble < 1 || port->valuedouble > 65535)
		return -EINVAL;
	ret->port = (unsigned)port->valuedouble;
	return 0;
}

static int read_configuration(const struct launch_file *f, const cJSON *c, struct launch *ret,
			      struct problem *reterr)
{
	const char *wrong = NULL;

	ret->name = xstrdup_null(json_string(c, "name"));
	ret->cwd = read_cwd(c, f->folder);
	if (read_command(c, f->folder, &ret->argv) < 0)
		wrong = "wants runtimeExecutable or program, and lists of strings for arguments";
	else if (read_env(c, f->folder, &ret->env) < 0)
		wrong = "has an env that is no object of strings";
	else if (read_port(c, ret) < 0)
		wrong = "has a port that is none";
	if (!wrong)
		return 1;
	return problem_set(reterr, EXIT_FAILED, "launch",
			   "%s/" FILE_NAME ": the configuration '%s' %s", f->folder,
			   ret->name ? ret->name : "?", wrong);
}

static int say_which(const struct launch_file *f, const cJSON *list, struct problem *reterr)
{
	scoped(strbuf_done) struct strbuf names = strbuf_init(NAMES_SIZE);
	const cJSON *c;

	if (cJSON_GetArraySize(list) == 0)
		return problem_set(reterr, EXIT_USAGE, "usage",
				   "%s/" FILE_NAME " has no configurations", f->folder);
	cJSON_ArrayForEach(c, list)
	{
		const char *name = json_string(c, "name");

		if (name)
			strbuf_printf(&names, "%s%s", names.len > 0 ? ", " : "", name);
	}
	problem_set(reterr, EXIT_USAGE, "usage", "%s/" FILE_NAME " has several configurations: %s",
		    f->folder, strbuf_str(&names));
	problem_hint(reterr, "`previewctl run NAME` runs one of them");
	return -1;
}

int launch_choose(const struct launch_file *f, const char *name, struct launch *ret,
		  struct problem *reterr)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(f->document, "configurations"), *c;

	if (!name)
		return cJSON_GetArraySize(list) == 1
			       ? read_configuration(f, cJSON_GetArrayItem(list, 0), ret, reterr)
			       : say_which(f, list, reterr);
	cJSON_ArrayForEach(c, list)
	{
		const char *its = json_string(c, "name");

		if (its && strcmp(its, name) == 0)
			return read_configuration(f, c, ret, reterr);
	}
	return 0;
}
