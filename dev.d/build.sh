# Out-of-tree builds.

# build_tree DIR [configure arguments]: configures once (again when the arguments change), then
# makes everything, or what BUILD_TARGET lists. Automake cannot take blanks in the source path, so a build below the source
# tree names it relatively.
build_tree()
{
	dir=$1
	shift
	if [ ! -x "$SRC/configure" ] || [ ! -f "$SRC/Makefile.in" ]; then
		(cd "$SRC" && autoreconf -fi) || return 1
	fi
	mkdir -p "$dir" || return 1
	if [ ! -f "$dir/Makefile" ] || [ "$(cat "$dir/.configured" 2>/dev/null)" != "$*" ]; then
		case $(dirname "$dir") in
		"$SRC") configure=../configure ;;
		*) configure=$SRC/configure ;;
		esac
		(cd "$dir" && "$configure" -q "$@") || return 1
		printf '%s\n' "$*" >"$dir/.configured"
	fi
	# shellcheck disable=SC2086 # a list of words
	make -C "$dir" -j"$(build_jobs)" -s ${BUILD_TARGET:-all}
}

build_jobs()
{
	n=$(nproc 2>/dev/null || echo 2)
	[ "$n" -le 8 ] || n=8
	echo "$n"
}
