/* All command groups, in the order of the help. */
#include "cli/cmds.h"
#include "base/attr.h"

const struct cli_group *const cli_groups[] = {
    &cmds_top,   &cmds_job,  &cmds_task,   &cmds_data,      &cmds_table,      &cmds_metric,
    &cmds_model, &cmds_site, &cmds_server, &cmds_component, &cmds_permission, &cmds_client,
};
const size_t cli_n_groups = ARRAY_LEN(cli_groups);
