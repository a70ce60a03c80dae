# Every test program speaks TAP, so that `make check` counts promises and not programs.
AM_TESTS_ENVIRONMENT = CMOCKA_MESSAGE_OUTPUT=TAP; export CMOCKA_MESSAGE_OUTPUT; \
	srcdir='$(srcdir)'; export srcdir; MAKE='$(MAKE)'; export MAKE; \
	for d in prefix='$(prefix)' bindir='$(bindir)' sysconfdir='$(sysconfdir)' \
		datadir='$(datadir)' docdir='$(docdir)' mandir='$(mandir)' pkgdatadir='$(pkgdatadir)' \
		pkglibexecdir='$(pkglibexecdir)' systemduserunitdir='$(systemduserunitdir)' \
		systemdsystemunitdir='$(systemdsystemunitdir)'; do export "$$d"; done;
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_COMPILER = $(SHELL) $(srcdir)/%reldir%/run-tap
TEST_EXTENSIONS = .sh
SH_LOG_DRIVER = $(LOG_DRIVER)
SH_LOG_COMPILER = $(SHELL)

# Unit tests are added by each folder's fragment: UNIT_TESTS += tests/unit/test_thing
if HAVE_CMOCKA
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
endif

TESTS += %reldir%/layers.sh %reldir%/docs.sh %reldir%/install.sh
EXTRA_DIST += %reldir%/install.sh %reldir%/layers.sh %reldir%/check-layers %reldir%/docs.sh %reldir%/run-tap
include tests/fuzz/local.mk
include tests/interop/local.mk
include tests/mcp/local.mk
include tests/agents/local.mk
include tests/functional/local.mk
include tests/frameworks/local.mk
include tests/bench/local.mk
include tests/faults/local.mk
include tests/packages/local.mk

# What the tests in node need, by `npm ci` in this folder.
EXTRA_DIST += %reldir%/package-lock.json %reldir%/package.json
