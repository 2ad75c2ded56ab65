#!/bin/sh
# The scripts that turn sql/ into C: what they take, and what they must refuse.
set -u
srcdir=${NORN_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
awk=${AWK:-awk}
cc=${CC:-cc}
dir=$(mktemp -d "${TMPDIR:-/tmp}/norn-gen.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 99
mkdir db
failed=0

fail() {
	echo "FAIL: $1"
	failed=1
}

statements() {
	$awk -v out="$1" -f "$srcdir/src/db/gen_quote.awk" -f "$srcdir/src/db/gen_statements.awk" "$2" "$3" 2>message
}

refused() {
	printf '%b' "$2" >bad.sql
	if statements c good.sql bad.sql >out.c; then
		fail "$1: accepted"
	elif ! grep -q "^bad.sql:.*$3" message; then
		fail "$1: said '$(cat message)'"
	fi
}

cat >good.sql <<'E2'
-- A file's own comment; with a semicolon
-- name: first_one
-- what it does
SELECT 'a\b"??/c',	1;

-- between two
-- name: second
SELECT 2,
-- inside; it stays
  3
;
E2
printf -- '-- name: third\r\nSELECT 4' >more.sql
statements h good.sql more.sql >db/statements.h || fail "header: $(cat message)"
statements c good.sql more.sql >statements.c || fail "source: $(cat message)"
cat >main.c <<'E2'
#include "db/statements.h"
#include <stdio.h>
int main(void)
{
	for (int i = 0; i < Q_COUNT; i++)
		printf("%s=%s|", db_stmt_name((enum db_stmt)i), db_stmt_sql((enum db_stmt)i));
	return !(Q_FIRST_ONE == 0 && Q_SECOND == 1 && Q_THIRD == 2 && db_stmt_count() == 3);
}
E2
$cc -I. -o main main.c statements.c || fail 'the generated files do not compile'
./main >actual || fail 'the enumeration is wrong'
cat >expected <<'E2'
first_one=SELECT 'a\b"??/c',	1
|second=SELECT 2,
-- inside; it stays
  3

|third=SELECT 4
|
E2
echo >>actual
cmp -s actual expected || fail "texts differ: $(diff expected actual)"

refused 'duplicate name' '-- name: second\nSELECT 1;\n' 'stands already in good.sql:'
refused 'text before the first name' 'SELECT 1;\n-- name: x\nSELECT 1;\n' 'before the first'
refused 'text after the end' '-- name: x\nSELECT 1;\nSELECT 2;\n' 'after the end of statement x'
refused 'no text' '-- name: x\n\n-- name: y\nSELECT 1;\n' 'x has no text'
refused 'no text at the end' '-- name: x\n' 'x has no text'
refused 'bad name' '-- name: Job-Insert\nSELECT 1;\n' 'not a statement name'
refused 'reserved name' '-- name: count\nSELECT 1;\n' 'is taken'

migrations() {
	n=$1
	shift
	$awk -v files="$n" -f "$srcdir/src/db/gen_quote.awk" -f "$srcdir/src/db/gen_migrations.awk" "$@" >out.c 2>message
}

echo 'SELECT 1;' >0001_one.sql
echo 'SELECT 2;' >0002_two.sql
echo 'SELECT 3;' >0003_three.sql
: >0002_empty.sql
echo 'SELECT 1;' >0001-dash.sql
migrations 3 0001_one.sql 0002_two.sql 0003_three.sql || fail "migrations: $(cat message)"
grep -q 'db_migration_count = 3;' out.c || fail 'the number of migrations is wrong'
! migrations 2 0001_one.sql 0003_three.sql || fail 'a gap in the migrations was accepted'
! migrations 2 0001_one.sql 0001_one.sql || fail 'a number used twice was accepted'
! migrations 1 0001-dash.sql || fail 'a wrong migration name was accepted'
! migrations 2 0001_one.sql 0002_empty.sql || fail 'an empty migration was accepted'
exit $failed
