# The demo's sites: one private PostgreSQL cluster, one nornd each. All state is below $DEMO.

SITES='guest host arbiter'
START_SECONDS=30

site_party()
{
	case $1 in
	guest) echo 9999 ;;
	host) echo 10000 ;;
	arbiter) echo 10001 ;;
	esac
}

pg()
{
	cmd=$1
	shift
	"$SRC/tests/lib/pgcluster.sh" "$cmd" "$DEMO/pg" "$@"
}

norn_at()
{
	site=$1
	shift
	"$BUILD/norn" --url "$(site_url "$site")" "$@"
}

# ---- ports: chosen once, kept in $DEMO/ports as NAME=NUMBER lines ----

port_of()
{
	sed -n "s/^$1=//p" "$DEMO/ports" 2>/dev/null
}

site_url()
{
	echo "http://127.0.0.1:$(port_of "$1_client")"
}

port_busy()
{
	cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
		awk -v want="$(printf '%04X' "$1")" \
			'$4 == "0A" { n = split($2, a, ":"); if (a[n] == want) found = 1 } END { exit !found }'
}

# port_choose NAME DEFAULT: keeps the default when it is free, else looks above all defaults.
port_choose()
{
	port=$2
	if port_busy "$port"; then
		port=9400
		while port_busy "$port" || grep -q "=$port\$" "$DEMO/ports.new"; do
			port=$((port + 1))
		done
		PORTS_TAKEN="$PORTS_TAKEN $2"
	fi
	echo "$1=$port" >>"$DEMO/ports.new"
}

# Ports of sites that run stay; with none running they are chosen afresh.
ports_choose()
{
	PORTS_TAKEN=''
	for s in $SITES; do
		if site_pid "$s" >/dev/null; then
			[ -s "$DEMO/ports" ] && return 0
		fi
	done
	: >"$DEMO/ports.new"
	n=0
	for s in $SITES; do
		port_choose "${s}_client" $((9380 + n))
		port_choose "${s}_peer" $((9370 + n))
		n=$((n + 1))
	done
	if cmp -s "$DEMO/ports.new" "$DEMO/ports"; then
		rm -f "$DEMO/ports.new"
	else
		mv "$DEMO/ports.new" "$DEMO/ports"
	fi
	[ -n "$PORTS_TAKEN" ] || return 0
	note "taken:$PORTS_TAKEN; clients of guest, host, arbiter at" \
		"$(port_of guest_client), $(port_of host_client), $(port_of arbiter_client)"
}

# ---- processes ----

# The process id when the site's node runs. The command line is compared, since ids are reused.
site_pid()
{
	pid=$(cat "$DEMO/$1/nornd.pid" 2>/dev/null) || return 1
	[ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] || return 1
	tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$DEMO/$1/norn.yaml" || return 1
	echo "$pid"
}

yaml_quote()
{
	printf "'%s'" "$(printf '%s' "$1" | sed "s/'/''/g")"
}

site_config()
{
	s=$1
	mkdir -p "$DEMO/$s/data" "$DEMO/$s/logs" || return 1
	chmod 700 "$DEMO/$s" || return 1
	url=$(pg conninfo "norn_$s") || return 1
	umask 077
	cat >"$DEMO/$s/norn.yaml.new" <<YAML || return 1
# Written by ./dev demo.
site:
  name: $s
  parties: ["$(site_party "$s")"]
node:
  name: $s-1
dirs:
  data: $(yaml_quote "$DEMO/$s/data")
  logs: $(yaml_quote "$DEMO/$s/logs")
database:
  url: $(yaml_quote "$url")
http:
  listen: "127.0.0.1:$(port_of "${s}_client")"
peer:
  listen: "127.0.0.1:$(port_of "${s}_peer")"
  ca: $(yaml_quote "$DEMO/$s/tls/ca.crt")
  cert: $(yaml_quote "$DEMO/$s/tls/$s.crt")
  key: $(yaml_quote "$DEMO/$s/tls/$s.key")
components:
  norn_component: $(yaml_quote "$BUILD/norn-component")
  norn_run: $(yaml_quote "$BUILD/norn-run")
YAML
	umask 022
	if cmp -s "$DEMO/$s/norn.yaml.new" "$DEMO/$s/norn.yaml"; then
		rm -f "$DEMO/$s/norn.yaml.new"
	else
		mv "$DEMO/$s/norn.yaml.new" "$DEMO/$s/norn.yaml"
	fi
}

# A node started before the program or its configuration changed is replaced.
site_is_stale()
{
	[ "$BUILD/nornd" -nt "$DEMO/$1/nornd.pid" ] || [ "$DEMO/$1/norn.yaml" -nt "$DEMO/$1/nornd.pid" ]
}

site_start()
{
	s=$1
	if site_pid "$s" >/dev/null; then
		site_is_stale "$s" || return 0
		site_stop "$s"
	fi
	if ! "$BUILD/nornd" --config "$DEMO/$s/norn.yaml" --migrate; then
		echo "a demo of another version? then ./dev down, and remove $DEMO"
		return 1
	fi
	# shellcheck disable=SC2016 # expanded by the inner shell
	setsid sh -c 'echo $$ >"$1"; exec "$2" --config "$3"' sh "$DEMO/$s/nornd.pid" "$BUILD/nornd" \
		"$DEMO/$s/norn.yaml" >"$DEMO/$s/logs/nornd.out" 2>&1 </dev/null &
}

site_wait()
{
	s=$1
	norn_at "$s" server ready --wait "$START_SECONDS" && return 0
	if site_pid "$s" >/dev/null; then
		echo "site $s runs but is not ready after $START_SECONDS seconds; the end of its log:"
	else
		echo "site $s ended while starting; the end of its log:"
	fi
	tail -n 15 "$DEMO/$s/logs/nornd.out" "$DEMO/$s/logs/norn/nornd.log" 2>/dev/null
	return 1
}

site_stop()
{
	pid=$(site_pid "$1") || return 0
	kill -TERM "$pid" 2>/dev/null || return 0
	tries=150
	while site_pid "$1" >/dev/null; do
		tries=$((tries - 1))
		if [ "$tries" -eq 0 ]; then
			echo "site $1 did not stop in 15 s: killing process $pid"
			kill -KILL "$pid" 2>/dev/null || :
			break
		fi
		sleep 0.1
	done
	rm -f "$DEMO/$1/nornd.pid"
}

# ---- what the demo's steps call ----

sites_database()
{
	pg start || return 1
	for s in $SITES; do
		pg createdb "norn_$s" || return 1
	done
}

sites_certificates()
{
	[ -f "$DEMO/ca/ca.crt" ] || "$BUILD/norn" site ca init "$DEMO/ca" || return 1
	for s in $SITES; do
		mkdir -p "$DEMO/$s/tls" || return 1
		[ -f "$DEMO/$s/tls/$s.crt" ] || "$BUILD/norn" site cert "$DEMO/ca" "$s" \
			--party "$(site_party "$s")" --host 127.0.0.1 --out "$DEMO/$s/tls" || return 1
		cp "$DEMO/ca/ca.crt" "$DEMO/$s/tls/ca.crt" || return 1
	done
}

sites_start()
{
	for s in $SITES; do
		site_config "$s" && site_start "$s" || return 1
	done
	for s in $SITES; do
		site_wait "$s" || return 1
	done
	for s in $SITES; do
		for other in $SITES; do
			[ "$s" = "$other" ] || norn_at "$s" site add "$(site_party "$other")" \
				"https://127.0.0.1:$(port_of "${other}_peer")" || return 1
		done
	done
}

sites_stop()
{
	for s in $SITES; do
		site_stop "$s"
	done
	[ ! -d "$DEMO/pg" ] || pg stop
}
