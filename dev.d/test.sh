# ./dev test: every test, one summary line at the end.

PASSED=0 FAILED=0 SKIPPED=0

# count_unit: adds up what make check left behind. A test program of Check prints its own counts.
count_unit()
{
	find "$BUILD_TEST" -name '*.trs' -exec grep -l ':test-result:' {} + 2>/dev/null | sort >"$1"
	while IFS= read -r trs; do
		log=${trs%.trs}.log
		result=$(sed -n 's/^:test-result: *//p' "$trs" | head -n 1)
		line=$(sed -n 's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\)$/\1 \2 \3/p' \
			"$log" | awk '{ c += $1; b += $2 + $3 } END { if (NR) print c - b, b }')
		case $result in
		SKIP) SKIPPED=$((SKIPPED + 1)) ;;
		PASS | XFAIL)
			if [ -n "$line" ]; then
				PASSED=$((PASSED + ${line% *}))
			else
				PASSED=$((PASSED + 1))
			fi
			;;
		*)
			# Sanitizer reports and crashes fail a program whose checks all passed.
			bad=1
			if [ -n "$line" ]; then
				PASSED=$((PASSED + ${line% *}))
				[ "${line#* }" -eq 0 ] || bad=${line#* }
			fi
			FAILED=$((FAILED + bad))
			printf '\n%sfailed: %s%s\n' "$RED" "${trs#"$BUILD_TEST/"}" "$RESET"
			tail -n 40 "$log" | sed 's/^/    /'
			;;
		esac
	done <"$1"
}

run_unit()
{
	find "$BUILD_TEST" -name '*.trs' -delete 2>/dev/null
	printf '\n%smake check%s\n' "$BOLD" "$RESET"
	rc_file=$BUILD_TEST/check.rc
	{
		rc=0
		make -C "$BUILD_TEST" -k -s -j"$(build_jobs)" check 2>&1 || rc=$?
		echo "$rc" >"$rc_file"
	} | tee "$BUILD_TEST/check.out" |
		sed -un 's/^\(PASS\|FAIL\|SKIP\|ERROR\|XPASS\): /  \1  /p'
	before=$FAILED
	count_unit "$BUILD_TEST/check.list"
	if [ "$(cat "$rc_file")" != 0 ] && [ "$FAILED" -eq "$before" ]; then
		FAILED=$((FAILED + 1))
		printf '\n%smake check itself failed%s\n' "$RED" "$RESET"
		tail -n 40 "$BUILD_TEST/check.out" | sed 's/^/    /'
	fi
}

# tests/run.sh prints "N passed, M failed, K skipped" as its last line.
run_black_box()
{
	[ -x "$SRC/tests/run.sh" ] || return 0
	printf '\n%stests/run.sh%s\n' "$BOLD" "$RESET"
	rc_file=$BUILD_TEST/run.rc
	{
		rc=0
		NORN_SRCDIR=$SRC NORN_BUILDDIR=$BUILD_TEST "$SRC/tests/run.sh" 2>&1 || rc=$?
		echo "$rc" >"$rc_file"
	} | tee "$BUILD_TEST/run.out"
	counts=$(tail -n 1 "$BUILD_TEST/run.out" |
		sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p')
	if [ -z "$counts" ]; then
		FAILED=$((FAILED + 1))
		printf '%stests/run.sh did not finish%s\n' "$RED" "$RESET"
		return 0
	fi
	# shellcheck disable=SC2086 # three numbers
	set -- $counts
	PASSED=$((PASSED + $1)) FAILED=$((FAILED + $2)) SKIPPED=$((SKIPPED + $3))
	if [ "$(cat "$rc_file")" != 0 ] && [ "$2" -eq 0 ]; then
		FAILED=$((FAILED + 1))
		printf '%stests/run.sh ended with status %s%s\n' "$RED" "$(cat "$rc_file")" "$RESET"
	fi
}

test_run()
{
	STEP_LOGS=$SRC/.norn/test-logs
	deps_install
	step build 'with AddressSanitizer and UBSan' build_tree "$BUILD_TEST" --enable-werror \
		--enable-asan --enable-ubsan
	run_unit
	run_black_box
	printf '\n%d passed, %d failed, %d skipped\n' "$PASSED" "$FAILED" "$SKIPPED"
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}
