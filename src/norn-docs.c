/* norn-docs: prints what is made from the command tables. Not installed. */
#include "base/str.h"
#include "cli/docs.h"

int main(int argc, char **argv)
{
	if (argc == 2 && str_eq(argv[1], "pages"))
		docs_pages(stdout);
	else if (argc == 2 && str_eq(argv[1], "completion"))
		docs_completion(stdout);
	else if (argc != 3 || !str_eq(argv[1], "man") || !docs_man(stdout, argv[2]))
		return 2;
	return fflush(stdout) == 0 ? 0 : 1;
}
