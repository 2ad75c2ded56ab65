# What Norn needs to be built and tried, and how to get it.

# One "Debian package|kind|what shows that it is there" a line.
DEPS='build-essential|command|cc make
autoconf|command|autoreconf
automake|command|automake aclocal
pkg-config|command|pkg-config
libpq-dev|module|libpq
libevent-dev|module|libevent_core libevent_openssl
libjansson-dev|module|jansson
libssl-dev|module|openssl
libyaml-dev|module|yaml-0.1
check|module|check
postgresql|server|initdb
python3|command|python3
python3-venv|pymodule|venv ensurepip'

# Debian 12's first libevent with the HTTP fixes of 2026.
LIBEVENT_FIXED='2.1.12-stable-8+deb12u1'

server_program()
{
	command -v "$1" >/dev/null 2>&1 && return 0
	for f in /usr/lib/postgresql/*/bin/"$1" /usr/pgsql-*/bin/"$1" /usr/local/pgsql/bin/"$1"; do
		[ -x "$f" ] && return 0
	done
	return 1
}

dep_present()
{
	kind=$1
	shift
	for what; do
		case $kind in
		command) command -v "$what" >/dev/null 2>&1 || return 1 ;;
		pymodule) python3 -c "import $what" 2>/dev/null || return 1 ;;
		module) pkg-config --exists "$what" 2>/dev/null || return 1 ;;
		server) server_program "$what" || return 1 ;;
		esac
	done
}

deps_missing()
{
	printf '%s\n' "$DEPS" | while IFS='|' read -r package kind what; do
		# shellcheck disable=SC2086 # a list of words
		dep_present "$kind" $what || printf '%s ' "$package"
	done
}

# libevent of Debian 12 from before its security update.
libevent_is_old()
{
	command -v dpkg-query >/dev/null 2>&1 || return 1
	[ -r /etc/os-release ] || return 1
	(. /etc/os-release && [ "${ID:-}" = debian ] && [ "${VERSION_ID:-}" = 12 ]) || return 1
	have=$(dpkg-query -W -f '${Version}' libevent-core-2.1-7 2>/dev/null) || return 1
	dpkg --compare-versions "$have" lt "$LIBEVENT_FIXED"
}

as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# Debian's server package makes and starts a system cluster, which nobody asked for; a drop-in file
# that exists only while apt runs says not to.
CLUSTER_DROPIN=/etc/postgresql-common/createcluster.d/norn-dev.conf

apt_install()
{
	as_root apt-get update -q || return 1
	case " $* " in
	*' postgresql '*)
		as_root env DEBIAN_FRONTEND=noninteractive \
			apt-get install -q -y --no-install-recommends postgresql-common || return 1
		as_root mkdir -p "$(dirname "$CLUSTER_DROPIN")" || return 1
		echo 'create_main_cluster = false' | as_root tee "$CLUSTER_DROPIN" >/dev/null || return 1
		;;
	esac
	rc=0
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -q -y --no-install-recommends "$@" || rc=$?
	[ ! -e "$CLUSTER_DROPIN" ] || as_root rm -f "$CLUSTER_DROPIN"
	return "$rc"
}

deps_install()
{
	missing=$(deps_missing)
	if libevent_is_old; then
		missing="${missing}libevent-dev libevent-core-2.1-7 libevent-extra-2.1-7 "
		missing="${missing}libevent-openssl-2.1-7 libevent-pthreads-2.1-7 libevent-2.1-7 "
	fi
	missing=${missing% }
	[ -n "$missing" ] || return 0
	if ! command -v apt-get >/dev/null 2>&1; then
		die 1 "please install what Debian calls: $missing"
	fi
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null 2>&1 ||
			die 1 "neither root nor sudo; as root: apt-get install $missing"
		# Ask for the password here, where it can be seen.
		sudo -v || die 1 "sudo refused; as root: apt-get install $missing"
	fi
	# shellcheck disable=SC2086 # a list of words
	step packages "$missing" apt_install $missing
	missing=$(deps_missing)
	[ -z "$missing" ] || die 1 "still missing after the installation: $missing"
}
