/*
 * The schedule log of each job, <dirs.logs>/<job id>/fate_flow_schedule.log, beside the server log:
 * every log line that names the job; errors also in fate_flow_schedule_error.log.
 */
#ifndef NORN_STORE_JOBLOG_H
#define NORN_STORE_JOBLOG_H

void joblog_start(const char *log_dir); /* kept by reference */

#endif
