/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree_test.h: a fake /sys from a few lines of text, for tests. The text stands in cases/scan/
 * files and in tests:
 *
 *	device 0000:61:00.0 under=0000:60:01.0 id=10de:2203 sub=10de:1613 class=030000 driver=nvidia
 *	       group=12 numa=0
 *	  sriov_totalvfs = 16		a file of the device
 *	  virtfn0 -> ../0000:61:00.4	a link
 *	vfs 0000:61:00.0 first=0000:61:00.4 count=16 driver=nvidia group=40
 *	dir class/iommu/dmar0		any directory; indented lines below it are its files
 *	copy devices/a/b devices/a/c	a directory with all that is in it
 *
 * device writes what the kernel writes: the identity files, the links from bus, driver and group.
 * vfs does the same for that many virtual functions (count up from `first`, `group` counts up), and
 * the links between them and their card. Values may contain \n.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node-daemon/pcifn.h"

struct tree {
	char *root; /* a new directory in memory, or below /tmp */
	int fd;
	char *where; /* directory that indented lines belong to, relative to root */
};

attr_unused static void tree_die(const char *what, const char *line)
{
	printf("# tree: %s: %s (%s)\n", line, what, strerror(errno));
	exit(1);
}

attr_unused static void tree_dir(struct tree *t, const char *path)
{
	auto_free char *copy = xstrdup(path);

	for (char *p = copy; (p = strchr(p, '/')); *p++ = '/') {
		*p = 0;
		mkdirat(t->fd, copy, 0755);
	}
	if (mkdirat(t->fd, copy, 0755) < 0 && errno != EEXIST) {
		tree_die("mkdir", path);
	}
}

attr_unused static void tree_parent(struct tree *t, const char *path)
{
	const char *slash = strrchr(path, '/');
	auto_free char *dir = slash ? xstrndup(path, (size_t)(slash - path)) : NULL;

	if (dir) {
		tree_dir(t, dir);
	}
}

attr_unused static void tree_bytes(struct tree *t, const char *path, const void *bytes, size_t n)
{
	auto_close int fd = -1;

	tree_parent(t, path);
	unlinkat(t->fd, path, 0);
	fd = openat(t->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, bytes, n) != (ssize_t)n) {
		tree_die("write", path);
	}
}

attr_unused static void tree_file(struct tree *t, const char *path, const char *text)
{
	auto_free char *out = xmalloc(strlen(text) + 2);
	char *o = out;

	for (const char *s = text; *s; s++) {
		if (s[0] == '\\' && s[1] == 'n') {
			*o++ = '\n';
			s++;
		} else {
			*o++ = *s;
		}
	}
	if (*text) {
		*o++ = '\n';
	}
	tree_bytes(t, path, out, (size_t)(o - out));
}

attr_unused static void tree_link(struct tree *t, const char *path, const char *target)
{
	tree_parent(t, path);
	unlinkat(t->fd, path, 0);
	if (symlinkat(target, t->fd, path) < 0) {
		tree_die("symlink", path);
	}
}

/* ../ for each directory that path lies in. */
attr_unused static char *tree_up(const char *path)
{
	char *up = xstrdup("");

	for (const char *p = path; (p = strchr(p, '/')); p++) {
		char *more = xprintf("../%s", up);

		free(up);
		up = more;
	}
	return up;
}

/* A link from anywhere in the tree to anywhere in it, relative as the kernel's are. */
attr_unused static void tree_link_to(struct tree *t, const char *path, const char *to)
{
	auto_free char *up = tree_up(path), *target = xprintf("%s%s", up, to);

	tree_link(t, path, target);
}

/* --- devices ------------------------------------------------------------------------------- */

struct tree_device {
	const char *address, *id, *sub, *class_code, *driver, *group, *numa;
};

attr_unused static void tree_identity(struct tree *t, const char *dir, const struct tree_device *d)
{
	unsigned v = 0, dev = 0, sv = 0, sd = 0,
		 class_code = (unsigned)strtoul(d->class_code, NULL, 16);
	const struct {
		const char *file;
		char *text;
	} files[] = {
		{"vendor", (sscanf(d->id, "%x:%x", &v, &dev), xprintf("0x%04x", v))},
		{"device", xprintf("0x%04x", dev)},
		{"subsystem_vendor", (sscanf(d->sub, "%x:%x", &sv, &sd), xprintf("0x%04x", sv))},
		{"subsystem_device", xprintf("0x%04x", sd)},
		{"class", xprintf("0x%06x", class_code)},
		{"numa_node", xstrdup(d->numa)},
		{"modalias", xprintf("pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X", v, dev, sv, sd,
				     class_code >> 16, class_code >> 8 & 255, class_code & 255)},
	};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		auto_free char *path = xprintf("%s/%s", dir, files[i].file);

		tree_file(t, path, files[i].text);
		free(files[i].text);
	}
}

/* Where a device lies: known by its link on the bus. */
attr_unused static char *tree_place(struct tree *t, const char *address)
{
	auto_free char *link = xprintf("bus/pci/devices/%s", address);
	char target[512];
	ssize_t n = readlinkat(t->fd, link, target, sizeof(target) - 1);

	if (n < 9) {
		tree_die("no such device", address);
	}
	target[n] = 0;
	return xstrdup(target + strlen("../../../"));
}

attr_unused static void tree_device(struct tree *t, const char *under, const struct tree_device *d)
{
	auto_free char *host = xprintf("devices/pci%.7s", d->address);
	auto_free char *parent = under ? tree_place(t, under) : xstrdup(host);
	auto_free char *dir = xprintf("%s/%s", parent, d->address);
	auto_free char *bus = xprintf("bus/pci/devices/%s", d->address);

	tree_dir(t, dir);
	tree_identity(t, dir, d);
	tree_link_to(t, bus, dir);
	if (d->driver) {
		auto_free char *driver = xprintf("bus/pci/drivers/%s", d->driver),
			       *back = xprintf("%s/%s", driver, d->address);
		auto_free char *link = xprintf("%s/driver", dir);

		tree_link_to(t, back, dir);
		tree_link_to(t, link, driver);
	}
	if (d->group) {
		auto_free char *group = xprintf("kernel/iommu_groups/%s", d->group),
			       *link = xprintf("%s/iommu_group", dir);
		auto_free char *member = xprintf("%s/devices/%s", group, d->address);

		tree_link_to(t, member, dir);
		tree_link_to(t, link, group);
	}
	free(t->where);
	t->where = take(dir);
}

/* key=value among the words of a line, "" and all missing keys are NULL. */
attr_unused static const char *tree_value(char **words, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++) {
		size_t k = strlen(key);

		if (strncmp(words[i], key, k) == 0 && words[i][k] == '=') {
			return words[i] + k + 1;
		}
	}
	return NULL;
}

attr_unused static const char *tree_or(const char *s, const char *otherwise)
{
	return s ? s : otherwise;
}

attr_unused static void tree_vfs(struct tree *t, char **words, size_t n)
{
	const char *card = words[1], *group = tree_value(words, n, "group");
	unsigned long count = strtoul(tree_or(tree_value(words, n, "count"), "1"), NULL, 10);
	auto_free char *card_dir = tree_place(t, card),
		       *parent = xstrndup(card_dir, strlen(card_dir) - strlen(card) - 1);
	auto_free char *under =
		strchr(strchr(parent, '/') + 1, '/') ? xstrdup(strrchr(parent, '/') + 1) : NULL;
	uint64_t at;

	if (pcifn_parse(tree_or(tree_value(words, n, "first"), ""), &at) < 0) {
		tree_die("vfs needs first=", card);
	}
	for (unsigned long i = 0; i < count; i++, at++) {
		char text[PCIFN_TEXT_MAX];
		auto_free char *number =
			group ? xprintf("%lu", strtoul(group, NULL, 10) + i) : NULL;
		auto_free char *virtfn = xprintf("%s/virtfn%lu", card_dir, i), *physfn = NULL,
			       *to = NULL;

		tree_device(t, under,
			    &(struct tree_device){
				    .address = pcifn_text(at, text),
				    .id = tree_or(tree_value(words, n, "id"), "10de:0000"),
				    .sub = "10de:0000",
				    .class_code = tree_or(tree_value(words, n, "class"), "030200"),
				    .driver = tree_value(words, n, "driver"),
				    .group = number,
				    .numa = tree_or(tree_value(words, n, "numa"), "-1")});
		physfn = xprintf("%s/physfn", t->where);
		to = xprintf("../%s", card);
		tree_link(t, physfn, to);
		free(to);
		to = xprintf("../%s", text);
		tree_link(t, virtfn, to);
	}
}

/* --- lines --------------------------------------------------------------------------------- */

static struct tree *tree_copying;
static const char *tree_copy_from, *tree_copy_to;

attr_unused static int tree_copy_one(const char *path, attr_unused const struct stat *st, int type,
				     attr_unused struct FTW *ftw)
{
	auto_free char *to =
		xprintf("%s%s", tree_copy_to,
			path + strlen(tree_copying->root) + 1 + strlen(tree_copy_from));
	char bytes[8192];
	ssize_t n;

	if (type == FTW_D) {
		tree_dir(tree_copying, to);
	} else if (type == FTW_F) {
		auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

		n = read(fd, bytes, sizeof(bytes));
		tree_bytes(tree_copying, to, bytes, (size_t)MAX(n, 0));
	} else {
		n = readlink(path, bytes, sizeof(bytes) - 1);
		bytes[MAX(n, 0)] = 0;
		tree_link(tree_copying, to, bytes);
	}
	return 0;
}

attr_unused static void tree_copy(struct tree *t, const char *from, const char *to)
{
	auto_free char *path = xprintf("%s/%s", t->root, from);

	tree_copying = t;
	tree_copy_from = from;
	tree_copy_to = to;
	if (nftw(path, tree_copy_one, 16, FTW_PHYS) != 0) {
		tree_die("copy", from);
	}
}

attr_unused static void tree_directive(struct tree *t, char *line)
{
	char *words[16], *rest = line;
	size_t n = 0;

	for (char *w; n < ARRAY_LEN(words) && (w = strsep(&rest, " \t"));) {
		if (*w) {
			words[n++] = w;
		}
	}
	if (n >= 2 && str_eq(words[0], "device")) {
		tree_device(t, tree_value(words, n, "under"),
			    &(struct tree_device){
				    .address = words[1],
				    .id = tree_or(tree_value(words, n, "id"), "8086:0000"),
				    .sub = tree_or(tree_value(words, n, "sub"), "0000:0000"),
				    .class_code = tree_or(tree_value(words, n, "class"), "000000"),
				    .driver = tree_value(words, n, "driver"),
				    .group = tree_value(words, n, "group"),
				    .numa = tree_or(tree_value(words, n, "numa"), "-1")});
	} else if (n >= 2 && str_eq(words[0], "vfs")) {
		tree_vfs(t, words, n);
	} else if (n == 2 && str_eq(words[0], "dir")) {
		tree_dir(t, words[1]);
		free(t->where);
		t->where = xstrdup(words[1]);
	} else if (n == 3 && str_eq(words[0], "copy")) {
		tree_copy(t, words[1], words[2]);
	} else {
		tree_die("not a directive", n ? words[0] : "");
	}
}

attr_unused static void tree_attribute(struct tree *t, char *line)
{
	char *equals = strstr(line, " = "), *arrow = strstr(line, " -> "), *end;
	auto_free char *path = NULL;

	if (!t->where || (!equals && !arrow)) {
		tree_die("neither 'name = text' nor 'name -> target' below a device or dir", line);
	}
	end = !arrow || (equals && equals < arrow) ? equals : arrow;
	*end = 0;
	path = xprintf("%s/%s", t->where, line);
	if (end == equals) {
		tree_file(t, path, equals + 3);
	} else {
		tree_link(t, path, arrow + 4);
	}
}

attr_unused static void tree_add(struct tree *t, const char *text)
{
	auto_free char *copy = xstrdup(text);
	char *rest = copy;

	for (char *line; (line = strsep(&rest, "\n"));) {
		char *start = line + strspn(line, " \t");

		if (!*start || *start == '#') {
			continue;
		}
		if (start > line) {
			tree_attribute(t, start);
		} else {
			tree_directive(t, start);
		}
	}
}

attr_unused static struct tree tree_make(const char *text)
{
	/* Many small files: a disk takes ten times as long as memory. */
	bool memory = access("/dev/shm", W_OK) == 0;
	const char *dir = getenv("TMPDIR") ?: memory ? "/dev/shm" : "/tmp";
	struct tree t = {.root = xprintf("%s/vmgpu-tree-XXXXXX", dir), .fd = -1};

	if (!mkdtemp(t.root) || (t.fd = open(t.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		tree_die("mkdtemp", t.root);
	}
	tree_dir(&t, "bus/pci/devices");
	tree_add(&t, text);
	return t;
}

attr_unused static int tree_remove_one(const char *path, attr_unused const struct stat *st,
				       attr_unused int type, attr_unused struct FTW *ftw)
{
	return remove(path);
}

attr_unused static void tree_remove(struct tree *t)
{
	close(t->fd);
	nftw(t->root, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(t->root);
	free(t->where);
	*t = (struct tree){.fd = -1};
}
#define auto_tree attr_cleanup(tree_remove)
