/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/users.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/process.h"
#include "node-daemon/users_inner.h"

#define INITIAL_PID_NAMESPACE "pid:[4026531836]" /* PROC_PID_INIT_INO, linux/proc_ns.h */
#define PASSES 5
#define MAPS_BYTES (64 * KiB)

/* What became of looking at one thing of a process. */
enum look {
	LOOK_SEEN,
	LOOK_GONE,  /* it was there a moment ago: what it held may be somewhere else by now */
	LOOK_BLIND, /* it may not be looked at */
};

/* NULL: errno says why. */
DIR *users_names(int at, const char *path)
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
struct dirent *users_next(DIR *dir, bool *ret_unsure)
{
	struct dirent *e;

	errno = 0;
	e = readdir(dir);
	*ret_unsure |= !e && errno;
	return e;
}

static bool is_number(const char *s)
{
	return *s && strspn(s, "0123456789") == strlen(s);
}

static enum look look_of(int error)
{
	return error == ENOENT || error == ESRCH ? LOOK_GONE : LOOK_BLIND;
}

static void doubt_all(struct users_scan *s, const char *why)
{
	for (size_t i = 0; i < s->n; i++) {
		holders_doubt(&s->units[i], why);
	}
}

/* --- descriptors --------------------------------------------------------------------------- */

/* A descriptor without a node: a device of vfio has one of these. */
static enum look anonymous(struct users_scan *s, struct holders_process *p, int process,
			   const char *fd)
{
	auto_free char *link = xprintf("fd/%s", fd), *info = xprintf("fdinfo/%s", fd);
	char text[4096] = "";
	ssize_t n = sysfs_link(process, link, text, sizeof(text));

	if (n == -ENOENT || n == -ESRCH || n == -EACCES || n == -EPERM) {
		return look_of((int)-n);
	}
	if (n > 0 && holders_is_vfio_device(text)) {
		bool told = sysfs_read(process, info, text, sizeof(text)) >= 0;

		holders_vfio(p, told ? holders_syspath(text, s->arena) : NULL, s->units, s->n,
			     s->arena);
	}
	return LOOK_SEEN;
}

static enum look look_at_fd(struct users_scan *s, struct holders_process *p, int process,
			    const char *fd)
{
	auto_free char *path = xprintf("fd/%s", fd);
	struct stat st;

	if (fstatat(process, path, &st, 0) < 0) {
		return errno == ENOENT ? anonymous(s, p, process, fd) : look_of(errno);
	}
	if (S_ISCHR(st.st_mode)) {
		holders_node(p, holders_number(major(st.st_rdev), minor(st.st_rdev)), s->units,
			     s->n, s->arena);
	} else if (!(st.st_mode & S_IFMT)) {
		return anonymous(s, p, process, fd);
	}
	return LOOK_SEEN;
}

static enum look look_at_fds(struct users_scan *s, struct holders_process *p, int process,
			     size_t *ret_n)
{
	DIR *dir = users_names(process, "fd");
	enum look worst = LOOK_SEEN;
	bool unsure = false;
	struct dirent *e;

	*ret_n = 0;
	if (!dir) {
		return look_of(errno);
	}
	while ((e = users_next(dir, &unsure))) {
		if (is_number(e->d_name)) {
			worst = MAX(worst, look_at_fd(s, p, process, e->d_name));
			++*ret_n;
		}
	}
	closedir(dir);
	return unsure ? LOOK_BLIND : worst;
}

/* --- mapped memory ------------------------------------------------------------------------- */

/* The node that a mapping names, in the process's own root. */
static void look_at_mapped(struct users_scan *s, struct holders_process *p, int process,
			   const struct holders_map *m)
{
	auto_free char *path = xprintf("root%s", m->path);
	struct stat st;
	bool there = !m->deleted && fstatat(process, path, &st, AT_SYMLINK_NOFOLLOW) == 0;

	if (there && S_ISCHR(st.st_mode)) {
		holders_node(p, holders_number(major(st.st_rdev), minor(st.st_rdev)), s->units,
			     s->n, s->arena);
	}
	if (holders_is_node_name(m->path) && !(there && st.st_ino == m->inode)) {
		doubt_all(s,
			  arena_printf(s->arena, "%s has mapped %.64s, which is not there any more",
				       p->name, m->path));
	}
}

static void look_at_line(struct users_scan *s, struct holders_process *p, int process, char *line)
{
	struct holders_map m;

	if (holders_map(line, &m) < 0 || !holders_map_matters(&m)) {
		return;
	}
	if (holders_is_vfio_device(m.path)) {
		holders_vfio(p, NULL, s->units, s->n, s->arena);
	} else {
		look_at_mapped(s, p, process, &m);
	}
}

/* Whole lines of what was read; what is left of one begins the next. A line as long as all is cut
 * off: no node has such a name. */
static size_t look_at_lines(struct users_scan *s, struct holders_process *p, int process,
			    char *bytes, size_t n)
{
	char *from = bytes, *end;

	while ((end = memchr(from, '\n', n))) {
		*end = '\0';
		look_at_line(s, p, process, from);
		n -= (size_t)(end + 1 - from);
		from = end + 1;
	}
	if (n == MAPS_BYTES) {
		n = 0;
	}
	memmove(bytes, from, n);
	return n;
}

/* ESRCH: it has no memory, as the kernel's own threads (fs/proc/base.c, proc_mem_open). */
static enum look look_at_maps(struct users_scan *s, struct holders_process *p, int process)
{
	auto_close int fd = sysfs_file(process, "maps");
	size_t have = 0;
	ssize_t n;

	if (fd < 0) {
		return fd == -ESRCH ? LOOK_SEEN : look_of(-fd);
	}
	while ((n = read(fd, s->maps + have, MAPS_BYTES - have)) > 0) {
		have = look_at_lines(s, p, process, s->maps, have + (size_t)n);
	}
	return n == 0 || errno == ESRCH ? LOOK_SEEN : look_of(errno);
}

/* --- processes ----------------------------------------------------------------------------- */

static enum look look_at_task(struct users_scan *s, struct holders_process *p, int process,
			      size_t *ret_fds)
{
	enum look fds = look_at_fds(s, p, process, ret_fds);

	if (fds == LOOK_GONE) {
		fds = look_at_fds(s, p, process, ret_fds); /* one was closed meanwhile */
		fds = *ret_fds && fds == LOOK_GONE ? LOOK_SEEN : fds;
	}
	return fds == LOOK_SEEN ? look_at_maps(s, p, process) : fds;
}

/* Whose first thread has ended shows nothing of its own; the others still have all. */
static enum look look_at_threads(struct users_scan *s, struct holders_process *p, int process)
{
	DIR *dir = users_names(process, "task");
	enum look worst = LOOK_SEEN;
	bool unsure = false;
	struct dirent *e;
	size_t n;

	if (!dir) {
		return look_of(errno);
	}
	while ((e = users_next(dir, &unsure))) {
		auto_close int task = is_number(e->d_name) ? sysfs_dir(dirfd(dir), e->d_name) : -1;

		if (task >= 0) {
			worst = MAX(worst, look_at_task(s, p, task, &n));
		}
	}
	closedir(dir);
	return unsure ? LOOK_BLIND : worst;
}

static enum look look_at(struct users_scan *s, const char *pid)
{
	auto_close int process = sysfs_dir(s->proc, pid);
	struct holders_process p;
	char comm[32];
	size_t fds;
	enum look seen;

	if (process < 0) {
		return look_of(-process);
	}
	holders_process(pid, sysfs_read(process, "comm", comm, sizeof(comm)) > 0 ? comm : "",
			s->arena, &p);
	seen = look_at_task(s, &p, process, &fds);
	if (seen == LOOK_SEEN && !fds) {
		seen = look_at_threads(s, &p, process);
	}
	holders_process_end(&p, s->units, s->n, s->arena);
	if (seen == LOOK_BLIND) {
		doubt_all(s, arena_printf(
				     s->arena,
				     "what %s has open cannot be seen; the capabilities SYS_PTRACE "
				     "and DAC_READ_SEARCH are needed",
				     p.name));
	}
	return seen;
}

/*
 * All processes once. True: none ended meanwhile that might have had something. One that began after
 * the first pass did got what it has from another, which this pass or the one before found with it: so
 * that a busy machine's many short processes leave no doubt. Where numbers begin anew it counts as old.
 */
static bool pass(struct users_scan *s, int64_t *newest)
{
	DIR *dir = users_names(s->proc, ".");
	bool unsure = !dir, whole = true, first = !*newest;
	int64_t limit = *newest, pid;
	struct dirent *e;

	while (dir && (e = users_next(dir, &unsure))) {
		if (is_number(e->d_name)) {
			bool gone = look_at(s, e->d_name) == LOOK_GONE;

			pid = parse_int(e->d_name, 0, INT64_MAX, &pid) < 0 ? 0 : pid;
			*newest = first ? MAX(*newest, pid) : *newest;
			whole &= !gone || (!first && pid > limit);
		}
	}
	if (dir) {
		closedir(dir);
	}
	if (unsure) {
		doubt_all(s, "the processes of this machine cannot be listed");
	}
	return whole;
}

/* With hidepid only one's own processes are there (proc(5)). */
static bool sees_all(int proc)
{
	char ns[64];

	return sysfs_exists(proc, "1/fd") && sysfs_link(proc, "self/ns/pid", ns, sizeof(ns)) > 0 &&
	       str_eq(ns, INITIAL_PID_NAMESPACE);
}

/* Of a unit that nobody was seen to hold the answer would be: none. */
static bool any_open(const struct users_scan *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!*s->units[i].held && !*s->units[i].doubt) {
			return true;
		}
	}
	return false;
}

/* A process that ends while it is looked at may have given what it held to one that was looked at
 * before; then all are looked at again. */
static void look_at_processes(struct users_scan *s)
{
	int64_t newest = 0;
	size_t nodes = 0;

	for (size_t i = 0; i < s->n; i++) {
		nodes += s->units[i].n_nodes;
	}
	if (!nodes) {
		return;
	}
	if (!sees_all(s->proc)) {
		doubt_all(s, "only the processes of its own PID namespace are seen here; run "
			     "vmgpu-node observe with hostPID");
		return;
	}
	s->maps = xmalloc(MAPS_BYTES);
	for (int i = 0; i < PASSES && !pass(s, &newest) && any_open(s); i++) {
		if (i == PASSES - 1) {
			doubt_all(
				s,
				"processes end faster than they can be looked at; it is tried again");
		}
	}
	free(s->maps);
}

/* --- the whole ----------------------------------------------------------------------------- */

static struct eyes_says said(const struct holders_unit *u)
{
	struct eyes_says says = {u->id, BIND_USERS_NONE, ""};

	if (*u->held) {
		says.users = BIND_USERS_SOME;
		says.who = u->held;
	} else if (*u->doubt) {
		says.users = BIND_USERS_UNKNOWN;
		says.who = u->doubt;
	}
	return says;
}

void users_look(int sys, int proc, const struct eyes_question *q, struct arena *a,
		struct eyes_answer *ret)
{
	struct users_scan s = {.sys = sys, .proc = proc, .arena = a};

	s.units = arena_array(a, struct holders_unit, q->n);
	list_each(u, q) {
		users_nodes(&s, u, &s.units[s.n++]);
	}
	look_at_processes(&s);
	eyes_answer_unknown(q, "", a, ret);
	for (size_t i = 0; i < s.n; i++) {
		ret->units.items[i] = said(&s.units[i]);
	}
	users_versions(&s, ret);
}

int users_run(void *ctx, int out)
{
	const struct users_job *job = ctx;
	struct eyes_answer answer;
	struct buf line;
	struct arena a;

	arena_init(&a, 256 * MiB); /* the child ends with it */
	buf_init(&line, 2 * EYES_MAX_LINE);
	users_look(job->sys, job->proc, job->question, &a, &answer);
	if (eyes_answer_write(&answer, &line) < 0) {
		return 1;
	}
	return process_say(out, line.bytes, line.len) < 0 ? 2 : 0;
}
