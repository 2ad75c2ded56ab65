/* norn-flow: the commands of FATE's flow. */
#include "cli/flow.h"

int main(int argc, char **argv)
{
	return flow_main(argc, argv);
}
