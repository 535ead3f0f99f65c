/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/sysfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* What the kernel writes is printable ASCII, and only that may go on into JSON and onto terminals.
 */
static bool printable(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if ((s[i] < ' ' && s[i] != '\n' && s[i] != '\t') || s[i] > '~') {
			return false;
		}
	}
	return true;
}

ssize_t sysfs_read(int dir, const char *path, char *buf, size_t size)
{
	/* O_NONBLOCK: a tree that is none of the kernel's may hold a FIFO. */
	auto_close int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n;

	if (fd < 0) {
		return -errno;
	}
	n = read(fd, buf, size);
	if (n < 0) {
		return -errno;
	}
	if ((size_t)n == size) {
		return -EFBIG;
	}
	while (n > 0 && strchr("\n\t ", buf[n - 1]) && buf[n - 1]) {
		n--;
	}
	buf[n] = 0;
	return printable(buf, (size_t)n) ? n : -EILSEQ;
}

int sysfs_int(int dir, const char *path, int64_t min, int64_t max, int64_t *ret)
{
	char text[32];
	ssize_t n = sysfs_read(dir, path, text, sizeof(text));

	if (n < 0) {
		return (int)n;
	}
	return parse_int(text, min, max, ret) < 0 ? -EBADMSG : 0;
}

ssize_t sysfs_link(int dir, const char *path, char *buf, size_t size)
{
	ssize_t n = readlinkat(dir, path, buf, size);

	if (n < 0) {
		return -errno;
	}
	if ((size_t)n == size) {
		return -EFBIG;
	}
	buf[n] = 0;
	return printable(buf, (size_t)n) ? n : -EILSEQ;
}

ssize_t sysfs_link_name(int dir, const char *path, char *buf, size_t size)
{
	char target[1024];
	ssize_t n = sysfs_link(dir, path, target, sizeof(target));
	const char *name;

	if (n < 0) {
		return n;
	}
	name = strrchr(target, '/');
	name = name ? name + 1 : target;
	n = (ssize_t)strlen(name);
	if (!n) {
		return -EBADMSG; /* "x/" names nothing */
	}
	if ((size_t)n >= size) {
		return -EFBIG;
	}
	memcpy(buf, name, (size_t)n + 1);
	return n;
}

int sysfs_config_vendor(int dir, uint16_t *ret)
{
	auto_close int fd = openat(dir, "config", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint16_t head[4]; /* vendor, device, command, status */
	ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof(head), 0);

	if (n < (ssize_t)sizeof(*head)) {
		return n < 0 ? -errno : -EIO;
	}
	*ret = head[0] == UINT16_MAX && n == sizeof(head) && (head[2] & head[3]) != UINT16_MAX
		       ? 0
		       : head[0];
	return 0;
}

bool sysfs_exists(int dir, const char *path)
{
	return faccessat(dir, path, F_OK, 0) == 0;
}

int sysfs_dir(int dir, const char *path)
{
	int fd = openat(dir, path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int sysfs_file(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd < 0 ? -errno : fd;
}

int sysfs_names(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

struct names {
	const char **items;
	size_t n, size;
};

static void names_add(struct names *l, struct arena *a, const char *name)
{
	if (l->n == l->size) {
		const char **more = arena_array(a, const char *, l->size * 2 + 16);

		if (l->n) {
			memcpy(more, l->items, l->n * sizeof(*more));
		}
		l->items = more;
		l->size = l->size * 2 + 16;
	}
	l->items[l->n++] = arena_strdup(a, name);
}

static void close_dir(DIR **d)
{
	if (*d) {
		closedir(*d);
	}
}

int sysfs_list(int dir, const char *path, size_t max, struct arena *a, const char ***ret,
	       size_t *ret_n)
{
	auto_close int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	attr_cleanup(close_dir) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct names l = {0};
	int rc = d ? 0 : -errno;

	*ret = NULL;
	*ret_n = 0;
	if (!d) {
		return rc;
	}
	fd = -1; /* d has it now */
	errno = 0;
	for (struct dirent *e; (e = readdir(d)); errno = 0) {
		if (e->d_name[0] == '.' || !printable(e->d_name, strlen(e->d_name))) {
			continue;
		}
		if (l.n == max) {
			rc = -E2BIG;
			break;
		}
		names_add(&l, a, e->d_name);
	}
	*ret = l.items;
	*ret_n = l.n;
	return rc ? rc : -errno;
}
