/* SPDX-License-Identifier: Apache-2.0 */
/* users_inner.h: private to users.c, which looks at processes, and users_nodes.c, which finds what to
 * look for. */
#pragma once

#include <dirent.h>

#include "node-daemon/eyes_wire.h"
#include "node-daemon/holders.h"
#include "node-daemon/sysfs.h"

struct users_scan {
	int sys, proc;
	struct arena *arena;
	struct holders_unit *units;
	size_t n;
	char *maps; /* what is read at a time */
};

/* What the drivers of a unit offer to processes; what cannot be found is a doubt. */
void users_nodes(struct users_scan *s, const struct eyes_unit *u, struct holders_unit *ret);
/* Versions of drivers, and of libraries that must match them. */
void users_versions(struct users_scan *s, struct eyes_answer *ret);

DIR *users_names(int at, const char *path);
struct dirent *users_next(DIR *dir, bool *ret_unsure);
