/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

static int failed(const char *path, int error, struct err *err)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return err_set(err, "%s does not exist", path);
	case EACCES:
	case EPERM:
		return err_set(err, "%s may not be read by this user (uid %u)", path, geteuid());
	case EISDIR:
		return err_set(err, "%s is a directory, not a file", path);
	default:
		return err_set(err, "%s cannot be read: %s", path, strerror(error));
	}
}

static int check_kind(int fd, const char *path, unsigned flags, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		return failed(path, errno, err);
	}
	if (S_ISDIR(st.st_mode)) {
		return failed(path, EISDIR, err);
	}
	if (S_ISREG(st.st_mode)) {
		return 0;
	}
	if (!(flags & FILE_ANY)) {
		return err_set(err, "%s is no regular file", path);
	}
	return fcntl(fd, F_SETFL, 0) < 0 ? failed(path, errno, err) : 0;
}

static int read_all(int fd, const char *path, struct buf *b, struct err *err)
{
	char part[4096];

	for (;;) {
		ssize_t n = read(fd, part, sizeof(part));

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return failed(path, errno, err);
		}
		if (n == 0) {
			return 0;
		}
		if (buf_add(b, part, (size_t)n) < 0) {
			return err_set(err, "%s is larger than %zu KiB", path, b->max / KiB);
		}
	}
}

int file_read(const char *path, size_t max, unsigned flags, char **ret, size_t *ret_n,
	      struct err *err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	auto_buf struct buf b;

	buf_init(&b, max);
	if (fd < 0) {
		return failed(path, errno, err);
	}
	if (check_kind(fd, path, flags, err) < 0 || read_all(fd, path, &b, err) < 0) {
		return -1;
	}
	if (b.len && memchr(b.bytes, 0, b.len)) {
		return err_set(err, "%s holds bytes 0: it is no text", path);
	}
	if (ret_n) {
		*ret_n = b.len;
	}
	*ret = b.bytes ? take(b.bytes) : xstrdup("");
	return 0;
}
