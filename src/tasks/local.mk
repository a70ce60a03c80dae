libpreviewd_a_SOURCES += \
	%reldir%/call.c \
	%reldir%/end.c \
	%reldir%/operation.c \
	%reldir%/register.c \
	%reldir%/start.c \
	%reldir%/states.def \
	%reldir%/task.c \
	%reldir%/tasks.c %reldir%/tasks.h %reldir%/tasks_priv.h \
	%reldir%/watch.c

UNIT_TESTS += tests/unit/test_tasks
