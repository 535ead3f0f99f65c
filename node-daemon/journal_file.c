/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOURNAL "journal"
#define JOURNAL_NEW "journal.new"
#define JOURNAL_LOCK "journal.lock"
#define MAX_WHOLE                                                                                  \
	((size_t)JOURNAL_MAX_BYTES / 2) /* a full file is made half empty, or not at all */
#define MAX_BAD 99

void journal_file_init(struct journal_file *f, int dir)
{
	*f = (struct journal_file){.dir = dir, .lock = -1, .fd = -1};
	journal_init(&f->journal);
	journal_init(&f->before);
}

static void forget(struct journal_file *f)
{
	close_p(&f->fd);
	f->fd = -1;
	f->unsure = false;
	journal_finish(&f->before);
	f->before = f->journal;
	journal_init(&f->journal);
}

void journal_file_close(struct journal_file *f)
{
	forget(f);
	journal_finish(&f->journal);
	journal_finish(&f->before);
	close_p(&f->lock);
	f->lock = -1;
}

static int failed(const char *name, const char *what, struct err *err)
{
	return err_set(err, "%s of this node cannot be %s: %s", name, what, strerror(errno));
}

/* --- the file ------------------------------------------------------------------------------ */

static int open_regular(int dir, const char *name, int flags)
{
	struct stat st;
	int fd = openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);

	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		errno = EINVAL;
		return -1;
	}
	return fd;
}

static int write_all(int fd, const char *bytes, size_t n, size_t at)
{
	while (n) {
		ssize_t done = pwrite(fd, bytes, n, (off_t)at);

		if (done < 0 && errno == EINTR) {
			continue;
		}
		if (done <= 0) {
			errno = done ? errno : EIO;
			return -1;
		}
		bytes += done;
		n -= (size_t)done;
		at += (size_t)done;
	}
	return 0;
}

/* What a file holds, but for the zeros at its end: these are most of it, and a start of the daemon
 * waits for this. */
static int read_all(int fd, struct buf *out)
{
	static const char zeros[32 * KiB];
	char part[32 * KiB];
	size_t skipped = 0;
	ssize_t n;

	while ((n = read(fd, part, sizeof(part))) != 0 && buf_ok(out)) {
		if (n < 0 && errno != EINTR) {
			return -1;
		}
		if (n < 0 || memcmp(part, zeros, (size_t)n) == 0) {
			skipped += n < 0 ? 0 : (size_t)n;
			continue;
		}
		for (; skipped; skipped -= MIN(skipped, sizeof(zeros))) {
			buf_add(out, zeros, MIN(skipped, sizeof(zeros)));
		}
		buf_add(out, part, (size_t)n);
	}
	return 0;
}

/* --- made anew ----------------------------------------------------------------------------- */

/* Four times what it says: then it is long until it is full. */
static size_t room_for(size_t whole)
{
	size_t size = (whole * 4 + MiB - 1) / MiB * MiB;

	return MIN(MAX(size, MiB), (size_t)JOURNAL_MAX_BYTES);
}

/*
 * The zeros are written, not reserved by fallocate: ext4 and xfs mark reserved blocks as unwritten,
 * and each first write to one changes the file's map, which fdatasync then has to commit
 * (ext4_convert_unwritten_extents in fs/ext4/extents.c).
 */
static int fill_new(int fd, const struct buf *whole, size_t size)
{
	static const char zeros[64 * KiB];

	if (write_all(fd, whole->bytes, whole->len, 0) < 0) {
		return -1;
	}
	for (size_t at = whole->len; at < size;) {
		size_t n = MIN(size - at, sizeof(zeros));

		if (write_all(fd, zeros, n, at) < 0) {
			return -1;
		}
		at += n;
	}
	return fsync(fd);
}

static int make_new(struct journal_file *f, const struct buf *whole, size_t size, struct err *err)
{
	int fd;

	if (unlinkat(f->dir, JOURNAL_NEW, 0) < 0 && errno != ENOENT) {
		return failed(JOURNAL_NEW, "removed", err);
	}
	fd = open_regular(f->dir, JOURNAL_NEW, O_RDWR | O_CREAT | O_EXCL);
	if (fd < 0) {
		return failed(JOURNAL_NEW, "made", err);
	}
	if (fill_new(fd, whole, size) < 0) {
		failed(JOURNAL_NEW, "written", err);
		close(fd);
		unlinkat(f->dir, JOURNAL_NEW, 0);
		return -1;
	}
	return fd;
}

/* The folder's entries lie on the disk. Until they do, a power cut may bring the old file back. */
static int sync_folder(struct journal_file *f, struct err *err)
{
	f->unsure = fsync(f->dir) < 0;
	return f->unsure ? failed("the folder of the journal", "written", err) : 0;
}

/* Puts a file in the journal's place that says `whole`; its old records are forgotten. */
static int replace(struct journal_file *f, const struct buf *whole, struct err *err)
{
	size_t size = room_for(whole->len);
	int fd = make_new(f, whole, size, err);

	if (fd < 0) {
		return -1;
	}
	if (renameat(f->dir, JOURNAL_NEW, f->dir, JOURNAL) < 0) {
		failed(JOURNAL_NEW, "renamed", err);
		close(fd);
		unlinkat(f->dir, JOURNAL_NEW, 0);
		return -1;
	}
	forget(f);
	f->fd = fd;
	f->size = size;
	journal_read(whole->bytes, whole->len, &f->journal);
	journal_synced(&f->journal);
	return sync_folder(f, err);
}

int journal_file_compact(struct journal_file *f, struct err *err)
{
	auto_buf struct buf whole = {.max = MAX_WHOLE};

	if (journal_whole(&f->journal, &whole, err) < 0) {
		return err_wrap(err, "the journal of this node is full");
	}
	return replace(f, &whole, err);
}

/* --- opened -------------------------------------------------------------------------------- */

static int take_lock(struct journal_file *f, struct err *err)
{
	if (f->lock >= 0) {
		return 0;
	}
	f->taken = false;
	f->lock = open_regular(f->dir, JOURNAL_LOCK, O_RDWR | O_CREAT);
	if (f->lock < 0) {
		return failed(JOURNAL_LOCK, "opened", err);
	}
	if (flock(f->lock, LOCK_EX | LOCK_NB) < 0) {
		bool held = f->taken = errno == EWOULDBLOCK;

		failed(JOURNAL_LOCK, "locked", err);
		close_p(&f->lock);
		f->lock = -1;
		return held ? err_set(err, "another process has the journal of this node: two "
					   "vmgpu-node run here, or a child of an earlier one has "
					   "not ended")
			    : -1;
	}
	return 0;
}

/* The first of all, or the first after a restart. */
static int begin(struct journal_file *f, const char *node, const char *boot,
		 const struct journal_unit *units, size_t n, struct err *err)
{
	auto_buf struct buf whole = {.max = MAX_WHOLE};
	attr_cleanup(journal_finish) struct journal fresh;
	const struct journal_head head = {JOURNAL_VERSION, node, boot};
	struct journal_record r = {.head = &head};

	journal_init(&fresh);
	for (size_t i = 0; i <= n; i++) {
		size_t from = whole.len;

		if (journal_line(&fresh, &r, &whole, err) < 0) {
			return -1;
		}
		journal_note(&fresh, whole.bytes + from, whole.len - from);
		r = (struct journal_record){.unit = i < n ? &units[i] : NULL};
	}
	return replace(f, &whole, err);
}

static int read_file(struct journal_file *f, struct err *err)
{
	auto_buf struct buf bytes = {.max = JOURNAL_MAX_BYTES};
	struct stat st;

	if (fstat(f->fd, &st) < 0 || read_all(f->fd, &bytes) < 0) {
		return failed(JOURNAL, "read", err);
	}
	journal_read(buf_text(&bytes), bytes.len, &f->journal);
	f->size = (size_t)st.st_size;
	if (f->size > JOURNAL_MAX_BYTES && f->journal.health == JOURNAL_GOOD) {
		f->journal.health = JOURNAL_BROKEN;
		f->journal.trouble = "this node's journal is larger than it ever becomes";
	}
	return 0;
}

/* A journal that can be continued: without what a power cut left behind its end, and with the boot
 * that is now. Not another node's, which is as little ours to write as to obey. */
static int settle(struct journal_file *f, const char *node, const char *boot, struct err *err)
{
	const struct journal_head head = {JOURNAL_VERSION, node, boot};

	if (f->journal.health != JOURNAL_GOOD || !str_eq(f->journal.head.node, node)) {
		return 0;
	}
	if (f->journal.torn && journal_file_compact(f, err) < 0) {
		return -1;
	}
	if (str_eq(f->journal.head.boot, boot)) {
		return 0;
	}
	return journal_file_add(f, &(struct journal_record){.head = &head}, true, err);
}

static int open_locked(struct journal_file *f, const char *node, const char *boot, struct err *err)
{
	forget(f);
	f->fd = open_regular(f->dir, JOURNAL, O_RDWR);
	if (f->fd < 0 && errno == ENOENT) {
		return begin(f, node, boot, NULL, 0, err);
	}
	if (f->fd < 0) {
		return failed(JOURNAL, "opened", err);
	}
	return read_file(f, err) < 0 ? -1 : settle(f, node, boot, err);
}

int journal_file_open(struct journal_file *f, const char *node, const char *boot, struct err *err)
{
	struct err why;

	if (take_lock(f, &why) == 0 && open_locked(f, node, boot, &why) == 0) {
		return 0;
	}
	forget(f);
	journal_close(&f->journal, why.text);
	return err_set(err, "%s", why.text);
}

/* --- written ------------------------------------------------------------------------------- */

/* What a failed write or sync left on the disk is not known, and the kernel may take pages for
 * written that are not: nothing is added before all was written to a new file. */
static int mend(struct journal_file *f, struct err *err)
{
	return f->unsure ? journal_file_compact(f, err) : 0;
}

static int make_room(struct journal_file *f, size_t n, struct err *err)
{
	if (f->journal.size + n <= f->size / 4 * 3) {
		return 0;
	}
	return journal_file_compact(f,
				    err); /* then it is half empty at most, which is many lines */
}

static int append(struct journal_file *f, const struct buf *line, bool sync, struct err *err)
{
	f->unsure = true;
	if (write_all(f->fd, line->bytes, line->len, f->journal.size) < 0 ||
	    (sync && fdatasync(f->fd) < 0)) {
		return failed(JOURNAL, "written", err);
	}
	f->unsure = false;
	journal_note(&f->journal, line->bytes, line->len);
	if (sync) {
		journal_synced(&f->journal);
	}
	return 0;
}

int journal_file_add(struct journal_file *f, const struct journal_record *r, bool sync,
		     struct err *err)
{
	auto_buf struct buf line = {.max = JOURNAL_MAX_LINE};
	int64_t number = f->journal.number, safe = f->journal.safe;

	if (f->journal.health != JOURNAL_GOOD || f->fd < 0) {
		return err_set(err, "the journal of this node cannot be continued: %s",
			       f->journal.trouble);
	}
	/* First as a question: what is no record costs nobody a new file. In that it has another number. */
	if (journal_line(&f->journal, r, &line, err) < 0 || mend(f, err) < 0 ||
	    make_room(f, line.len, err) < 0) {
		return -1;
	}
	if (number != f->journal.number || safe != f->journal.safe) {
		buf_reset(&line);
		if (journal_line(&f->journal, r, &line, err) < 0) {
			return -1;
		}
	}
	return append(f, &line, sync, err);
}

/* --- kept aside ---------------------------------------------------------------------------- */

/* A second name for it: there is a journal at every moment. */
static int keep_aside(struct journal_file *f, struct err *err)
{
	for (int i = 1; i <= MAX_BAD; i++) {
		auto_free char *name = xprintf(JOURNAL ".bad-%d", i);

		if (linkat(f->dir, JOURNAL, f->dir, name, 0) == 0) {
			return 0;
		}
		if (errno != EEXIST) {
			return failed(name, "made", err);
		}
	}
	return err_set(err,
		       "there are %d journals kept aside already (" JOURNAL ".bad-1 ...): look "
		       "at them and remove them",
		       MAX_BAD);
}

int journal_file_restart(struct journal_file *f, const char *node, const char *boot,
			 const struct journal_unit *units, size_t n, struct err *err)
{
	if (f->journal.health != JOURNAL_BROKEN) {
		return err_set(err, "only a journal that is damaged is begun anew");
	}
	return keep_aside(f, err) < 0 ? -1 : begin(f, node, boot, units, n, err);
}
