#!/bin/sh
# shellcheck disable=SC2154 # srcdir comes from the makefile
# Every #include keeps to the direction that src/LAYERS declares.
echo 1..1
if "$srcdir/tests/check-layers" "$srcdir/src"; then
	echo "ok 1 - includes keep to src/LAYERS"
else
	echo "not ok 1 - includes keep to src/LAYERS"
fi
