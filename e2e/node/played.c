/* SPDX-License-Identifier: Apache-2.0 */
/*
 * played.c: what vmgpu-node is preloaded with in the node's fault sweep (../tools/nodekit/faults), so that the
 * shipped program runs, unchanged, on a machine that is played. Nothing of it ships.
 *
 * $PLAYED is a folder with sys, proc, state (the journal's folder), a socket ctl and a page shm. Each write
 * below sys and proc, and whatever changes the journal, is asked of ctl first: there it is counted, done to
 * the played machine, refused, delayed or killed. Time is the real one plus what shm says; when the daemon
 * waits and nobody works, it makes it pass faster. Reads are asked for only while one is to fail.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define SECOND INT64_C(1000000000)
#define TICK_MS 2  /* of who makes time pass */
#define SLOW_MS 20 /* of others that wait */
#define SLOTS 64
#define HIGH 400 /* descriptors that nobody counts on */
#define ASK_MAX 1024

enum { FREE, RUNS, SLEEPS, BLOCKED }; /* of a child */
enum { PROCEED, REFUSE, DONE, INSTEAD };
enum { READS_AS_THEY_ARE, READS_ASKED, READS_OF_MATCH };

/* Laid out as in shm.go. */
struct page {
	_Atomic int64_t offset; /* of the clocks, ns */
	_Atomic int64_t step;	/* how far an idle tick goes, ns; 0: the clock is the real one */
	_Atomic int32_t hold;	/* others are at work */
	_Atomic int32_t eyes;	/* the other program is at work */
	_Atomic int32_t reads;
	_Atomic int32_t
		permits; /* steps of time that are allowed: whoever else is concerned has nothing to do */
	_Atomic int32_t eyes_turns; /* how often the other program has found nothing to do */
	int32_t pad;
	char match[256];
	struct {
		_Atomic int32_t pid, state, killed, pad;
		_Atomic int64_t until; /* it sleeps */
	} slots[SLOTS];
};

struct answer {
	int32_t verdict, value; /* errno, or how many bytes */
	char path[ASK_MAX];	/* INSTEAD */
};

static struct page *page;
static char root[PATH_MAX];
static size_t root_len;
static bool leads;
static int ctl = -1, ctl_pid;
static int64_t timer_at;
static int timer_fd = -1;

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

__attribute__((constructor)) static void begin(void)
{
	const char *at = getenv("PLAYED"), *role = getenv("PLAYED_ROLE");
	char path[PATH_MAX];
	int fd;

	if (!at || !realpath(at, root)) {
		return;
	}
	root_len = strlen(root);
	leads = role && strcmp(role, "daemon") == 0;
	snprintf(path, sizeof(path), "%.*s/shm", PATH_MAX - 8, root);
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	page = fd < 0 ? MAP_FAILED
		      : mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED) {
		_exit(99);
	}
	close(fd);
}

/* --- children ------------------------------------------------------------------------------ */

static int slot_of(int pid)
{
	for (int i = 0; i < SLOTS; i++) {
		if (page->slots[i].pid == pid) {
			return i;
		}
	}
	return -1;
}

static void set_state(int state, int64_t until)
{
	int i = page ? slot_of(getpid()) : -1;

	if (i >= 0) {
		page->slots[i].until = until;
		page->slots[i].state = state;
	}
}

static void slot_free(int i)
{
	page->slots[i].state = FREE;
	page->slots[i].killed = 0;
	page->slots[i].pid = 0;
}

static void slot_take(int pid)
{
	for (int i = 0; i < SLOTS && slot_of(pid) < 0; i++) {
		int none = 0;

		if (atomic_compare_exchange_strong(&page->slots[i].pid, &none, pid)) {
			page->slots[i].killed = 0;
			page->slots[i].state = RUNS;
			return;
		}
	}
}

EXPORT pid_t fork(void)
{
	pid_t pid = REAL(fork)();

	if (pid == 0 && page) {
		leads = false;
		slot_take(getpid());
	} else if (pid > 0 && page) {
		slot_take(pid); /* it may not have come so far */
	}
	return pid;
}

/* Until its parent knows of its end a child counts as at work. */
EXPORT int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
	int rc = REAL(waitid)(type, id, info, options);
	int i = page && rc == 0 && info->si_pid ? slot_of(info->si_pid) : -1;

	if (i >= 0) {
		slot_free(i);
	}
	return rc;
}

/* One that hangs in the kernel dies when the kernel lets it. */
EXPORT int kill(pid_t pid, int signal)
{
	int i = page && signal == SIGKILL ? slot_of(pid < 0 ? -pid : pid) : -1;

	if (i >= 0 && page->slots[i].state == BLOCKED) {
		page->slots[i].killed = 1;
		return 0;
	}
	return REAL(kill)(pid, signal);
}

/* True: somebody is at work, or should be by now. *until: not beyond the time at which one wakes up. */
static bool somebody_runs(int64_t now, int64_t *until)
{
	for (int i = 0; i < SLOTS; i++) {
		int pid = page->slots[i].pid, state = page->slots[i].state;
		int64_t wakes = page->slots[i].until;

		if (!pid || state == FREE || state == BLOCKED) {
			continue;
		}
		if (REAL(kill)(pid, 0) < 0) {
			slot_free(i);
		} else if (state == RUNS || wakes <= now) {
			return true;
		} else if (!*until || wakes < *until) {
			*until = wakes;
		}
	}
	return page->eyes;
}

/* --- time ---------------------------------------------------------------------------------- */

static int64_t real_now(clockid_t clock)
{
	struct timespec t;

	REAL(clock_gettime)(clock, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static int64_t now(void)
{
	return real_now(CLOCK_BOOTTIME) + page->offset;
}

EXPORT int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int rc = REAL(clock_gettime)(clock, ret);

	if (rc == 0 && page && clock != CLOCK_PROCESS_CPUTIME_ID &&
	    clock != CLOCK_THREAD_CPUTIME_ID) {
		int64_t t = ret->tv_sec * SECOND + ret->tv_nsec + page->offset;

		ret->tv_sec = t / SECOND;
		ret->tv_nsec = t % SECOND;
	}
	return rc;
}

EXPORT int timerfd_settime(int fd, int flags, const struct itimerspec *its, struct itimerspec *old)
{
	const struct itimerspec none = {0};

	if (!page) {
		return REAL(timerfd_settime)(fd, flags, its, old);
	}
	timer_fd = fd;
	timer_at = its->it_value.tv_sec * SECOND + its->it_value.tv_nsec;
	return REAL(timerfd_settime)(fd, 0, &none, old);
}

static void ring(void)
{
	const struct itimerspec soon = {.it_value.tv_nsec = 1};

	if (timer_at && now() >= timer_at) {
		timer_at = 0;
		REAL(timerfd_settime)(timer_fd, 0, &soon, NULL);
	}
}

/* Not beyond what somebody waits for. */
static void pass(int64_t until)
{
	int64_t from = now(), step = page->step, left;

	if (!leads) {
		page->eyes_turns++;
		return;
	}
	if (!step || page->hold || !page->permits || somebody_runs(from, &until)) {
		return;
	}
	left = until ? until - from : INT64_MAX;
	if (left > 0) {
		page->permits = 0;
		page->offset += left < step ? left : step;
	}
}

EXPORT int epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms)
{
	int64_t until = timeout_ms < 0 ? 0 : now() + timeout_ms * (SECOND / 1000);
	int n;

	if (!page || timeout_ms == 0) {
		return REAL(epoll_wait)(fd, events, max, timeout_ms);
	}
	if (!leads) {
		page->eyes = 0;
	}
	for (;;) {
		int64_t next = timer_at && (!until || timer_at < until) ? timer_at : until;

		ring();
		n = REAL(epoll_wait)(fd, events, max, leads ? TICK_MS : SLOW_MS);
		if (n || (until && now() >= until)) {
			page->eyes = leads ? page->eyes : 1;
			return n;
		}
		pass(next);
	}
}

EXPORT int nanosleep(const struct timespec *t, struct timespec *left)
{
	int64_t until;

	if (!page) {
		return REAL(nanosleep)(t, left);
	}
	until = now() + t->tv_sec * SECOND + t->tv_nsec;
	set_state(SLEEPS, until);
	while (now() < until) {
		REAL(nanosleep)(&(struct timespec){.tv_nsec = 500000}, NULL);
	}
	set_state(RUNS, 0);
	return 0;
}

EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	int64_t until;
	int rc = 0;

	if (!page || timeout_ms <= 0) {
		return REAL(poll)(fds, n, timeout_ms);
	}
	until = now() + timeout_ms * (SECOND / 1000);
	set_state(SLEEPS, until);
	while (rc == 0 && now() < until) {
		rc = REAL(poll)(fds, n, TICK_MS);
	}
	set_state(RUNS, 0);
	return rc;
}

/* --- asking -------------------------------------------------------------------------------- */

static int reach(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd, high;

	if (ctl >= 0 && ctl_pid == getpid()) {
		return 0;
	}
	snprintf(to.sun_path, sizeof(to.sun_path), "%.90s/ctl", root);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		_exit(98);
	}
	high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH);
	syscall(SYS_close, fd);
	ctl = high;
	ctl_pid = getpid();
	return ctl < 0 ? -1 : 0;
}

/* "PID\0WHAT\0PATH\0" and the bytes. Who was killed while he hung in the kernel dies here. */
static void ask(const char *what, const char *path, const void *bytes, size_t n, struct answer *ret)
{
	char line[2 * PATH_MAX + ASK_MAX];
	size_t len = (size_t)snprintf(line, sizeof(line) - ASK_MAX, "%d%c%s%c%s%c", getpid(), 0,
				      what, 0, path, 0);
	int i;

	n = n < ASK_MAX ? n : ASK_MAX;
	memcpy(line + len, bytes, n);
	memset(ret, 0, sizeof(*ret));
	if (reach() < 0 || send(ctl, line, len + n, MSG_NOSIGNAL) < 0 ||
	    recv(ctl, ret, sizeof(*ret), 0) < 8) {
		_exit(97);
	}
	i = slot_of(getpid());
	if (i >= 0 && page->slots[i].killed) {
		slot_free(i);
		REAL(kill)(getpid(), SIGKILL);
	}
}

/* Below the root: where, after it. NULL: elsewhere. */
static const char *below(const char *path)
{
	return strncmp(path, root, root_len) == 0 && path[root_len] == '/' ? path + root_len + 1
									   : NULL;
}

static const char *path_of(int fd, char *to)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = syscall(SYS_readlinkat, AT_FDCWD, link, to, PATH_MAX - 1);
	if (n <= 0) {
		return NULL;
	}
	to[n] = 0;
	return below(to);
}

static const char *path_at(int dir, const char *name, char *to)
{
	size_t n;

	if (name[0] == '/' || dir == AT_FDCWD) {
		snprintf(to, PATH_MAX, "%s", name);
		return below(to);
	}
	if (!path_of(dir, to)) {
		return NULL;
	}
	n = strlen(to);
	snprintf(to + n, PATH_MAX - n, "/%s", name);
	return below(to);
}

static bool is_machine(const char *path)
{
	return path && (strncmp(path, "sys/", 4) == 0 || strncmp(path, "proc/", 5) == 0);
}

static bool is_state(const char *path)
{
	return path && strncmp(path, "state", 5) == 0;
}

/* --- writes -------------------------------------------------------------------------------- */

EXPORT ssize_t write(int fd, const void *bytes, size_t n)
{
	char path[PATH_MAX];
	const char *at = page && fd > 2 ? path_of(fd, path) : NULL;
	struct answer a;

	if (!is_machine(at)) {
		return REAL(write)(fd, bytes, n);
	}
	ask("write", at, bytes, n, &a);
	if (a.verdict == REFUSE) {
		errno = a.value;
		return -1;
	}
	return a.verdict == DONE ? a.value : (ssize_t)n;
}

/* Before it and after it; -1: it is not done, and errno says why. */
static int before(const char *what, const char *at, const void *bytes, size_t n, struct answer *a)
{
	ask(what, at, bytes, n, a);
	errno = a->value;
	return a->verdict == REFUSE ? -1 : 0;
}

static long after(const char *at, long rc)
{
	struct answer a;
	int saved = errno;

	ask("after", at, "", 0, &a);
	errno = saved;
	return rc;
}

EXPORT ssize_t pwrite(int fd, const void *bytes, size_t n, off_t where)
{
	char path[PATH_MAX];
	const char *at = page ? path_of(fd, path) : NULL;
	struct answer a;

	if (!is_state(at)) {
		return REAL(pwrite)(fd, bytes, n, where);
	}
	if (before("pwrite", at, bytes, n, &a) < 0) {
		return -1;
	}
	n = a.verdict == DONE ? n / 2 : n; /* the disk takes less */
	return after(at, REAL(pwrite)(fd, bytes, n, where));
}

EXPORT int fsync(int fd)
{
	char path[PATH_MAX];
	const char *at = page ? path_of(fd, path) : NULL;
	struct answer a;

	if (!is_state(at)) {
		return REAL(fsync)(fd);
	}
	return before("sync", at, "", 0, &a) < 0 ? -1 : (int)after(at, 0);
}

EXPORT int fdatasync(int fd)
{
	return fsync(fd);
}

EXPORT int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	char path[PATH_MAX];
	const char *at = page ? path_at(to_dir, to, path) : NULL;
	struct answer a;

	if (!is_state(at)) {
		return REAL(renameat)(from_dir, from, to_dir, to);
	}
	return before("rename", at, "", 0, &a) < 0
		       ? -1
		       : (int)after(at, REAL(renameat)(from_dir, from, to_dir, to));
}

EXPORT int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	char path[PATH_MAX];
	const char *at = page ? path_at(to_dir, to, path) : NULL;
	struct answer a;

	if (!is_state(at)) {
		return REAL(linkat)(from_dir, from, to_dir, to, flags);
	}
	return before("link", at, "", 0, &a) < 0
		       ? -1
		       : (int)after(at, REAL(linkat)(from_dir, from, to_dir, to, flags));
}

/* --- reads --------------------------------------------------------------------------------- */

/* Whether ctl wants to hear of it; the path is in `to`. */
static const char *reading(int dir, const char *name, char *to)
{
	const char *last = strrchr(name, '/'), *wanted = page ? strrchr(page->match, '/') : NULL,
		   *at;
	int mode = page ? page->reads : READS_AS_THEY_ARE;

	last = last ? last + 1 : name;
	if (mode == READS_AS_THEY_ARE ||
	    (mode == READS_OF_MATCH && (!wanted || strcmp(last, wanted + 1)))) {
		return NULL;
	}
	at = path_at(dir, name, to);
	return is_machine(at) && (mode == READS_ASKED || strcmp(at, page->match) == 0) ? at : NULL;
}

static int open_any(int dir, const char *name, int flags, mode_t mode)
{
	char path[PATH_MAX];
	const char *at;
	struct answer a;
	bool made = (flags & O_CREAT) != 0;

	if (page && strcmp(name, "/proc/sys/kernel/random/boot_id") == 0) {
		snprintf(path, sizeof(path), "%.*s/boot_id", PATH_MAX - 16, root);
		return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0);
	}
	at = page && made ? path_at(dir, name, path) : NULL;
	if (is_state(at)) {
		return before("create", at, "", 0, &a) < 0
			       ? -1
			       : (int)after(at, syscall(SYS_openat, dir, name, flags, mode));
	}
	at = made || (flags & O_WRONLY) ? NULL : reading(dir, name, path);
	if (!at) {
		return (int)syscall(SYS_openat, dir, name, flags, mode);
	}
	ask(flags & O_DIRECTORY ? "list" : "read", at, "", 0, &a);
	errno = a.value;
	if (a.verdict == REFUSE) {
		return -1;
	}
	return (int)(a.verdict == INSTEAD ? syscall(SYS_openat, AT_FDCWD, a.path, flags, mode)
					  : syscall(SYS_openat, dir, name, flags, mode));
}

static mode_t mode_of(int flags, va_list args)
{
	return flags & O_CREAT ? va_arg(args, mode_t) : 0;
}

#define OPENS(name, dir, ...)                                                                      \
	EXPORT int name(__VA_ARGS__, int flags, ...)                                               \
	{                                                                                          \
		va_list args;                                                                      \
		mode_t mode;                                                                       \
                                                                                                   \
		va_start(args, flags);                                                             \
		mode = mode_of(flags, args);                                                       \
		va_end(args);                                                                      \
		return open_any(dir, path, flags, mode);                                           \
	}
OPENS(openat, dir, int dir, const char *path)
OPENS(openat64, dir, int dir, const char *path)
OPENS(open, AT_FDCWD, const char *path)
OPENS(open64, AT_FDCWD, const char *path)

EXPORT ssize_t readlinkat(int dir, const char *name, char *to, size_t size)
{
	char path[PATH_MAX];
	const char *at = reading(dir, name, path);
	struct answer a;

	if (!at) {
		return syscall(SYS_readlinkat, dir, name, to, size);
	}
	ask("link", at, "", 0, &a);
	errno = a.value;
	if (a.verdict == REFUSE) {
		return -1;
	}
	if (a.verdict == INSTEAD && !*a.path) { /* a long one */
		memset(to, 'A', size);
		return (ssize_t)size;
	}
	if (a.verdict == INSTEAD) {
		size_t n = strlen(a.path);

		memcpy(to, a.path, n < size ? n : size);
		return (ssize_t)(n < size ? n : size);
	}
	return syscall(SYS_readlinkat, dir, name, to, size);
}

EXPORT int faccessat(int dir, const char *name, int mode, int flags)
{
	char path[PATH_MAX];
	const char *at = reading(dir, name, path);
	struct answer a;

	if (at) {
		ask("exists", at, "", 0, &a);
		errno = a.value;
		if (a.verdict == REFUSE) {
			return -1;
		}
	}
	return (int)syscall(SYS_faccessat, dir, name, mode, flags);
}

/* A user has few of them, and many of these machines run at once. */
EXPORT int inotify_init1(int flags)
{
	int fd = -1;

	for (int i = 0; i < 400 && fd < 0; i++) {
		fd = REAL(inotify_init1)(flags);
		if (!page || fd >= 0 || errno != EMFILE) {
			break;
		}
		usleep(25000);
	}
	return fd;
}

/* The real kernel's events tell nothing of this machine: it is looked at every few seconds. */
EXPORT int socket(int domain, int type, int protocol)
{
	if (page && domain == AF_NETLINK) {
		errno = EPERM;
		return -1;
	}
	return REAL(socket)(domain, type, protocol);
}
