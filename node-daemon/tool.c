/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/tool.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define REMEDY                                                                                      \
	"; the container with the driver's tools must run beside vmgpu-node and share its folder, " \
	"or run sriov-manage on the node yourself"

int tool_hear(const char *bytes, size_t n, struct tool_answer *ret, struct err *err)
{
	const char *end = memchr(bytes, '\n', n), *space = memchr(bytes, ' ', n);
	char number[8] = "";
	size_t digits = space ? (size_t)(space - bytes) : 0, len = 0;

	if (!end || !space || space > end || !digits || digits >= sizeof(number)) {
		return err_set(err,
			       "the vendor's tools answered in words that are not known" REMEDY);
	}
	memcpy(number, bytes, digits);
	if (parse_int(number, 0, 255, &ret->status) < 0) {
		return err_set(err, "the vendor's tools answered without an exit status" REMEDY);
	}
	for (const char *s = space + 1; s < end && len + 1 < sizeof(ret->words); s++) {
		ret->words[len++] = *s >= ' ' && *s <= '~' ? *s : ' ';
	}
	ret->words[len] = '\0';
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int unreachable(const char *path, int error, struct err *err)
{
	return err_set(err, "nobody answers at %s: %s" REMEDY, path, strerror(error));
}

static int dial(const char *path, struct err *err)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd, error;

	if (strlen(path) >= sizeof(to.sun_path)) {
		return err_set(err, "%s: longer than a socket's path may be", path);
	}
	memcpy(to.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0) {
		return fd;
	}
	error = errno;
	if (fd >= 0) {
		close(fd);
	}
	return unreachable(path, error, err);
}

/* A short request: a new socket takes it at once. */
static int say(int fd, const char *request, struct err *err)
{
	auto_free char *line = xprintf("%s\n", request);
	size_t n = strlen(line);

	if (send(fd, line, n, MSG_NOSIGNAL) != (ssize_t)n || shutdown(fd, SHUT_WR) < 0) {
		return err_set(err, "the vendor's tools take no request: %s" REMEDY,
			       strerror(errno));
	}
	return 0;
}

int tool_ask(const char *path, const char *request, int64_t ms, struct tool_answer *ret,
	     struct err *err)
{
	char bytes[2 * TOOL_ANSWER_MAX];
	int64_t end = now_ms() + ms;
	auto_close int fd = dial(path, err);
	size_t n = 0;

	if (fd < 0 || say(fd, request, err) < 0) {
		return -1;
	}
	while (n < sizeof(bytes) && !memchr(bytes, '\n', n)) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left = end - now_ms();
		ssize_t got;

		if (left <= 0 || (poll(&p, 1, (int)left) < 0 && errno != EINTR)) {
			return err_set(err,
				       "the vendor's tools have not answered \"%s\" in %d s; it is "
				       "looked at again",
				       request, (int)(ms / 1000));
		}
		got = recv(fd, bytes + n, sizeof(bytes) - n, 0);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
			break;
		}
		n += (size_t)MAX(got, 0);
	}
	return tool_hear(bytes, n, ret, err);
}
