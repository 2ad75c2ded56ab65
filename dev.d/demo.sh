# ./dev demo: the main job of Norn, from nothing.

DEMO_NAMESPACE=demo
EXAMPLE=$SRC/examples/hetero_lr

demo_data()
{
	[ -s "$DEMO/files/guest.csv" ] && [ -s "$DEMO/files/host.csv" ] ||
		"$EXAMPLE/prepare.sh" "$DEMO/files"
}

# demo_upload SITE TABLE [options]: nothing to do when the table is there.
demo_upload()
{
	s=$1 table=$2
	shift 2
	norn_at "$s" table show "$DEMO_NAMESPACE" "$table" && return 0
	norn_at "$s" data upload "$DEMO/files/$s.csv" --namespace "$DEMO_NAMESPACE" --name "$table" \
		--id id "$@"
}

demo_uploads()
{
	demo_upload guest breast_guest --label y && demo_upload host breast_host
}

demo_up()
{
	mkdir -p "$DEMO"
	STEP_LOGS=$DEMO/dev-logs
	deps_install
	step build "in ${BUILD#"$SRC/"}" build_tree "$BUILD"
	step database 'a private PostgreSQL, one database a site' sites_database
	step certificates 'a demo CA, one certificate a site' sites_certificates
	ports_choose
	step sites 'guest 9999, host 10000, arbiter 10001' sites_start
	step data 'Wisconsin diagnostic breast cancer, split by columns' demo_data
	step upload 'guest and host, each its own columns' demo_uploads
}

demo_results()
{
	job=$1
	printf '\n%sEvaluation of the model%s\n\n' "$BOLD" "$RESET"
	norn_at guest metric show "$job" evaluation_0 --scalars
	printf '\n%sTraining loss%s\n\n' "$BOLD" "$RESET"
	demo_loss "$job"
	cat <<WHERE

${BOLD}Where things are${RESET}
  models   $DEMO/{guest,host}/data/models/$job
  tables   $DEMO/{guest,host}/data/tables/$job
  logs     $DEMO/{guest,host,arbiter}/logs/$job
  servers  $DEMO/{guest,host,arbiter}/logs/norn
WHERE
}

# The arbiter alone sees the loss in the clear.
demo_loss()
{
	for s in guest arbiter; do
		norn_at "$s" metric show "$1" lr_0 --role "$s" --curves 2>/dev/null && return 0
	done
	echo 'dev: no loss curve was recorded' >&2
	return 1
}

demo_next()
{
	norn=$BUILD/norn
	case $PWD in
	"$SRC") [ "$BUILD" != "$SRC/build" ] || norn=build/norn ;;
	esac
	cat <<NEXT

${BOLD}Try next${RESET}
  export NORN_URL=$(site_url guest)
  $norn job show $1
  $norn model show $1 lr_0
  $norn log $1 psi_0
The sites stay up; ./dev down stops them.
NEXT
}

demo_train()
{
	printf '\n%sTraining%s  norn run examples/hetero_lr/job.yaml\n\n' "$BOLD" "$RESET"
	# An interrupt detaches norn from the job and must not end this script before it has spoken.
	trap : INT
	rc=0
	norn_at guest run "$EXAMPLE/job.yaml" --id-file "$DEMO/last-job" || rc=$?
	trap 'exit 130' INT
	[ "$rc" -eq 0 ] || return "$rc"
	demo_results "$(cat "$DEMO/last-job")"
}

demo_run()
{
	once=$1
	[ "$once" = no ] || trap 'demo_stop_quietly' EXIT
	[ "$once" = no ] || trap 'exit 130' INT TERM HUP
	printf '%sNorn demo%s  %s\n\n' "$BOLD" "$RESET" "$DEMO"
	demo_up
	rc=0
	demo_train || rc=$?
	if [ "$rc" -ne 0 ]; then
		[ "$once" = yes ] || printf '\nThe sites stay up; ./dev down stops them.\n' >&2
		exit "$rc"
	fi
	[ "$once" = yes ] || demo_next "$(cat "$DEMO/last-job")"
}

demo_stop_quietly()
{
	rc=$?
	trap - EXIT
	sites_stop >>"$DEMO/dev-logs/stop.log" 2>&1 ||
		printf 'dev: stopping failed, see %s\n' "$DEMO/dev-logs/stop.log" >&2
	exit "$rc"
}

demo_down()
{
	[ -d "$DEMO" ] || die 1 "there is no demo in $DEMO"
	STEP_LOGS=$DEMO/dev-logs
	step down 'sites and database' sites_stop
	note "data stay in $DEMO; remove it to start afresh"
}

demo_status()
{
	up=0
	for s in $SITES; do
		if pid=$(site_pid "$s"); then
			up=$((up + 1))
			printf '  %-8s party %-6s %s  process %s\n' "$s" "$(site_party "$s")" \
				"$(site_url "$s")" "$pid"
		else
			printf '  %-8s party %-6s down\n' "$s" "$(site_party "$s")"
		fi
	done
	if [ -d "$DEMO/pg" ] && pg status >/dev/null 2>&1; then
		printf '  %-8s %s\n' postgres "up, $DEMO/pg"
	else
		printf '  %-8s %s\n' postgres down
	fi
	[ "$up" -eq 3 ] || return 1
}
