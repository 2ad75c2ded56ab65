#!/bin/sh
# The manual pages know every command, every option and every configuration key.
set -eu
cd "$NORN_SRCDIR/man"
norn=$NORN_BUILDDIR/norn
bad=0

missing()
{
	printf '%s is not in %s\n' "$1" "$2"
	bad=1
}

# Lines "  name ARGS   summary" of a help, the name being lower-case words.
names_in()
{
	sed -n '/^Options/q; s/^  \([a-z]*\( [a-z]\{1,\}\)\{0,1\}\) .*/\1/p' | sed 's/ $//'
}

check_command()
{
	grep -q "^\.It Ic $1\( \|$\)" norn.1 || missing "norn $1" norn.1
	# shellcheck disable=SC2086 # a command is one to three words
	"$norn" $1 --help | sed -n '/^Options:/,/^$/s/^  -\{1,2\}\([a-z-]*\).*/\1/p' >"$opts"
	while read -r opt; do
		grep -q -e "Fl -\{0,1\}$opt\( \|$\)" -e ", -$opt\( \|$\)" norn.1 ||
			missing "option $opt of norn $1" norn.1
	done <"$opts"
}

opts=$(mktemp)
trap 'rm -f "$opts"' EXIT
commands=0
groups=$("$norn" --help | sed -n '/^Groups/,/^$/s/^  \([a-z]\{1,\}\) .*/\1/p')
for cmd in run why log gc version; do
	check_command "$cmd"
done
for group in $groups; do
	for cmd in $("$norn" "$group" --help | names_in | sed 's/ /_/'); do
		cmd=$(printf '%s' "$cmd" | tr _ ' ')
		case $group-$cmd in
		site-ca*) cmd='ca init' ;;
		*) cmd=${cmd%% *} ;;
		esac
		check_command "$group $cmd"
		commands=$((commands + 1))
	done
done
[ "$commands" -ge 20 ] || missing "most of norn --help ($commands commands)" 'what this test reads'

keys=$(sed -n 's/^[^"]*[({]"\([a-z_]*\.[a-z_0-9]*\)",.*/\1/p' ../src/store/node_conf.c)
[ "$(printf '%s\n' "$keys" | wc -l)" -ge 40 ] || missing 'the table of options' 'what this test reads'
for key in $keys; do
	grep -q "^\.It Cm $key$" norn.yaml.5 || missing "$key" norn.yaml.5
done

if command -v mandoc >/dev/null; then
	mandoc -T lint -W error ./*.[158] || bad=1
fi
exit "$bad"
