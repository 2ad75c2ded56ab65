/* The commands without a group. */
#include "config.h"
#include "cli/cmds.h"
#include "cli/text.h"

static int cmd_version(struct cli *c)
{
	if (c->json)
		printf("{\"version\": \"%s\"}\n", PACKAGE_VERSION);
	else
		puts("norn " PACKAGE_VERSION);
	return CLI_OK;
}

int cmd_done(const struct cli *c, json_t *v)
{
	if (c->json)
		cli_print_json(v);
	json_decref(v);
	return CLI_OK;
}

size_t cmd_table_width(const struct cli *c)
{
	return c->out_tty ? (size_t)text_terminal_width() : 0;
}

static const struct cli_cmd top_cmds[] = {
    {"", "run", "FILE", 1, 1, cmd_run_opts, "submit a job and watch it",
     "Checks the job file, submits it, and shows every task at every party until the job ends.\n"
     "Ctrl-C leaves the job running and says how to come back to it.\n"
     "The exit status is the job's: 0 success, 1 failed, 5 canceled, 6 timeout; 130 after Ctrl-C.",
     "norn run examples/hetero_lr/job.yaml\n"
     "norn run job.yaml --set tasks.lr_0.parameters.epochs=5",
     cmd_run},
    {"", "why", "JOB [TASK]", 1, 2, NULL, "say why a job failed, waits or takes long",
     "The first failure with its exit code and the end of its error output, or what a waiting job\n"
     "waits for, and what to do about it.",
     "norn why 202601312359590000010", cmd_why},
    {"", "log", "JOB [TASK]", 1, 2, cmd_log_opts, "show the log of a job or of a task",
     "Without a task: the log of the scheduler about the job. With a task: its component's own log "
     "at\n"
     "one party, by default the one of this site; of a component without one, what it printed.",
     "norn log 202601312359590000010 psi_0 --stderr\n"
     "norn log 202601312359590000010 -f",
     cmd_log},
    {"", "top", "", 0, 0, cmd_top_opts, "show the site as it is now, again and again",
     "Nodes, cores and memory in use, jobs that run with their progress, jobs that wait and for "
     "what, and\n"
     "what ended last. Redrawn in place on a terminal until q or Ctrl-C; elsewhere printed once.",
     "norn top\n"
     "norn top --once --json",
     cmd_top},
    {"", "doctor", "", 0, 0, cmd_doctor_opts, "look for what is wrong, and say what to do",
     "Configuration, database, nodes, clocks, disks, certificates, ways to other sites, "
     "providers,\n"
     "reservations, leases and messages: each ok, a warning or failed. Without a node it checks "
     "what it\n"
     "can. The exit status is 0 when nothing has failed, else 1.",
     "norn doctor\n"
     "norn doctor --config /etc/norn/norn.yaml",
     cmd_doctor},
    {"", "gc", "", 0, 0, cmd_gc_opts, "delete old jobs and history of this site",
     "Jobs that ended before the days to keep, with their rows, logs, work files and unnamed "
     "tables;\n"
     "models and tables with a name of their own stay. The history goes by whole days, after\n"
     "retention.events_days. Nodes do the same every hour when retention.jobs_days is set.",
     "norn gc --keep-days 30 --dry-run\n"
     "norn gc --keep-days 30 --limit 10000",
     cmd_gc},
    {"", "version", "", 0, 0, NULL, "print the version", NULL, "norn version", cmd_version},
};

const struct cli_group cmds_top = {"", "", top_cmds, sizeof(top_cmds) / sizeof(top_cmds[0])};
