#!/bin/sh
# etc/norn.yaml lists what the program knows, and nothing else.
set -eu
sample=$NORN_SRCDIR/etc/norn.yaml
n=$(grep -c '^#' "$sample" || true)
[ "$n" -gt 5 ] || { echo "etc/norn.yaml has lost its head"; exit 1; }
sed '1,/^$/d' "$sample" > config_sample.want
"$NORN_BUILDDIR/nornd" --help-config > config_sample.got
if ! cmp -s config_sample.want config_sample.got; then
	echo "etc/norn.yaml differs from nornd --help-config:"
	diff config_sample.want config_sample.got || true
	exit 1
fi
rm -f config_sample.want config_sample.got
