libpreviewd_a_SOURCES += \
	%reldir%/detect.h \
	%reldir%/output.h \
	%reldir%/publisher.h \
	%reldir%/release.h
