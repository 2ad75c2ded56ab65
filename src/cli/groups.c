/* All command groups, in the order of the help. The first has the commands without a group. */
#include "base/attr.h"
#include "cli/cmds.h"

const struct cli_group *const cli_groups[] = {
    &cmds_top,       &cmds_job,        &cmds_task,   &cmds_data, &cmds_table,
    &cmds_output,    &cmds_metric,     &cmds_model,  &cmds_log,  &cmds_provider,
    &cmds_component, &cmds_permission, &cmds_client, &cmds_site, &cmds_server,
};
const size_t cli_n_groups = ARRAY_LEN(cli_groups);
