/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/modules.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

extern char **environ;

/* Also what is built in, if it has parameters. */
static bool is_there(int sys, const char *name)
{
	auto_free char *path = xprintf("module/%s", name);

	for (char *p = path; *p; p++) {
		*p = (char)(*p == '-' ? '_' : *p);
	}
	return faccessat(sys, path, F_OK, 0) == 0;
}

/* What it says goes to our standard error. */
static int modprobe(const char *name)
{
	char *const argv[] = {"modprobe", "--", (char *)name, NULL};
	int status = 0;
	pid_t pid;
	int r = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);

	if (r) {
		log_warn("modprobe cannot be started", log_str("error", strerror(r)));
		return -1;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

size_t modules_load(int sys, char *const *names, size_t n)
{
	size_t there = 0;

	for (size_t i = 0; i < n; i++) {
		bool was = is_there(sys, names[i]), now = was || modprobe(names[i]) == 0;

		there += now;
		if (!now) {
			log_warn(
				"module not loaded: what needs it will not work on this node; bring it with the machine's kernel, or leave it out of node.modules",
				log_str("module", names[i]));
		} else if (!was) {
			log_info("module loaded", log_str("module", names[i]));
		}
	}
	return there;
}
