#!/bin/sh
# Runs every program tests/sql/test_* against a private PostgreSQL cluster, each in a fresh database of its
# own name. Arguments: names of programs to run instead of all.
set -u
srcdir=${NORN_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
builddir=${NORN_BUILDDIR:-$PWD}
pgcluster=$srcdir/tests/lib/pgcluster.sh
dir=$(mktemp -d "${TMPDIR:-/tmp}/norn-sql.XXXXXX") || exit 99
chmod 755 "$dir"
trap '"$pgcluster" destroy "$dir/pg"; rm -rf "$dir"' EXIT
trap 'exit 99' HUP INT TERM

"$pgcluster" start --fast "$dir/pg"
status=$?
if [ $status -eq 69 ]; then
	echo 'skipped: no PostgreSQL server programs'
	exit 77
elif [ $status -ne 0 ]; then
	exit 99
fi

[ $# -gt 0 ] || set -- "$builddir"/tests/sql/test_*
failed=
count=0
for program; do
	name=$(basename "$program")
	program=$builddir/tests/sql/$name
	case $name in *.*) continue ;; esac
	[ -f "$program" ] && [ -x "$program" ] || continue
	"$pgcluster" dropdb "$dir/pg" "$name" && "$pgcluster" createdb "$dir/pg" "$name" || exit 99
	NORN_TEST_CONNINFO=$("$pgcluster" conninfo "$dir/pg" "$name")
	NORN_TEST_CLUSTER=$dir/pg
	NORN_TEST_PGCLUSTER=$pgcluster
	export NORN_TEST_CONNINFO NORN_TEST_CLUSTER NORN_TEST_PGCLUSTER
	echo "== $name"
	count=$((count + 1))
	"$program" || failed="$failed $name"
done
if [ $count -eq 0 ]; then
	echo 'no test programs found: build them with make check'
	exit 99
fi
[ -z "$failed" ] || echo "failed:$failed"
[ -z "$failed" ]
