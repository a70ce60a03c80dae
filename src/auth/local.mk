libpreviewd_a_SOURCES += \
	%reldir%/auth.c %reldir%/auth.h \
	%reldir%/jwt.c %reldir%/jwt.h \
	%reldir%/principal.c %reldir%/principal.h %reldir%/scopes.def
