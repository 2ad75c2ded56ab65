/* norn-component: the built-in components. A node has it supervise them too, see exec/supervise.h.
 */
#include "config.h"

#include "component/builtin.h"
#include "exec/supervise.h"
#include <string.h>

static int component_main(int argc, char **argv)
{
	return norn_component_main(argc, argv, builtin_components, builtin_count);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], SUPERVISE_SERVE) == 0)
		return supervise_main(argc, argv, component_main);
	return component_main(argc, argv);
}
