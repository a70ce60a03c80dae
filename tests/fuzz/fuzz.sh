#!/bin/sh
# SPDX-License-Identifier: MIT
#
# fuzz.sh SOURCE BUILD TARGET...: builds the targets for libFuzzer with both sanitizers, in
# BUILD/build-fuzz unless BUILD is such a build, and runs each for FUZZ_SECONDS (30).  FUZZ_ONLY
# names some of them ("url json").  What breaks a promise is left in findings/, and counts.
set -eu
source=$1 build=$2
shift 2
seconds=${FUZZ_SECONDS:-30}

if ! grep -q '^FUZZ_LINK.*fuzzer' "$build/Makefile"; then
	build=$build/build-fuzz
	mkdir -p "$build"
	[ -f "$build/Makefile" ] || (cd "$build" && "$source/configure" CC="${FUZZ_CC:-clang}" \
		CFLAGS='-O1 -g' --enable-fuzzing --enable-asan --enable-ubsan >configure.out)
	# what is generated comes first
	(cd "$build" && make -j2 all >make.out && make -j2 "$@" >>make.out)
fi
cd "$build"
mkdir -p findings

wanted() {
	[ -z "${FUZZ_ONLY:-}" ] && return 0
	for name in $FUZZ_ONLY; do
		[ "$name" = "$1" ] && return 0
	done
	return 1
}

failed=0
printf '%-18s %12s %10s %9s\n' target runs 'of corpus' findings
for target; do
	name=${target##*/fuzz_}
	wanted "$name" || continue
	mkdir -p "grown/$name"
	log=findings/$name.log
	rm -f "findings/$name-"*
	ASAN_OPTIONS=detect_leaks=1 "$target" -max_total_time="$seconds" -timeout=10 \
		-rss_limit_mb=1024 -max_len=8192 -print_final_stats=1 -verbosity=1 \
		-artifact_prefix="findings/$name-" "grown/$name" \
		"$source/tests/fuzz/corpus/$name" >"$log" 2>&1 </dev/null || failed=1
	found=$(find findings -name "$name-*" | wc -l)
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	inputs=$(find "$source/tests/fuzz/corpus/$name" -type f | wc -l)
	printf '%-18s %12s %10s %9s\n' "$name" "${runs:--}" "$inputs" "$found"
done
exit $failed
