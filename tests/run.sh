#!/bin/sh
# The tests that need real nodes: run.sh [NAME...], as tests/api/run.py takes them. NORN_BUILDDIR names the build.
# The last line says how many passed, failed and were skipped.
set -u
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
NORN_SRCDIR=${NORN_SRCDIR:-$(dirname "$here")}
export NORN_SRCDIR PYTHONDONTWRITEBYTECODE=1

if ! command -v python3 >/dev/null; then
	echo 'tests/api: python3 is needed'
	echo '0 passed, 1 failed, 0 skipped'
	exit 1
fi
out=$(mktemp) || exit 99
trap 'rm -f "$out"' EXIT
{
	status=0
	python3 "$here/api/run.py" "$@" 2>&1 || status=$?
	echo "$status" >"$out.status"
} | tee "$out"
status=$(cat "$out.status")
rm -f "$out.status"
counts=$(sed -n 's/^tests\/api: \([0-9]* passed, [0-9]* failed, [0-9]* skipped\)$/\1/p' "$out" | tail -n 1)
echo "${counts:-0 passed, 1 failed, 0 skipped}"
[ -n "$counts" ] && exit "$status"
exit 1
