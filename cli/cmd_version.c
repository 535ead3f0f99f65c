/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/command.h"
#include "kube/program.h"

static int run(int argc, char **argv)
{
	static const struct flag_text text = {.program = "kubectl vmgpu version",
					      .args = "",
					      .about = "Prints the version of this program."};
	const struct flag_group groups[] = {{0}};
	int args, r = command_parse(&text, groups, argc, argv, &args);

	if (r >= 0) {
		return r;
	}
	printf("kubectl-vmgpu %s\n", VMGPU_VERSION);
	return 0;
}

const struct command command_version = {"version", "print the version", run};
