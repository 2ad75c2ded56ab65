#!/bin/sh
# Makes the demo's two tables out of the Wisconsin diagnostic breast cancer data set:
#
#   prepare.sh DIR
#
#   DIR/guest.csv   id, y, and the first 10 features
#   DIR/host.csv    id, and the other 20
#
# The data come from a package that ships them (see README.md): Debian's python3-sklearn, which is
# fetched but not installed, or else the wheel of scikit-learn. NORN_BREAST_CSV names a copy of the file
# for machines without either. y is 1 for malignant. The ids scatter the rows, which the original has in an
# order that goes with the diagnosis. Each side lacks another tenth of the rows, and the host's stand in
# another order, so that finding the common ones is real work.
set -eu

SHA256=fed3eb72d0575ef6192293f5093c6e801b1476b577d0386bf4455504522172ed
ROWS=569
IN_PACKAGE=sklearn/datasets/data/breast_cancer.csv

die()
{
	printf 'prepare.sh: %s\n' "$1" >&2
	exit 1
}

is_the_file()
{
	[ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d ' ' -f 1)" = "$SHA256" ]
}

# fetch_debian DIR: as any user; root's apt must not change to a user who cannot write there.
fetch_debian()
(
	command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || exit 1
	cd "$1"
	apt-get -q -o APT::Sandbox::User="$(id -un)" download python3-sklearn || exit 1
	dpkg-deb --fsys-tarfile python3-sklearn_*.deb |
		tar -xO "./usr/lib/python3/dist-packages/$IN_PACKAGE" >breast_cancer.csv
)

fetch_wheel()
(
	cd "$1"
	python3 -m pip -q download --no-deps --only-binary :all: -d . scikit-learn || exit 1
	python3 - "$IN_PACKAGE" <<-'PYTHON'
		import glob, sys, zipfile
		with zipfile.ZipFile(glob.glob("scikit_learn-*.whl")[0]) as wheel:
		    open("breast_cancer.csv", "wb").write(wheel.read(sys.argv[1]))
	PYTHON
)

# find_data DIR: leaves the file in DIR/breast_cancer.csv.
find_data()
{
	for f in "${NORN_BREAST_CSV:-}" "/usr/lib/python3/dist-packages/$IN_PACKAGE"; do
		if is_the_file "$f"; then
			cp "$f" "$1/breast_cancer.csv"
			return
		fi
	done
	fetch_debian "$1" && is_the_file "$1/breast_cancer.csv" && return
	fetch_wheel "$1" && is_the_file "$1/breast_cancer.csv" && return
	die "cannot get the data: neither apt-get download python3-sklearn nor pip download scikit-learn \
gave the known file; set NORN_BREAST_CSV to a copy of $IN_PACKAGE"
}

# split COLUMNS...: reads the original, writes guest.csv and host.csv into $OUT.
split()
{
	awk -F, -v out="$OUT" -v rows="$ROWS" '
	BEGIN {
		n = split("radius texture perimeter area smoothness compactness concavity " \
			  "concave_points symmetry fractal_dimension", base, " ")
		split("mean error worst", kind, " ")
		guest = "id,y"
		host = "id"
		for (k = 1; k <= 3; k++)
			for (i = 1; i <= n; i++)
				if (k == 1)
					guest = guest "," kind[k] "_" base[i]
				else
					host = host "," kind[k] "_" base[i]
		print guest >(out "/guest.csv.new")
		print host >(out "/host.csv.new")
	}
	NR == 1 { next }
	{
		sub(/\r$/, "")
		row = NR - 2
		lot = row * 37 % 100
		number = row * 7919 % 10007
		g = sprintf("p%05d,%d", number, 1 - $31)
		for (i = 1; i <= 10; i++)
			g = g "," $i
		h = sprintf("p%05d", number)
		for (i = 11; i <= 30; i++)
			h = h "," $i
		if (lot >= 10)
			at_guest[number] = g
		if (lot < 10 || lot >= 20)
			at_host[number] = h
	}
	END {
		if (NR - 1 != rows)
			exit 1
		for (i = 0; i < 10007; i++)
			if (i in at_guest)
				print at_guest[i] >(out "/guest.csv.new")
		for (i = 10006; i >= 0; i--)
			if (i in at_host)
				print at_host[i] >(out "/host.csv.new")
	}' "$1" || die "the data set does not have $ROWS rows"
	mv "$OUT/guest.csv.new" "$OUT/guest.csv"
	mv "$OUT/host.csv.new" "$OUT/host.csv"
}

[ $# -eq 1 ] && [ -n "$1" ] || die 'usage: prepare.sh DIR'
OUT=$1
mkdir -p "$OUT"
TEMP=$(mktemp -d)
trap 'rm -rf "$TEMP"' EXIT
find_data "$TEMP"
split "$TEMP/breast_cancer.csv"
for side in guest host; do
	printf '%s: %d rows\n' "$OUT/$side.csv" "$(($(wc -l <"$OUT/$side.csv") - 1))"
done
