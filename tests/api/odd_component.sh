#!/bin/sh
# A component that misbehaves as its parameter `deed` says; called as the task protocol says:
#   odd_component.sh component execute --config FILE --execution-final-meta-path FILE
set -u
config=$4
result=$6
deed=$(sed -n 's/.*"deed": *"\([a-z_]*\)".*/\1/p' "$config")

succeed() {
	printf '{"status": {"code": 0, "exceptions": ""}, "io_meta": {"inputs": {}, "outputs": {}}}' >"$result"
	exit 0
}

case $deed in
fine) succeed ;;
deaf)
	trap '' TERM INT HUP
	echo 'not listening' >&2
	while :; do sleep 1; done
	;;
forks)
	# The children are in sessions of their own, do not listen, and have children themselves.
	for _ in 1 2 3; do
		setsid sh -c "trap '' TERM HUP; sleep 600 & sleep 600; : $result" </dev/null >/dev/null 2>&1 &
	done
	succeed
	;;
holds_log)
	# The child keeps the component's standard output open.
	setsid sh -c "echo child; sleep 600; : $result" &
	succeed
	;;
fills_log)
	yes 'a line that says nothing, again and again' | head -c 3000000
	yes 'a complaint that says nothing, again and again' | head -c 3000000 >&2
	succeed
	;;
fills_log_and_fails)
	yes 'a complaint that says nothing, again and again' | head -c 3000000 >&2
	echo 'the last words' >&2
	exit 3
	;;
no_result) exit 0 ;;
bad_result)
	echo '{"status": {"code": 0' >"$result"
	exit 0
	;;
pipe_as_result)
	mkfifo "$result"
	exit 0
	;;
huge_result)
	truncate -s 1G "$result"
	exit 0
	;;
bad_outputs)
	echo '{"status": {"code": 0}, "io_meta": {"outputs": {"data": {"../up": {"uri": 7, "type_name": []}}}}}' >"$result"
	exit 0
	;;
success_but_status)
	echo '{"status": {"code": 0}}' >"$result"
	exit 9
	;;
signal) kill -SEGV $$ ;;
killed) kill -KILL $$ ;;
suspends)
	kill -STOP $$
	;;
*)
	echo "unknown deed '$deed'" >&2
	exit 2
	;;
esac
