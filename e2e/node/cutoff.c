/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cutoff.c: what vmgpu-node is preloaded with in faults.sh, in a guest: it ends the program, or takes the
 * guest's power, at one of its writes to the machine or to the journal. Nothing of it ships.
 *
 *	CUTOFF=FILE:STATE:KIND:N	KIND: count, kill-before, kill-after, power-before, power-after
 *
 * Writes are counted in FILE, also those of the children; STATE is the journal's folder. What comes behind
 * the N-th is as without this.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static _Atomic int *count;
static char state[PATH_MAX], kind[32];
static int nth;
static pid_t daemon_pid;

__attribute__((constructor)) static void begin(void)
{
	const char *text = getenv("CUTOFF");
	char file[PATH_MAX];
	int fd;

	if (!text || sscanf(text, "%4095[^:]:%4095[^:]:%31[^:]:%d", file, state, kind, &nth) != 4) {
		return;
	}
	daemon_pid = getpid();
	fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, 4096) < 0) {
		_exit(99);
	}
	count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
}

static void strike(void)
{
	if (strncmp(kind, "power", 5) == 0) { /* what is not on the disk by now is lost */
		int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/sysrq-trigger", O_WRONLY);

		syscall(SYS_write, fd, "b", 1);
	}
	kill(daemon_pid, SIGKILL);
	kill(getpid(), SIGKILL);
	pause();
}

/* True: it is the one, and its end comes behind it. */
static bool comes(void)
{
	int n = count ? atomic_fetch_add(count, 1) + 1 : 0;
	bool it = n && n == nth && strcmp(kind, "count") != 0;

	if (it && strstr(kind, "-before")) {
		strike();
	}
	return it;
}

static bool counts(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t n;

	if (!count || fd <= 2) {
		return false;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = 0;
	return strncmp(path, "/sys/", 5) == 0 || strncmp(path, "/proc/driver/", 13) == 0 ||
	       strncmp(path, state, strlen(state)) == 0;
}

#define COUNTED(fd, call)                                                                          \
	do {                                                                                       \
		bool it_ = counts(fd) && comes();                                                  \
		__auto_type rc_ = (call);                                                          \
                                                                                                   \
		if (it_) {                                                                         \
			strike();                                                                  \
		}                                                                                  \
		return rc_;                                                                        \
	} while (0)

EXPORT ssize_t write(int fd, const void *bytes, size_t n)
{
	COUNTED(fd, REAL(write)(fd, bytes, n));
}

EXPORT ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
	COUNTED(fd, REAL(pwrite)(fd, bytes, n, at));
}

EXPORT int fsync(int fd)
{
	COUNTED(fd, REAL(fsync)(fd));
}

EXPORT int fdatasync(int fd)
{
	COUNTED(fd, REAL(fdatasync)(fd));
}

EXPORT int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	COUNTED(to_dir, REAL(renameat)(from_dir, from, to_dir, to));
}
