/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/users.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "node-daemon/sysfs.h"

#define MAX_NODES 64
#define MAX_DEPTH 6
#define INITIAL_PID_NAMESPACE "pid:[4026531836]" /* PROC_PID_INIT_INO, linux/proc_ns.h */

struct nodes {
	dev_t items[MAX_NODES];
	size_t n;
	bool unsure; /* there may be more */
};

/* --- a unit's nodes --------------------------------------------------------------------------- */

/* NULL: errno says why. */
static DIR *open_names(int at, const char *path)
{
	int fd = sysfs_names(at, path);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (fd < 0) {
		errno = -fd;
	} else if (!dir) {
		close(fd);
	}
	return dir;
}

/* NULL at the end, or where that is not known. */
static struct dirent *next_name(DIR *dir, bool *ret_unsure)
{
	struct dirent *e;

	errno = 0;
	e = readdir(dir);
	*ret_unsure |= !e && errno;
	return e;
}

/* "116:5\n" */
static void add_node(struct nodes *all, int dir, const char *file)
{
	char text[32];
	unsigned major, minor;

	if (sysfs_read(dir, file, text, sizeof(text)) <= 0 ||
	    sscanf(text, "%u:%u", &major, &minor) != 2 || all->n == MAX_NODES) {
		all->unsure = true;
		return;
	}
	all->items[all->n++] = makedev(major, minor);
}

static void walk(struct nodes *all, int parent, const char *name, int depth)
{
	DIR *dir = depth > MAX_DEPTH ? NULL : open_names(parent, name);
	struct dirent *e;

	if (!dir) {
		all->unsure = true;
		return;
	}
	while ((e = next_name(dir, &all->unsure))) {
		if (e->d_type == DT_REG && str_eq(e->d_name, "dev")) {
			add_node(all, dirfd(dir), "dev");
		} else if (e->d_type == DT_DIR && *e->d_name != '.') {
			walk(all, dirfd(dir), e->d_name, depth + 1);
		}
	}
	closedir(dir);
}

static void add_group(struct nodes *all, int sys, const struct pci_function *f)
{
	auto_free char *real = NULL;
	char target[256];
	auto_free char *link = xprintf("class/vfio/%d", (int)f->group);

	if (f->group < 0 || sysfs_link(sys, link, target, sizeof(target)) <= 0) {
		all->unsure = true;
		return;
	}
	real = xprintf("class/vfio/%s/dev", target); /* ../../devices/virtual/vfio/17 */
	add_node(all, sys, real);
}

static bool shows_users(const char *driver)
{
	return pcifn_driver_is_vfio(driver) || str_eq(driver, "snd_hda_intel");
}

static void add_function(struct nodes *all, int sys, const struct pci_function *f)
{
	char text[PCIFN_TEXT_MAX], target[256];
	auto_free char *link = xprintf("bus/pci/devices/%s", pcifn_text(f->address, text));
	auto_free char *path = NULL;

	if (!shows_users(f->driver) || sysfs_link(sys, link, target, sizeof(target)) <= 0) {
		all->unsure = true;
		return;
	}
	path = xprintf("bus/pci/devices/%s", target); /* ../../../devices/pci0000:00/... */
	if (pcifn_driver_is_vfio(f->driver)) {
		add_group(all, sys, f);
	}
	walk(all, sys, path, 0);
}

static void nodes_of(int sys, const struct unit *u, struct nodes *ret)
{
	*ret = (struct nodes){0};
	list_each(f, &u->functions) {
		if ((*f)->kind != PCI_MEMBER && *(*f)->driver) {
			add_function(ret, sys, *f);
		}
	}
}

/* --- processes -------------------------------------------------------------------------------- */

static bool has_node(const struct nodes *all, int dir, const char *fd)
{
	struct stat st;

	if (fstatat(dir, fd, &st, 0) < 0 || !S_ISCHR(st.st_mode)) {
		return false;
	}
	for (size_t i = 0; i < all->n; i++) {
		if (all->items[i] == st.st_rdev) {
			return true;
		}
	}
	return false;
}

static void name_it(int proc, const char *pid, char who[USERS_WHO_MAX])
{
	auto_free char *path = xprintf("%s/comm", pid);
	char comm[32];

	if (sysfs_read(proc, path, comm, sizeof(comm)) < 0) {
		*comm = '\0';
	}
	snprintf(who, USERS_WHO_MAX, "process %.16s (%s)", pid, comm);
}

/* One that ends meanwhile uses nothing. */
static enum bind_users look_at(int proc, const char *pid, const struct nodes *all)
{
	auto_free char *path = xprintf("%s/fd", pid);
	DIR *dir = open_names(proc, path);
	enum bind_users found = BIND_USERS_NONE;
	bool unsure = false;
	struct dirent *e;

	if (!dir) {
		return errno == ENOENT || errno == ESRCH ? BIND_USERS_NONE : BIND_USERS_UNKNOWN;
	}
	while (found == BIND_USERS_NONE && (e = next_name(dir, &unsure))) {
		if (*e->d_name != '.' && has_node(all, dirfd(dir), e->d_name)) {
			found = BIND_USERS_SOME;
		}
	}
	closedir(dir);
	return found == BIND_USERS_NONE && unsure ? BIND_USERS_UNKNOWN : found;
}

static bool sees_all(int proc)
{
	char ns[64];

	/* With hidepid only one's own processes are there (proc(5)). */
	return sysfs_exists(proc, "1/fd") && sysfs_link(proc, "self/ns/pid", ns, sizeof(ns)) > 0 &&
	       str_eq(ns, INITIAL_PID_NAMESPACE);
}

enum bind_users users_look(int sys, int proc, const struct unit *u, char who[USERS_WHO_MAX])
{
	enum bind_users found = BIND_USERS_NONE;
	struct nodes all;
	struct dirent *e;
	DIR *dir;

	nodes_of(sys, u, &all);
	if (all.unsure || !sees_all(proc)) {
		return BIND_USERS_UNKNOWN;
	}
	dir = open_names(proc, ".");
	if (!dir) {
		return BIND_USERS_UNKNOWN;
	}
	while (found != BIND_USERS_SOME && (e = next_name(dir, &all.unsure))) {
		enum bind_users one = BIND_USERS_NONE;

		if (strspn(e->d_name, "0123456789") == strlen(e->d_name)) {
			one = look_at(proc, e->d_name, &all);
		}
		if (one == BIND_USERS_SOME) {
			name_it(proc, e->d_name, who);
		}
		found = one == BIND_USERS_NONE ? found : one;
	}
	closedir(dir);
	return found == BIND_USERS_NONE && all.unsure ? BIND_USERS_UNKNOWN : found;
}
