libpreviewd_a_SOURCES += \
	%reldir%/auth.c %reldir%/auth.h %reldir%/auth_priv.h \
	%reldir%/codes.c \
	%reldir%/edge.c \
	%reldir%/jwt.c %reldir%/jwt.h \
	%reldir%/logins.c %reldir%/logins.h \
	%reldir%/principal.c %reldir%/principal.h %reldir%/scopes.def \
	%reldir%/tokens.c

UNIT_TESTS += \
	tests/unit/test_auth \
	tests/unit/test_auth_codes \
	tests/unit/test_auth_jwt \
	tests/unit/test_auth_tokens

# Not built by default: tests/interop/jwt.test.mjs wants node.
EXTRA_PROGRAMS += tests/interop/jwt-check
