# ./dev bench: measurements, see bench/README.md.

# One "Debian package|kind|what shows that it is there" a line, as in deps.sh. Without npm the other queues are skipped.
BENCH_DEPS='wrk|command|wrk
npm|command|npm
postgresql-client|command|pgbench psql'

bench_missing()
{
	printf '%s\n' "$BENCH_DEPS" | while IFS='|' read -r package kind what; do
		# shellcheck disable=SC2086 # a list of words
		dep_present "$kind" $what || printf '%s ' "$package"
	done
}

bench_install()
{
	missing=$(bench_missing)
	missing=${missing% }
	[ -n "$missing" ] || return 0
	if ! command -v apt-get >/dev/null 2>&1; then
		note "not here, and skipped: $missing"
		return 0
	fi
	# shellcheck disable=SC2086 # a list of words
	step tools "$missing" apt_install $missing
}

bench_run()
{
	for arg; do
		case $arg in
		--list | -h | --help) exec python3 "$SRC/bench/run.py" "$arg" ;;
		esac
	done
	STEP_LOGS=$SRC/.norn/bench-logs
	deps_install
	bench_install
	step build "in ${BUILD#"$SRC/"}" build_tree "$BUILD"
	exec python3 "$SRC/bench/run.py" --build "$BUILD" "$@"
}
