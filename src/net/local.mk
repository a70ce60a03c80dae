libpreviewd_a_SOURCES += \
	%reldir%/fetch.c %reldir%/fetch.h \
	%reldir%/connectproxy.c %reldir%/connectproxy.h \
	%reldir%/connectrules.c %reldir%/connectrules.h \
	%reldir%/hosts.c %reldir%/hosts.h \
	%reldir%/listen.c %reldir%/listen.h \
	%reldir%/sdnotify.c %reldir%/sdnotify.h \
	%reldir%/sockdiag.c %reldir%/sockdiag.h \
	%reldir%/sockwatch.c %reldir%/sockwatch.h

UNIT_TESTS += tests/unit/test_fetch tests/unit/test_listen tests/unit/test_sockdiag
UNIT_TESTS += tests/unit/test_connectproxy tests/unit/test_hosts tests/unit/test_sockwatch
