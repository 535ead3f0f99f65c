/* SPDX-License-Identifier: Apache-2.0 */
/* fakenvml_test.h: where the tests find e2e/node/fakenvml.so, and what it is told to say. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

#define FAKENVML_VERSIONS "library 12.550.54.15\ndriver 550.54.14\n"
#define FAKENVML_CARD "card 0000:41:00.0\ntemperature 41\nuuid GPU-1\n"

/* build/dev/node-daemon/x_test: build/dev/e2e/node/NAME.so. For free(). */
attr_unused static char *fakenvml_path(const char *name)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[MAX(n, 0)] = '\0';
	for (int i = 0; i < 2 && (slash = strrchr(self, '/')); i++) {
		*slash = '\0';
	}
	return xprintf("%s/e2e/node/%s.so", self, name);
}

/* The file that says it, until fakenvml_forget. */
attr_unused static void fakenvml_says(const char *script)
{
	char path[] = "/tmp/fakenvml-XXXXXX";
	int fd = mkstemp(path);

	if (fd < 0 || write(fd, script, strlen(script)) != (ssize_t)strlen(script)) {
		printf("# %s cannot be written\n", path);
		exit(1);
	}
	close(fd);
	setenv("FAKENVML", path, 1);
}

attr_unused static void fakenvml_forget(void)
{
	const char *path = getenv("FAKENVML");

	if (path) {
		unlink(path);
	}
	unsetenv("FAKENVML");
}
