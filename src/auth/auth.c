/* SPDX-License-Identifier: MIT */
/*
 * From a credential to a principal.  Each kind of credential has its function here; what it takes
 * to believe one is in jwt.c and tokens.c.
 */
#include "auth/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/auth_priv.h"
#include "auth/jwt.h"
#include "auth/logins.h"
#include "base/crypto.h"
#include "base/files.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"

LOG_AREA("auth");

/* Of who has them for being on this machine: what is of everybody's sessions is not among them. */
#define ALL_SCOPES (((1u << SCOPE_COUNT_) - 1) & ~(unsigned)(SCOPE_ADMIN | SCOPE_EDGE))

/*
 * Of a JSON Web Token that names none: an agent's work, but not what is for trusted back ends.  Nor
 * tasks: who starts a command runs it as the daemon's own user, who may read the admin token.
 */
#define JWT_DEFAULT_SCOPES (SCOPE_PREVIEW | SCOPE_PUBLISH | SCOPE_VIEW)

#define ADMIN_TOKEN_FILE     "token"
#define ADMIN_TOKEN_BYTES    32
#define ADMIN_TOKEN_MIN      32 /* characters */
#define ADMIN_TOKEN_FILE_MAX 4096

int auth_new(struct loop *loop, struct store *store, const struct settings *settings,
	     const char *admin_token, struct auth **ret, struct fault *reterr)
{
	scoped(auth_freep) struct auth *a = xcalloc(1, sizeof(*a));
	int r;

	a->loop = loop;
	a->store = store;
	a->admin_token = xstrdup_null(admin_token);
	a->logins = logins_new();
	LIST_INIT(&a->ops);
	codes_begin(a);
	edge_begin(a);

	r = auth_reload(a, settings, reterr);
	if (r < 0)
		return r;
	r = tokens_load(a, reterr);
	if (r < 0)
		return r;

	*ret = STEAL(a);
	return 0;
}

struct auth *auth_free(struct auth *a)
{
	if (!a)
		return NULL;

	codes_done(a);
	tokens_done(a);
	logins_free(a->logins);
	jwt_verifier_free(a->jwt);
	secret_free(a->admin_token);
	explicit_bzero(a->edge_key, sizeof(a->edge_key));
	free(a);
	return NULL;
}

int auth_reload(struct auth *a, const struct settings *settings, struct fault *reterr)
{
	struct jwt_verifier *jwt;
	int r;

	r = jwt_verifier_new(settings, &jwt, reterr);
	if (r < 0)
		return r;

	jwt_verifier_free(a->jwt);
	a->jwt = jwt;
	a->jwt_leeway = settings->auth_jwt_leeway;
	tokens_configure(a, settings);
	codes_configure(a, settings);
	logins_forget(a->logins);
	return 0;
}

/*
 * The admin token.
 */
static int check_token_file(int state_dirfd, struct fault *reterr)
{
	struct stat st;

	if (fstatat(state_dirfd, ADMIN_TOKEN_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return fault_set(reterr, FAULT_FORBIDDEN,
				 "the file '" ADMIN_TOKEN_FILE "' of the state directory is not a "
				 "file of previewd's own user: remove it, and a new one is made");
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return fault_set(
			reterr, FAULT_FORBIDDEN,
			"the file '" ADMIN_TOKEN_FILE "' of the state directory is open to "
			"other users (mode %04o), who may have read the admin token: remove "
			"it, and a new one is made",
			(unsigned)st.st_mode & 07777);
	return 0;
}

static int make_admin_token(int state_dirfd, char **ret, struct fault *reterr)
{
	scoped(secret_freep) char *token = xcalloc(1, 2 * ADMIN_TOKEN_BYTES + 1);
	scoped(secret_freep) char *line = NULL;
	int r;

	random_hex(token, ADMIN_TOKEN_BYTES);
	line = xasprintf("%s\n", token);
	r = write_file_at(state_dirfd, ADMIN_TOKEN_FILE, line, strlen(line), 0600);
	if (r < 0)
		return fault_set(reterr, FAULT_INTERNAL,
				 "cannot write the admin token to the state directory: %s",
				 strerror(-r));

	log_info("made the admin token: it is the file '" ADMIN_TOKEN_FILE
		 "' of the state directory");
	*ret = STEAL(token);
	return 0;
}

static int read_admin_token(int state_dirfd, char **ret, struct fault *reterr)
{
	scoped(secret_freep) char *token = NULL;
	size_t len;
	int r;

	r = read_file_at(state_dirfd, ADMIN_TOKEN_FILE, ADMIN_TOKEN_FILE_MAX, &token, &len);
	if (r < 0)
		return fault_set(reterr, FAULT_INTERNAL,
				 "cannot read the admin token of the state directory: %s",
				 strerror(-r));

	if (len > 0 && token[len - 1] == '\n')
		token[--len] = '\0';
	/* The characters of a bearer token (RFC 6750 section 2.1): others could never be shown. */
	if (len < ADMIN_TOKEN_MIN ||
	    strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			  "0123456789-._~+/=") != len)
		return fault_set(reterr, FAULT_BAD_REQUEST,
				 "the file '" ADMIN_TOKEN_FILE "' of the state directory holds no "
				 "token of %d characters or more: remove it, and a new one is made",
				 ADMIN_TOKEN_MIN);

	*ret = STEAL(token);
	return 0;
}

int auth_admin_token(int state_dirfd, char **ret, struct fault *reterr)
{
	int r = check_token_file(state_dirfd, reterr);

	if (r == -ENOENT)
		return make_admin_token(state_dirfd, ret, reterr);
	if (r < 0 && (!reterr || reterr->code == FAULT_NONE))
		return fault_set(reterr, FAULT_INTERNAL,
				 "cannot look at the admin token of the state directory: %s",
				 strerror(-r));
	if (r < 0)
		return r;
	return read_admin_token(state_dirfd, ret, reterr);
}

/*
 * Credentials.
 */
static struct principal *principal_new(enum principal_via via)
{
	struct principal *p = xcalloc(1, sizeof(*p));

	p->refs = 1;
	p->via = via;
	p->expires_at = USEC_INFINITY;
	return p;
}

const char *auth_own_user(struct auth *a)
{
	const char *login = logins_name(a->logins, geteuid());

	return login ? login : "local";
}

static struct principal *admin_new(struct auth *a, enum principal_via via)
{
	struct principal *p = principal_new(via);

	p->admin = true;
	p->scopes = ALL_SCOPES | SCOPE_ADMIN | SCOPE_EDGE;
	p->user_id = xstrdup(auth_own_user(a));
	return p;
}

static struct principal *of_peer(struct auth *a, uid_t uid)
{
	const char *login = logins_name(a->logins, uid);
	struct principal *p;

	if (uid == geteuid()) {
		p = admin_new(a, VIA_SOCKET);
	} else {
		p = principal_new(VIA_SOCKET);
		p->scopes = ALL_SCOPES;
		p->user_id = login ? xstrdup(login) : xasprintf("uid-%u", uid);
	}
	p->has_uid = true;
	p->uid = uid;
	return p;
}

static int of_session_token(struct auth *a, const char *bearer, struct principal **ret,
			    struct fault *reterr)
{
	const char *app_id = NULL, *user_id = NULL;
	const struct token *t;
	struct principal *p;
	int r;

	r = tokens_check(a, bearer, &t, reterr);
	if (r < 0)
		return r;
	if (!a->session_lookup ||
	    !a->session_lookup(t->session->session_id, &app_id, &user_id, a->session_lookup_arg))
		return fault_set(reterr, FAULT_TOKEN_INVALID, "the token is not valid here");

	p = principal_new(VIA_SESSION_TOKEN);
	p->user_id = xstrdup(user_id);
	p->app_id = xstrdup(app_id);
	p->session_id = xstrdup(t->session->session_id);
	p->token_id = xstrdup(t->token_id);
	p->scopes = t->scopes;
	p->expires_at = t->expires_at;
	*ret = p;
	return 0;
}

static int of_jwt(struct auth *a, const char *bearer, struct principal **ret, struct fault *reterr)
{
	scoped(jwt_claims_done) struct jwt_claims claims = { 0 };
	struct principal *p;
	unsigned scopes = JWT_DEFAULT_SCOPES;
	int r;

	r = jwt_verify(a->jwt, bearer, &claims, reterr);
	if (r < 0)
		return r;
	if (claims.scope && scopes_parse(claims.scope, true, &scopes) < 0)
		scopes = 0;

	p = principal_new(VIA_JWT);
	p->user_id = STEAL(claims.sub);
	p->app_id = STEAL(claims.app);
	p->session_id = STEAL(claims.sid);
	p->scopes = scopes;
	p->admin = scopes & SCOPE_ADMIN;
	p->expires_at = claims.expires_at + a->jwt_leeway;
	*ret = p;
	return 0;
}

static struct principal *of_edge_token(void)
{
	struct principal *p = principal_new(VIA_EDGE_TOKEN);

	p->user_id = xstrdup("edge");
	p->scopes = SCOPE_EDGE;
	return p;
}

static int of_bearer(struct auth *a, const char *bearer, struct principal **ret,
		     struct fault *reterr)
{
	if (secret_equal(bearer, a->admin_token)) {
		*ret = admin_new(a, VIA_ADMIN_TOKEN);
		return 0;
	}
	if (strncmp(bearer, SESSION_TOKEN_PREFIX, strlen(SESSION_TOKEN_PREFIX)) == 0)
		return of_session_token(a, bearer, ret, reterr);
	if (edge_token_is(a, bearer)) {
		*ret = of_edge_token();
		return 0;
	}
	if (a->jwt)
		return of_jwt(a, bearer, ret, reterr);
	return fault_set(reterr, FAULT_TOKEN_INVALID, "the token is not valid here");
}

static int of_credential(struct auth *a, const struct credential *credential,
			 struct principal **ret, struct fault *reterr)
{
	if (credential->bearer)
		return of_bearer(a, credential->bearer, ret, reterr);
	if (!credential->is_unix)
		return fault_set(reterr, FAULT_UNAUTHENTICATED,
				 "send a token (Authorization: Bearer …), or use the unix socket");

	*ret = of_peer(a, credential->uid);
	return 0;
}

int auth_authenticate(struct auth *a, const struct credential *credential, struct principal **ret,
		      struct fault *reterr)
{
	int r = of_credential(a, credential, ret, reterr);

	if (r < 0)
		metric_inc(METRIC_AUTH_FAILURES);
	return r;
}

void auth_set_session_lookup(struct auth *a, auth_session_fn *fn, void *arg)
{
	a->session_lookup = fn;
	a->session_lookup_arg = arg;
}
