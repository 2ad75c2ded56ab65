/* norn-component: the built-in components. */
#include "config.h"

#include "component/builtin.h"

int main(int argc, char **argv)
{
	return norn_component_main(argc, argv, builtin_components, builtin_count);
}
