#!/bin/sh
# cppcheck has nothing to say about the programs. Skipped where it is not installed.
set -eu
cd "$NORN_SRCDIR"
command -v cppcheck >/dev/null 2>&1 || exit 77
cppcheck --quiet --std=c11 --enable=warning,portability,performance --inline-suppr --error-exitcode=1 \
	--include=tests/lint/cppcheck.h --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches \
	--suppress=varFuncNullUB --suppress=ctunullpointer -DHAVE_CONFIG_H=1 -Isrc -Iinclude -I"$NORN_BUILDDIR" -I"$NORN_BUILDDIR/src" src
