# src/http: see src/README.md
libpreviewd_a_SOURCES += %reldir%/parse.h %reldir%/url.h
