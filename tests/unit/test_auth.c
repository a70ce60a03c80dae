/* SPDX-License-Identifier: MIT */
/* Credentials and what they may do: peers of the unix socket, the admin token, JSON Web Tokens. */
#include "auth/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include "base/crypto.h"
#include "base/files.h"
#include "base/mem.h"
#include "base/metrics.h"

#ifdef HAVE_JWT
#include <jwt.h>
#endif

#define ADMIN_TOKEN "an-admin-token-of-at-least-32-characters"
#define SECRET      "0123456789abcdef0123456789abcdef"
#define NO_ONE      4000000001u /* a uid without a login */

struct fixture {
	struct loop *loop;
	struct store *store;
	struct settings settings;
	struct auth *auth;
	char directory[64];
	int dirfd;
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	strcpy(f->directory, "/tmp/test_auth.XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	f->dirfd = open_directory(f->directory);
	f->settings = (struct settings){ .auth_jwt_leeway = 30 * USEC_PER_SEC };
	f->loop = loop_new();
	f->store = store_memory_new(f->loop);
	assert_int_equal(auth_new(f->loop, f->store, &f->settings, ADMIN_TOKEN, &f->auth, NULL), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	auth_free(f->auth);
	store_free(f->store);
	loop_free(f->loop);
	unlinkat(f->dirfd, "token", 0);
	unlinkat(f->dirfd, "key", 0);
	close(f->dirfd);
	rmdir(f->directory);
	free(f);
	return 0;
}

static struct principal *principal_of(struct fixture *f, struct credential credential)
{
	struct principal *p = NULL;

	assert_int_equal(auth_authenticate(f->auth, &credential, &p, NULL), 0);
	return p;
}

static enum fault_code refusal_of(struct fixture *f, struct credential credential)
{
	scoped(fault_done) struct fault fault = { 0 };
	const double failures = metric_value(METRIC_AUTH_FAILURES);
	struct principal *p = NULL;

	assert_int_equal(auth_authenticate(f->auth, &credential, &p, &fault), -EACCES);
	assert_null(p);
	assert_true(metric_value(METRIC_AUTH_FAILURES) == failures + 1);
	return fault.code;
}

static void the_daemons_own_uid_is_admin_under_its_login(void **state)
{
	const struct passwd *self = getpwuid(geteuid());
	scoped(principal_unrefp) struct principal *p =
		principal_of(*state, (struct credential){ .is_unix = true, .uid = geteuid() });

	assert_true(p->admin);
	assert_true(p->has_uid);
	assert_int_equal(p->uid, geteuid());
	assert_string_equal(p->user_id, self ? self->pw_name : "local");
	assert_true(principal_may(p, SCOPE_ADMIN));
	assert_true(principal_sees(p, "any", "s", "somebody"));
	assert_true(principal_may_create(p, "any", "s"));
}

static void another_uid_is_its_login_and_no_admin(void **state)
{
	scoped(principal_unrefp) struct principal *p =
		principal_of(*state, (struct credential){ .is_unix = true, .uid = NO_ONE });

	assert_false(p->admin);
	assert_string_equal(p->user_id, "uid-4000000001");
	assert_int_equal(p->via, VIA_SOCKET);
	assert_true(principal_may(p, SCOPE_CANVAS));
	assert_false(principal_may(p, SCOPE_ADMIN));
	assert_false(principal_may(p, SCOPE_EDGE));
	assert_true(principal_may_create(p, "any", "s"));
	assert_true(principal_sees(p, "any", "s", "uid-4000000001"));
	assert_false(principal_sees(p, "any", "s", "ann"));
}

static void a_login_gives_its_name(void **state)
{
	const struct passwd *other = getpwnam(geteuid() == 0 ? "nobody" : "root");
	scoped(principal_unrefp) struct principal *p = NULL;

	if (!other)
		skip();
	p = principal_of(*state, (struct credential){ .is_unix = true, .uid = other->pw_uid });
	assert_string_equal(p->user_id, geteuid() == 0 ? "nobody" : "root");
	assert_false(p->admin);
}

static void a_token_goes_before_the_peer(void **state)
{
	assert_int_equal(refusal_of(*state, (struct credential){ .is_unix = true,
								 .uid = geteuid(),
								 .bearer = "wrong" }),
			 FAULT_TOKEN_INVALID);
}

static void the_admin_token_is_admin_and_nothing_like_it_is(void **state)
{
	scoped(principal_unrefp) struct principal *p =
		principal_of(*state, (struct credential){ .bearer = ADMIN_TOKEN });

	assert_true(p->admin);
	assert_int_equal(p->via, VIA_ADMIN_TOKEN);
	assert_false(p->has_uid);
	assert_int_equal(refusal_of(*state, (struct credential){ .bearer = ADMIN_TOKEN "x" }),
			 FAULT_TOKEN_INVALID);
	assert_int_equal(refusal_of(*state, (struct credential){ .bearer = "" }),
			 FAULT_TOKEN_INVALID);
	assert_int_equal(refusal_of(*state, (struct credential){ .bearer = "pvt_" }),
			 FAULT_TOKEN_INVALID);
	assert_int_equal(refusal_of(*state, (struct credential){ .bearer = NULL }),
			 FAULT_UNAUTHENTICATED);
}

static void the_admin_token_is_made_once_and_for_its_owner_alone(void **state)
{
	struct fixture *f = *state;
	scoped(secret_freep) char *first = NULL;
	scoped(secret_freep) char *second = NULL;
	struct stat st;

	assert_int_equal(auth_admin_token(f->dirfd, &first, NULL), 0);
	assert_int_equal(strlen(first), 64);
	assert_int_equal(fstatat(f->dirfd, "token", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(auth_admin_token(f->dirfd, &second, NULL), 0);
	assert_string_equal(first, second);
}

static void expect_refused_token_file(struct fixture *f, enum fault_code code)
{
	scoped(fault_done) struct fault fault = { 0 };
	char *token = NULL;

	assert_true(auth_admin_token(f->dirfd, &token, &fault) < 0);
	assert_int_equal(fault.code, code);
	assert_null(token);
	/* Also when nobody asks why. */
	assert_true(auth_admin_token(f->dirfd, &token, NULL) < 0);
}

static void an_admin_token_that_others_may_know_is_refused(void **state)
{
	struct fixture *f = *state;
	static const mode_t modes[] = { 0640, 0604, 0660, 0620, 0601 };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		assert_int_equal(
			write_file_at(f->dirfd, "token", ADMIN_TOKEN, strlen(ADMIN_TOKEN), 0600),
			0);
		assert_int_equal(fchmodat(f->dirfd, "token", modes[i], 0), 0);
		expect_refused_token_file(f, FAULT_FORBIDDEN);
	}
}

static void an_admin_token_that_is_none_is_refused(void **state)
{
	struct fixture *f = *state;
	static const char *const texts[] = { "", "\n", "short", ADMIN_TOKEN "\n\n",
					     "with a space in it, and long enough, though" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(write_file_at(f->dirfd, "token", texts[i], strlen(texts[i]), 0600),
				 0);
		expect_refused_token_file(f, FAULT_BAD_REQUEST);
	}

	assert_int_equal(unlinkat(f->dirfd, "token", 0), 0);
	assert_int_equal(symlinkat("elsewhere", f->dirfd, "token"), 0);
	expect_refused_token_file(f, FAULT_FORBIDDEN);
}

static void scopes_read_and_print(void **state)
{
	scoped(freep) char *text = scopes_format(SCOPE_VIEW | SCOPE_PREVIEW | SCOPE_SESSION_CREATE);
	unsigned scopes = 0;

	(void)state;
	assert_string_equal(text, "preview view session:create");
	assert_int_equal(scopes_parse(text, false, &scopes), 0);
	assert_int_equal(scopes, SCOPE_VIEW | SCOPE_PREVIEW | SCOPE_SESSION_CREATE);
	assert_int_equal(scopes_parse("view sing", false, &scopes), -EINVAL);
	assert_int_equal(scopes_parse("view sing", true, &scopes), 0);
	assert_int_equal(scopes, SCOPE_VIEW);
	assert_int_equal(scopes_parse("", false, &scopes), 0);
	assert_int_equal(scopes, 0);
	assert_int_equal(scopes_parse("View ADMIN", true, &scopes), 0);
	assert_int_equal(scopes, 0);
}

static void a_principal_stays_within_what_its_credential_names(void **state)
{
	/* clang-format off */
	static const struct {
		struct principal p;
		const char *app_id, *session_id, *user_id;
		bool sees, creates;
	} rows[] = {
		{ { .user_id = (char *)"ann" }, "shop", "s1", "ann", true, false },
		{ { .user_id = (char *)"ann" }, "shop", "s1", "bob", false, false },
		{ { .user_id = (char *)"ann", .scopes = SCOPE_SESSION_CREATE }, "shop", "s1", "ann", true, true },
		{ { .user_id = (char *)"ann", .session_id = (char *)"s1" }, "shop", "s1", "ann", true, true },
		{ { .user_id = (char *)"ann", .session_id = (char *)"s2" }, "shop", "s1", "ann", false, false },
		{ { .user_id = (char *)"ann", .session_id = (char *)"s2", .scopes = SCOPE_SESSION_CREATE },
		  "shop", "s1", "ann", false, false },
		{ { .user_id = (char *)"ann", .app_id = (char *)"other", .scopes = SCOPE_SESSION_CREATE },
		  "shop", "s1", "ann", false, false },
		{ { .user_id = (char *)"ann", .admin = true }, "shop", "s1", "bob", true, true },
		{ { .user_id = (char *)"ann", .admin = true, .app_id = (char *)"other" }, "shop", "s1", "ann", false, false },
		{ { .user_id = (char *)"ann", .admin = true, .session_id = (char *)"s2" }, "shop", "s1", "ann", false, false },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (principal_sees(&rows[i].p, rows[i].app_id, rows[i].session_id,
				   rows[i].user_id) != rows[i].sees)
			fail_msg("row %zu: sees", i);
		if (principal_may_create(&rows[i].p, rows[i].app_id, rows[i].session_id) !=
		    rows[i].creates)
			fail_msg("row %zu: creates", i);
	}
}

#ifdef HAVE_JWT
static void use_jwt(struct fixture *f)
{
	static char path[128];

	assert_int_equal(write_file_at(f->dirfd, "key", SECRET, strlen(SECRET), 0600), 0);
	snprintf(path, sizeof(path), "%s/key", f->directory);
	f->settings.auth_jwt_algorithm = JWT_HS256;
	f->settings.auth_jwt_key_file = path;
	assert_int_equal(auth_reload(f->auth, &f->settings, NULL), 0);
}

static struct principal *principal_of_claims(struct fixture *f, const char *claims)
{
	struct principal *p;
	char *token;
	jwt_t *jwt;

	assert_int_equal(jwt_new(&jwt), 0);
	assert_int_equal(jwt_add_grants_json(jwt, claims), 0);
	assert_int_equal(
		jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *)SECRET, (int)strlen(SECRET)),
		0);
	token = jwt_encode_str(jwt);
	p = principal_of(f, (struct credential){ .bearer = token });
	free(token);
	jwt_free(jwt);
	return p;
}

static void a_jwt_without_scope_may_do_an_agents_work(void **state)
{
	scoped(principal_unrefp) struct principal *p = NULL;

	use_jwt(*state);
	p = principal_of_claims(*state, "{\"sub\":\"ann\",\"exp\":32503680000}");
	assert_string_equal(p->user_id, "ann");
	assert_int_equal(p->via, VIA_JWT);
	assert_int_equal(p->scopes, SCOPE_PREVIEW | SCOPE_PUBLISH | SCOPE_VIEW);
	assert_false(p->admin);
	assert_null(p->session_id);
	/* as long as it is accepted: with the leeway */
	assert_int_equal(p->expires_at, (32503680000 + 30) * USEC_PER_SEC);
}

static void a_jwt_may_do_what_its_scope_says(void **state)
{
	scoped(principal_unrefp) struct principal *viewer = NULL;
	scoped(principal_unrefp) struct principal *nobody = NULL;
	scoped(principal_unrefp) struct principal *admin = NULL;

	use_jwt(*state);
	viewer = principal_of_claims(*state, "{\"sub\":\"a\",\"exp\":32503680000,\"app\":\"shop\","
					     "\"sid\":\"s1\",\"scope\":\"view openid\"}");
	nobody = principal_of_claims(*state,
				     "{\"sub\":\"a\",\"exp\":32503680000,\"scope\":\"openid\"}");
	admin = principal_of_claims(*state,
				    "{\"sub\":\"a\",\"exp\":32503680000,\"scope\":[\"admin\"]}");
	assert_int_equal(viewer->scopes, SCOPE_VIEW);
	assert_string_equal(viewer->app_id, "shop");
	assert_string_equal(viewer->session_id, "s1");
	assert_int_equal(nobody->scopes, 0);
	assert_true(admin->admin);
}

static void a_reload_that_fails_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct settings bad;
	scoped(principal_unrefp) struct principal *p = NULL;

	use_jwt(f);
	bad = f->settings;
	bad.auth_jwt_key_file = (char *)"/nowhere";
	assert_int_equal(auth_reload(f->auth, &bad, NULL), -EINVAL);
	p = principal_of_claims(f, "{\"sub\":\"ann\",\"exp\":32503680000}");
	assert_string_equal(p->user_id, "ann");
}
#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_daemons_own_uid_is_admin_under_its_login),
		TEST(another_uid_is_its_login_and_no_admin),
		TEST(a_login_gives_its_name),
		TEST(a_token_goes_before_the_peer),
		TEST(the_admin_token_is_admin_and_nothing_like_it_is),
		TEST(the_admin_token_is_made_once_and_for_its_owner_alone),
		TEST(an_admin_token_that_others_may_know_is_refused),
		TEST(an_admin_token_that_is_none_is_refused),
		cmocka_unit_test(scopes_read_and_print),
		cmocka_unit_test(a_principal_stays_within_what_its_credential_names),
#ifdef HAVE_JWT
		TEST(a_jwt_without_scope_may_do_an_agents_work),
		TEST(a_jwt_may_do_what_its_scope_says),
		TEST(a_reload_that_fails_changes_nothing),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
