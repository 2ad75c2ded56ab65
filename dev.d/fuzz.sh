# ./dev fuzz: one fuzz target for as long as wanted, with libFuzzer.

fuzz_names()
{
	for f in "$SRC"/tests/fuzz/fuzz_*.c; do
		f=${f##*/fuzz_}
		printf '%s ' "${f%.c}"
	done
}

fuzz_usage()
{
	cat <<HELP
usage: ./dev fuzz NAME [--minutes N]

Builds with clang's libFuzzer and lets it look for inputs that break a target, for N minutes
[5]. What it learns stays in .norn/fuzz/NAME and is gone on with the next time; an input that
breaks the target is kept there as crash-*, and belongs into tests/fuzz/corpus/NAME with the fix.

targets: $(fuzz_names)
HELP
}

fuzz_run()
{
	name=${1:-}
	minutes=5
	case $name in
	'' | -h | --help)
		fuzz_usage
		return 0
		;;
	*[!a-z_]*) die 2 "'$name' is no fuzz target (see ./dev fuzz --help)" ;;
	esac
	[ -f "$SRC/tests/fuzz/fuzz_$name.c" ] || die 2 "there is no fuzz target '$name' (there are: $(fuzz_names))"
	shift
	while [ "$#" -gt 0 ]; do
		[ "$1" = --minutes ] || die 2 "unknown option '$1' of ./dev fuzz (see ./dev fuzz --help)"
		minutes=${2:-}
		case $minutes in
		'' | *[!0-9]* | 0* | ?????*) die 2 '--minutes wants a number from 1 to 9999' ;;
		esac
		shift 2
	done
	command -v clang >/dev/null 2>&1 || die 1 'libFuzzer comes with clang: install the package clang'
	STEP_LOGS=$SRC/.norn/test-logs
	deps_install
	build=$SRC/build-fuzz
	kept=$SRC/.norn/fuzz/$name
	mkdir -p "$kept"
	step build 'with libFuzzer' fuzz_build "$build" "$name"
	cd "$kept"
	exec "$build/tests/fuzz/fuzz_$name" "-dict=$SRC/tests/fuzz/$name.dict" "-max_total_time=$((minutes * 60))" \
		-timeout=20 -rss_limit_mb=2048 "-artifact_prefix=$kept/crash-" "$kept" "$SRC/tests/fuzz/corpus/$name"
}

fuzz_build()
{
	# What is generated comes first; only a whole build would see to it by itself.
	for target in src/db/statements.h "tests/fuzz/fuzz_$2"; do
		CC=clang BUILD_TARGET=$target build_tree "$1" --enable-fuzzing || return 1
	done
}
