#!/bin/sh
# The manual pages know every command, every option and every configuration key.
set -eu
cd "$NORN_SRCDIR/man"
norn=$NORN_BUILDDIR/norn
docs=$NORN_BUILDDIR/norn-docs
bad=0

missing()
{
	printf '%s is not in %s\n' "$1" "$2"
	bad=1
}

# The commands without a group stand in norn.1, by hand.
opts=$(mktemp)
trap 'rm -f "$opts"' EXIT
commands=0
for cmd in $("$norn" --help | sed -n '/^Groups/q; s/^  \([a-z]\{1,\}\) .*/\1/p'); do
	grep -q "^\.It Ic $cmd\( \|$\)" norn.1 || missing "norn $cmd" norn.1
	"$norn" "$cmd" --help | sed -n '/^Options:/,/^$/s/^  -\{1,2\}\([a-z-]*\).*/\1/p' >"$opts"
	while read -r opt; do
		grep -q -e "Fl -\{0,1\}$opt\( \|$\)" -e ", -$opt\( \|$\)" norn.1 ||
			missing "option $opt of norn $cmd" norn.1
	done <"$opts"
	commands=$((commands + 1))
done
[ "$commands" -ge 7 ] || missing "most of norn --help ($commands commands)" 'what this test reads'

# Those of a group have a page that is made from the same tables as the help.
pages=0
for page in $("$docs" pages); do
	"$docs" man "$page" | cmp -s - "norn-$page.1" || missing "what \`make docs\` makes" "norn-$page.1"
	grep -q "^\.It Xr norn-$page 1 " norn.1 || missing "norn-$page(1)" norn.1
	pages=$((pages + 1))
done
[ "$pages" -ge 12 ] || missing "most of norn-docs pages ($pages)" 'what this test reads'
"$docs" completion | cmp -s - ../etc/norn.bash-completion ||
	missing 'what `make docs` makes' etc/norn.bash-completion

# Every command has a page and an example.
for group in $("$norn" --help | sed -n '/^Groups/,/^$/s/^  \([a-z]\{1,\}\) .*/\1/p'); do
	page=$group
	[ "$group" != component ] || page=provider
	for cmd in $("$norn" "$group" --help | sed -n '/^Options/q; s/^  \([a-z][a-z-]*\).*/\1/p'); do
		grep -q "^\.It Ic $group $cmd\( \|$\)" "norn-$page.1" || missing "norn $group $cmd" "norn-$page.1"
		[ "$group $cmd" != 'site ca' ] || cmd='ca init'
		# shellcheck disable=SC2086 # a command is one or two words
		"$norn" "$group" $cmd --help | grep -q "^  norn $group $cmd" ||
			missing 'an example' "norn $group $cmd --help"
	done
done

keys=$(sed -n 's/^[^"]*[({]"\([a-z_]*\.[a-z_0-9]*\)",.*/\1/p' ../src/store/node_conf.c)
[ "$(printf '%s\n' "$keys" | wc -l)" -ge 40 ] || missing 'the table of options' 'what this test reads'
for key in $keys; do
	grep -q "^\.It Cm $key$" norn.yaml.5 || missing "$key" norn.yaml.5
done

if command -v mandoc >/dev/null; then
	mandoc -T lint -W error ./*.[158] || bad=1
fi
exit "$bad"
