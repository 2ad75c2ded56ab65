#!/bin/sh
# etc/norn.yaml lists what the program knows, and nothing else.
set -eu
sample=$NORN_SRCDIR/etc/norn.yaml
n=$(grep -c '^#' "$sample" || true)
[ "$n" -gt 5 ] || { echo "etc/norn.yaml has lost its head"; exit 1; }
sed '1,/^$/d' "$sample" > config_sample.want
# The defaults of two paths depend on the prefix that was configured.
"$NORN_BUILDDIR/nornd" --help-config |
	sed 's#"/.*/bin/norn-component"#"/usr/local/bin/norn-component"#; s#"/.*/norn/norn-run"#"/usr/local/libexec/norn/norn-run"#' \
	> config_sample.got
if ! cmp -s config_sample.want config_sample.got; then
	echo "etc/norn.yaml differs from nornd --help-config:"
	diff config_sample.want config_sample.got || true
	exit 1
fi
rm -f config_sample.want config_sample.got
