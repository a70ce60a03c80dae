libpreviewd_a_SOURCES += \
	%reldir%/actions.c %reldir%/actions.def \
	%reldir%/behind.c \
	%reldir%/canvas.c %reldir%/canvas.h %reldir%/canvas_priv.h \
	%reldir%/graph.c \
	%reldir%/memory.c \
	%reldir%/resources.c \
	%reldir%/run.c

UNIT_TESTS += tests/unit/test_canvas
