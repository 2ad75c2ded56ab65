# Progress lines and messages.

BOLD='' DIM='' RED='' GREEN='' RESET='' TTY=no
if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
	TTY=yes
	if [ -z "${NO_COLOR:-}" ]; then
		ESC=$(printf '\033')
		BOLD="$ESC[1m" DIM="$ESC[2m" RED="$ESC[31m" GREEN="$ESC[32m" RESET="$ESC[0m"
	fi
fi

# die STATUS TEXT...
die()
{
	status=$1
	shift
	printf 'dev: %s\n' "$*" >&2
	exit "$status"
}

note()
{
	printf '                %s\n' "$*"
}

# Hundredths of a second since some fixed moment.
now_cs()
{
	read -r up _ </proc/uptime
	printf '%s\n' "${up%.*}${up#*.}"
}

# elapsed START: "3.2 s"
elapsed()
{
	cs=$(($(now_cs) - $1))
	printf '%d.%d s\n' $((cs / 100)) $((cs % 100 / 10))
}

# step NAME DETAIL COMMAND...: one progress line; the command's output goes to a file whose end
# is shown when it fails. The script ends then: nothing after a failed step can work.
step()
{
	step_name=$1 step_detail=$2
	shift 2
	step_start=$(now_cs)
	step_log=${STEP_LOGS:-$SRC/.norn/logs}/$step_name.log
	mkdir -p "$(dirname "$step_log")"
	[ "$TTY" = no ] || printf '  %-13s %s%s ...%s' "$step_name" "$DIM" "$step_detail" "$RESET"
	STEP_SAYS=''
	step_rc=0
	"$@" >"$step_log" 2>&1 </dev/null || step_rc=$?
	[ "$TTY" = no ] || printf '\r\033[K'
	if [ "$step_rc" -ne 0 ]; then
		printf '  %-13s %sfailed%s %s (%s)\n' "$step_name" "$RED" "$RESET" "$step_detail" \
			"$(elapsed "$step_start")"
		{
			printf '\n'
			tail -n 25 "$step_log" | sed 's/^/    /'
			printf '\ndev: %s failed; the whole output is in %s\n' "$step_name" "$step_log"
		} >&2
		exit 1
	fi
	printf '  %-13s %sok%s %8s  %s%s%s\n' "$step_name" "$GREEN" "$RESET" "$(elapsed "$step_start")" \
		"$DIM" "${STEP_SAYS:-$step_detail}" "$RESET"
}
