#!/bin/sh
# Every fuzz target on its corpus, then on mutations of it for NORN_FUZZ_SECONDS each [2]. NORN_FUZZ_SEED chooses
# others than those of every run. A target that dies names the input, which belongs into its corpus once it is fixed.
set -u
: "${NORN_BUILDDIR:?names the build}" "${NORN_SRCDIR:?names the source tree}"
seconds=${NORN_FUZZ_SECONDS:-2}
seed=${NORN_FUZZ_SEED:-1}
fuzz=$NORN_SRCDIR/tests/fuzz
out=$(mktemp -d) || exit 99
trap 'rm -rf "$out"' EXIT
failed=0
ran=0

for source in "$fuzz"/fuzz_*.c; do
	name=${source##*/fuzz_}
	name=${name%.c}
	program=$NORN_BUILDDIR/tests/fuzz/fuzz_$name
	mkdir "$out/$name" || exit 99
	# New inputs of libFuzzer go into the first directory.
	rc=0
	"$program" "-dict=$fuzz/$name.dict" "-seed=$seed" \
		"-max_total_time=$seconds" -runs=100000000 "-artifact_prefix=$NORN_BUILDDIR/fuzz-$name-" \
		"$out/$name" "$fuzz/corpus/$name" >"$out/log" 2>&1 || rc=$?
	if [ "$rc" -eq 0 ]; then
		ran=$((ran + 1))
		echo "ok   $name: $(tail -n 1 "$out/log")"
	else
		failed=$((failed + 1))
		echo "FAIL $name: status $rc"
		tail -n 60 "$out/log"
	fi
done
echo "$ran fuzz targets ran, $failed failed"
[ "$failed" -eq 0 ] && [ "$ran" -gt 0 ]
