# ./dev chaos: sites under faults, see tests/chaos/chaos.py.

chaos_run()
{
	for arg; do
		case $arg in
		--schedule | -h | --help) exec python3 -B "$SRC/tests/chaos/chaos.py" "$@" ;;
		esac
	done
	STEP_LOGS=$SRC/.norn/test-logs
	deps_install
	step build 'with AddressSanitizer and UBSan' build_tree "$BUILD_TEST" --enable-werror \
		--enable-asan --enable-ubsan
	NORN_SRCDIR=$SRC NORN_BUILDDIR=$BUILD_TEST exec python3 -B "$SRC/tests/chaos/chaos.py" "$@"
}
