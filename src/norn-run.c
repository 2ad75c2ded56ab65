/* norn-run: the supervisor between a node and one component process. Started by nornd. */
#include "config.h"
#include "exec/supervise.h"

int main(int argc, char **argv)
{
	return supervise_main(argc, argv, NULL);
}
