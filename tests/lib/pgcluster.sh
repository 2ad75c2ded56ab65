#!/bin/sh
# A private PostgreSQL cluster for tests and demonstrations: no TCP, a socket in a directory that only its
# owner may enter.
#
#   pgcluster.sh start [--fast] DIR [PORT]    make it if need be, and start it; nothing happens when it runs
#   pgcluster.sh stop DIR [fast|immediate]    stop it; the data stay
#   pgcluster.sh restart DIR [fast|immediate]
#   pgcluster.sh status DIR                   exit status 0 when it runs
#   pgcluster.sh createdb DIR NAME            make a database unless it exists
#   pgcluster.sh dropdb DIR NAME              remove a database, sessions in it included
#   pgcluster.sh conninfo DIR DATABASE        print a libpq connection string
#   pgcluster.sh destroy DIR                  stop it and remove data, socket and log
#
# PORT only names the socket (default 5432). --fast gives up durability against a crash of the machine.
# PostgreSQL refuses to run as root; it then runs as the user "postgres", or "nobody". When that user cannot
# reach DIR, the data go to a directory under /var/tmp, which DIR/home names.
# Exit status 69: no PostgreSQL server programs were found.
set -eu

die() {
	printf 'pgcluster: %s\n' "$1" >&2
	exit "${2:-1}"
}

usage() {
	sed -n 's/^#   //p' "$0" >&2
	exit 64
}

find_bin() {
	for dir in "${NORN_PG_BINDIR:-}" $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5,5nr) \
		"$(pg_config --bindir 2>/dev/null || :)" "$(dirname "$(command -v postgres 2>/dev/null || echo .)")" \
		/usr/pgsql-*/bin /usr/local/pgsql/bin; do
		if [ -x "$dir/initdb" ] && [ -x "$dir/pg_ctl" ] && [ -x "$dir/postgres" ]; then
			printf '%s\n' "$dir"
			return
		fi
	done
	die 'no PostgreSQL server programs found (install the package postgresql, or set NORN_PG_BINDIR)' 69
}

# Run a command as the owner of the cluster.
as_owner() {
	if [ "$OWNER" = "$ME" ]; then
		"$@"
	elif command -v runuser >/dev/null 2>&1; then
		runuser -u "$OWNER" -- "$@"
	elif command -v setpriv >/dev/null 2>&1; then
		setpriv --reuid="$OWNER" --regid="$(id -g "$OWNER")" --init-groups -- "$@"
	else
		# shellcheck disable=SC2016
		su -s /bin/sh "$OWNER" -c '"$@"' -- sh "$@"
	fi
}

own_dir() {
	mkdir -p "$1"
	[ "$OWNER" = "$ME" ] || chown "$OWNER" "$1"
	chmod 700 "$1"
}

# Where data and socket stand: set HOME_DIR, DATA, SOCK, LOG from what `start` recorded.
locate() {
	HOME_DIR=$DIR
	[ ! -f "$DIR/home" ] || HOME_DIR=$(cat "$DIR/home")
	DATA=$HOME_DIR/data
	LOG=$HOME_DIR/log/postgresql.log
	SOCK=$HOME_DIR/sock
	[ ! -f "$DIR/sockdir" ] || SOCK=$(cat "$DIR/sockdir")
	PORT=5432
	[ ! -f "$DIR/port" ] || PORT=$(cat "$DIR/port")
}

prepare_dirs() {
	mkdir -p "$DIR"
	if [ ! -f "$DIR/home" ] && ! as_owner test -x "$DIR"; then
		mktemp -d /var/tmp/norn-pg.XXXXXX >"$DIR/home"
		locate
		[ "$OWNER" = "$ME" ] || chown "$OWNER" "$HOME_DIR"
	fi
	own_dir "$HOME_DIR/data"
	own_dir "$HOME_DIR/log"
	# A socket's path has at most 107 bytes, its name and ".lock" included.
	if [ "${#HOME_DIR}" -gt 75 ] && { [ ! -f "$DIR/sockdir" ] || [ ! -d "$SOCK" ]; }; then
		mktemp -d /tmp/norn-pg.XXXXXX >"$DIR/sockdir"
		locate
	fi
	own_dir "$SOCK"
}

init() {
	[ ! -f "$DATA/PG_VERSION" ] || return 0
	as_owner "$BIN/initdb" -D "$DATA" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$DIR/initdb.log" 2>&1 ||
		die "initdb failed: $(tail -n 3 "$DIR/initdb.log")"
	as_owner sh -c 'cat >>"$1"' sh "$DATA/postgresql.conf" <<-EOF
		listen_addresses = ''
		max_connections = 200
		logging_collector = off
		log_line_prefix = '%m [%p] %d '
	EOF
}

psql_quiet() {
	"$BIN/psql" -X -q -v ON_ERROR_STOP=1 -h "$SOCK" -p "$PORT" -U postgres "$@"
}

running() {
	[ -d "$DATA" ] && as_owner "$BIN/pg_ctl" -D "$DATA" status >/dev/null 2>&1
}

start() {
	prepare_dirs
	init
	options="-k '$SOCK' -p $PORT"
	[ -z "$FAST" ] || options="$options -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
	as_owner "$BIN/pg_ctl" -D "$DATA" -l "$LOG" -w -t 60 -o "$options" start >/dev/null ||
		die "PostgreSQL did not start: $(as_owner tail -n 5 "$LOG" 2>/dev/null)"
	# So that psql finds a role of the caller's own name.
	psql_quiet -v me="$ME" -d postgres <<-'EOF'
		SELECT format('CREATE ROLE %I SUPERUSER LOGIN', :'me')
		WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'me') \gexec
	EOF
}

stop() {
	! running || as_owner "$BIN/pg_ctl" -D "$DATA" -m "$1" -w -t 60 stop >/dev/null
}

check_name() {
	case $1 in
	'' | [!a-z_]* | *[!a-z0-9_]*) die "'$1' is not a database name: lower-case letters, digits, underscores" ;;
	esac
}

[ $# -ge 2 ] || usage
command=$1
shift
FAST=
if [ "$1" = --fast ]; then
	FAST=1
	shift
fi
[ $# -ge 1 ] && [ -n "$1" ] || usage
case $1 in
/*) DIR=$1 ;;
*) DIR=$PWD/$1 ;;
esac
shift
# Quotes would need escaping in PostgreSQL's configuration and in connection strings.
case $DIR in *[\'\\]*) die "the directory name must not hold quotes or backslashes: $DIR" ;; esac
unset PGHOST PGHOSTADDR PGPORT PGDATABASE PGUSER PGDATA PGOPTIONS PGSERVICE PGSSLMODE PGPASSFILE PGPASSWORD
ME=$(id -un)
OWNER=$ME
if [ "$(id -u)" = 0 ]; then
	OWNER=nobody
	! id postgres >/dev/null 2>&1 || OWNER=postgres
fi
BIN=$(find_bin)
# The owner may not be allowed to stand where the caller stands.
cd /
locate

case $command in
start)
	if ! running; then
		if [ $# -ge 1 ]; then
			case $1 in '' | *[!0-9]*) die "'$1' is not a port number" ;; esac
			mkdir -p "$DIR"
			echo "$1" >"$DIR/port"
			locate
		fi
		start
	fi
	;;
stop)
	stop "${1:-fast}"
	;;
restart)
	[ -f "$DATA/PG_VERSION" ] || die "no cluster in $DIR"
	# pg_ctl gives the server the options it was started with; a stopped one is started
	as_owner "$BIN/pg_ctl" -D "$DATA" -m "${1:-fast}" -w -t 60 -l "$LOG" restart >/dev/null 2>&1 ||
		die "PostgreSQL did not start again: $(as_owner tail -n 5 "$LOG" 2>/dev/null)"
	;;
status)
	if running; then
		echo running
	else
		echo stopped
		exit 3
	fi
	;;
createdb)
	[ $# -eq 1 ] || usage
	check_name "$1"
	psql_quiet -v name="$1" -d postgres <<-'EOF'
		SELECT format('CREATE DATABASE %I', :'name')
		WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
	EOF
	;;
dropdb)
	[ $# -eq 1 ] || usage
	check_name "$1"
	PGOPTIONS='-c client_min_messages=warning' psql_quiet -d postgres \
		-c "DROP DATABASE IF EXISTS $1 WITH (FORCE)"
	;;
conninfo)
	[ $# -eq 1 ] || usage
	check_name "$1"
	printf "host='%s' port=%s dbname=%s user=postgres\n" "$SOCK" "$PORT" "$1"
	;;
destroy)
	stop immediate
	rm -rf "$DATA" "$HOME_DIR/log" "$SOCK" "$DIR/initdb.log" "$DIR/port" "$DIR/sockdir"
	if [ -f "$DIR/home" ]; then
		rm -rf "$HOME_DIR" "$DIR/home"
	fi
	rmdir "$DIR" 2>/dev/null || :
	;;
*)
	usage
	;;
esac
