/* The command groups, one file each (cmd_<group>.c), and what they share. */
#ifndef NORN_CLI_CMDS_H
#define NORN_CLI_CMDS_H

#include "cli/cli.h"

extern const struct cli_group cmds_top;
extern const struct cli_group cmds_job;
extern const struct cli_group cmds_task;
extern const struct cli_group cmds_data;
extern const struct cli_group cmds_table;
extern const struct cli_group cmds_output;
extern const struct cli_group cmds_log;
extern const struct cli_group cmds_provider;
extern const struct cli_group cmds_metric;
extern const struct cli_group cmds_model;
extern const struct cli_group cmds_site;
extern const struct cli_group cmds_server;
extern const struct cli_group cmds_component;
extern const struct cli_group cmds_permission;
extern const struct cli_group cmds_client;

/* Functions of commands that stand in cmd_top.c's table but in files of their own. */
int cmd_run(struct cli *c);
int cmd_why(struct cli *c);
int cmd_log(struct cli *c);
int cmd_top(struct cli *c);
int cmd_doctor(struct cli *c);
extern const struct cli_opt cmd_top_opts[];
extern const struct cli_opt cmd_doctor_opts[];
/* cmd_jobinfo.c */
int cmd_job_query(struct cli *c);
int cmd_job_notes(struct cli *c);
int cmd_job_data(struct cli *c);
int cmd_job_dependency(struct cli *c);
int cmd_job_clean_queue(struct cli *c);
extern const struct cli_opt cmd_job_query_opts[];
extern const struct cli_opt cmd_job_who_opts[];
/* cmd_control.c and cmd_gc.c */
int cmd_rerun(struct cli *c);
int cmd_suspend(struct cli *c);
int cmd_resume(struct cli *c);
int cmd_timing(struct cli *c);
int cmd_clean(struct cli *c);
int cmd_gc(struct cli *c);
extern const struct cli_opt cmd_rerun_opts[];
extern const struct cli_opt cmd_gc_opts[];
/* The answer of a dry run of a job, for people. */
void plan_print(const struct cli *c, const json_t *plan);
extern const struct cli_opt cmd_run_opts[];
extern const struct cli_opt cmd_log_opts[];

/* A job file with the changes of --set; a new reference. */
MUST_CHECK json_t *jobfile_load(const struct cli *c, const char *path, struct err *e);
/* Applies one "a.b=value" (value as YAML) to the tree; a path that does not start with dag,
 * schema_version or kind is below dag. */
MUST_CHECK bool jobfile_set(json_t *root, const char *assignment, struct err *e);
/* Compiles it as the node will; own_party NULL: the first guest of the file. */
MUST_CHECK bool jobfile_check(const json_t *root, const char *own_party, size_t *n_tasks,
			      size_t *n_parties, struct err *e);
/* Loads, checks and submits the FILE argument; the answer's envelope, a new reference. */
MUST_CHECK json_t *jobfile_submit(struct cli *c, bool plan, struct err *e);

/* Prints why's answer (doc/api.md) for people. */
void why_print(FILE *f, const json_t *why);
/* After a failed job: the reason, on standard error. */
void why_after_failure(struct cli *c, const char *job);

/* A value as an indented outline for people; long texts and lists are shortened. */
void outline_print(FILE *f, json_t *v, int indent);

/* The answer, as JSON with --json, else nothing. Steals v; returns CLI_OK. */
int cmd_done(const struct cli *c, json_t *v);
/* The limit for table_print: the terminal's width, or none. */
size_t cmd_table_width(const struct cli *c);

#endif
