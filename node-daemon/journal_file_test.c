/* SPDX-License-Identifier: Apache-2.0 */
/* The journal on a real disk: what was recorded is there after every end that a process, a disk or
 * another process can make of it. */
#include "node-daemon/journal_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/test.h"

static char *root;
static int dir = -1;
static struct journal_file f;

static void leave(void)
{
	DIR *d;

	journal_file_close(&f);
	if (dir < 0) {
		return;
	}
	d = fdopendir(dir);
	for (struct dirent *e; (e = readdir(d));) {
		unlinkat(dir, e->d_name, 0);
	}
	rmdir(root);
	closedir(d);
	free(take(root));
	dir = -1;
}

static void begin(void)
{
	if (!root) {
		f.fd = f.lock = -1;
	}
	leave();
	root = xstrdup("/tmp/vmgpu-journal-XXXXXX");
	ok(mkdtemp(root));
	dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok(dir >= 0);
	journal_file_init(&f, dir);
}

static int open_as(const char *node, const char *boot)
{
	struct err err;

	journal_file_close(&f);
	journal_file_init(&f, dir);
	return journal_file_open(&f, node, boot, &err);
}

static enum journal_health reopen(void)
{
	is_int(open_as("n", "b"), 0);
	return f.journal.health;
}

static int add(const char *place, const char *st, bool sync, struct err *err)
{
	struct journal_unit u = {
		.place = place,
		.id = "0000:41:00.0",
		.ids = "10de:26b9:10de:1851",
		.boot = "b",
		.state = st,
	};

	return journal_file_add(&f, &(struct journal_record){.unit = &u}, sync, err);
}

static void must_add(const char *place, const char *st, bool sync)
{
	struct err err = {""};

	if (add(place, st, sync, &err) < 0) {
		is_str(err.text, "");
	}
}

static const struct journal_unit *unit(const char *place)
{
	list_each(u, &f.journal.units) {
		if (str_eq(u->place, place)) {
			return u;
		}
	}
	return NULL;
}

static struct stat on_disk(const char *name)
{
	struct stat st = {0};

	ok(fstatat(dir, name, &st, 0) == 0);
	return st;
}

static char *slurp(const char *name, size_t *ret_n)
{
	auto_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *bytes;

	ok(fd >= 0 && fstat(fd, &st) == 0);
	bytes = xmalloc((size_t)st.st_size);
	ok(read(fd, bytes, (size_t)st.st_size) == st.st_size);
	*ret_n = (size_t)st.st_size;
	return bytes;
}

static void put(const char *name, size_t at, const char *bytes, size_t n)
{
	auto_close int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ok(fd >= 0 && pwrite(fd, bytes, n, (off_t)at) == (ssize_t)n);
}

/* No file may become longer than this, as on a full disk. */
static void limit(size_t most)
{
	struct rlimit l;

	signal(SIGXFSZ, SIG_IGN);
	is_int(getrlimit(RLIMIT_FSIZE, &l), 0);
	l.rlim_cur = most ? most : l.rlim_max;
	is_int(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void made_and_kept(void)
{
	struct stat first;

	begin();
	is_int(reopen(), JOURNAL_GOOD);
	first = on_disk("journal");
	is_int(first.st_size, MiB);
	is_int(first.st_blocks * 512 >= (off_t)MiB, 1); /* not sparse */
	is_int(first.st_mode & 0777, 0600);
	ok(faccessat(dir, "journal.new", F_OK, 0) < 0);
	must_add("a", JOURNAL_BINDING, true);
	must_add("b", JOURNAL_BINDING, true);
	is_int(f.journal.safe, 3);
	must_add("a", JOURNAL_BOUND, false);
	is_int(f.journal.safe, 3);
	is_int(reopen(), JOURNAL_GOOD);
	is_int(f.journal.units.n, 2);
	is_str(unit("a")->state, JOURNAL_BOUND);
	is_str(unit("b")->state, JOURNAL_BINDING);
	is_str(f.journal.head.node, "n");
	/* in place, in the same file */
	is_int(on_disk("journal").st_ino, first.st_ino);
	is_int(on_disk("journal").st_size, MiB);
}

static void boots(void)
{
	begin();
	is_int(reopen(), JOURNAL_GOOD);
	must_add("a", JOURNAL_BOUND, true);
	is_int(open_as("n", "b2"), 0);
	is_str(f.journal.head.boot, "b2");
	is_str(unit("a")->boot, "b");
	is_int(f.journal.safe, 3);
	is_int(open_as("n", "b2"), 0);
	is_int(f.journal.number, 3); /* said once */
}

static void torn(void)
{
	size_t end, n;
	struct stat before;

	begin();
	is_int(reopen(), JOURNAL_GOOD);
	must_add("a", JOURNAL_BOUND, true);
	end = f.journal.size;
	put("journal", end, "0123456789abcdef 3 2 {\"unit", 27);
	put("journal", 9000, "rest", 4);
	before = on_disk("journal");
	is_int(reopen(), JOURNAL_GOOD);
	is_str(unit("a")->state, JOURNAL_BOUND);
	/* behind the end there are zeros again */
	ok(on_disk("journal").st_ino != before.st_ino);
	{
		auto_free char *bytes = slurp("journal", &n);

		for (size_t i = f.journal.size; i < n; i++) {
			ok(!bytes[i]);
		}
	}
	must_add("b", JOURNAL_BOUND, true);
	is_int(reopen(), JOURNAL_GOOD);
	is_int(f.journal.units.n, 2);
	ok(!f.journal.torn);
}

/* A file that lost its zeros, and one that was cut within a record. */
static void cut_short(void)
{
	size_t end;

	for (int cut = 0; cut < 2; cut++) {
		begin();
		is_int(reopen(), JOURNAL_GOOD);
		must_add("a", JOURNAL_BOUND, true);
		end = f.journal.size;
		must_add("b", JOURNAL_BOUND, true);
		journal_file_close(&f);
		{
			auto_close int fd = openat(dir, "journal", O_WRONLY | O_CLOEXEC);

			is_int(ftruncate(fd, (off_t)end + cut * 9), 0);
		}
		is_int(reopen(), JOURNAL_GOOD);
		is_int(f.journal.units.n, 1);
		must_add("c", JOURNAL_BOUND, true);
		is_int(on_disk("journal").st_size, MiB);
		is_int(reopen(), JOURNAL_GOOD);
		is_int(f.journal.units.n, 2);
	}
}

static void full_again_and_again(void)
{
	ino_t first;
	const char *name;

	begin();
	is_int(reopen(), JOURNAL_GOOD);
	first = on_disk("journal").st_ino;
	must_add("kept", JOURNAL_BOUND, true);
	name = f.journal.units.items[0].place;
	for (int i = 0; i < 12000; i++) {
		must_add(i % 2 ? "a" : "b", JOURNAL_BOUND, false);
		if (on_disk("journal").st_ino != first) {
			is_str(name, "kept"); /* lent before it was made anew */
			first = 0;
		}
	}
	is_int(first, 0);
	is_int(on_disk("journal").st_size, MiB);
	ok(f.journal.size < MiB / 4 * 3);
	is_int(reopen(), JOURNAL_GOOD);
	is_int(f.journal.units.n, 3);
}

/* Strings of the journal itself in a record that makes it begin anew. */
static void records_from_the_journal(void)
{
	begin();
	is_int(reopen(), JOURNAL_GOOD);
	must_add("a", JOURNAL_BOUND, false);
	for (int i = 0; i < 9000; i++) {
		struct journal_unit u = f.journal.units.items[0];
		struct err err = {""};

		is_int(journal_file_add(&f, &(struct journal_record){.unit = &u}, false, &err), 0);
	}
	ok(f.journal.number < 9000);
	is_int(reopen(), JOURNAL_GOOD);
	is_int(f.journal.units.n, 1);
	is_str(unit("a")->id, "0000:41:00.0");
}

/* It grows with what it must say, and has an end, where what it says stays. */
static void grows_to_its_end(void)
{
	static struct journal_function many[JOURNAL_MAX_FUNCTIONS];
	struct err err = {""};
	int n = 0;

	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		many[i] = (struct journal_function){"0000:41:00.0", "10de:26b9:10de:1851", "", ""};
	}
	begin();
	is_int(reopen(), JOURNAL_GOOD);
	for (; n < JOURNAL_MAX_UNITS; n++) {
		auto_free char *place = xprintf("p%d", n);
		struct journal_unit u = {
			.place = place,
			.id = "0000:41:00.0",
			.ids = "10de:26b9:10de:1851",
			.boot = "b",
			.functions = {many, ARRAY_LEN(many)},
		};

		if (journal_file_add(&f, &(struct journal_record){.unit = &u}, false, &err) < 0) {
			break;
		}
	}
	has(err.text, "the journal of this node is full");
	is_int(on_disk("journal").st_size, JOURNAL_MAX_BYTES);
	ok(n > 100);
	is_int(f.journal.units.n, n);
	is_int(reopen(), JOURNAL_GOOD);
	is_int(f.journal.units.n, n);
}

static void disk_full(void)
{
	struct err err;
	struct stat before;
	int n = 0;

	/* no room for the first */
	begin();
	limit(100 * KiB);
	is_int(journal_file_open(&f, "n", "b", &err), -1);
	has(err.text, "journal.new of this node cannot be written: File too large");
	is_int(f.journal.health, JOURNAL_CLOSED);
	is_str(f.journal.trouble, err.text);
	is_int(add("a", JOURNAL_BOUND, true, &err), -1);
	has(err.text, "cannot be continued");
	ok(faccessat(dir, "journal", F_OK, 0) < 0 && faccessat(dir, "journal.new", F_OK, 0) < 0);
	limit(0);
	is_int(journal_file_open(&f, "n", "b", &err), 0);
	is_int(f.journal.health, JOURNAL_GOOD);

	/* no room for one made anew */
	must_add("kept", JOURNAL_BOUND, true);
	limit(900 * KiB);
	while (add("a", JOURNAL_BOUND, false, &err) == 0 && n < 20000) {
		n++;
	}
	has(err.text, "File too large");
	before = on_disk("journal");
	is_int(add("b", JOURNAL_BOUND, true, &err), -1);
	is_int(f.journal.units.n, 2);
	is_int(on_disk("journal").st_ino, before.st_ino);
	limit(0);
	must_add("b", JOURNAL_BOUND, true);
	is_int(reopen(), JOURNAL_GOOD);
	is_int(f.journal.units.n, 3);
}

/* A write that fails half way: nothing is recorded, and the next one does not trust the file. */
static void write_fails(void)
{
	struct err err;
	struct stat before;

	begin();
	is_int(reopen(), JOURNAL_GOOD);
	must_add("a", JOURNAL_BOUND, true);
	before = on_disk("journal");
	limit(f.journal.size + 20);
	is_int(add("b", JOURNAL_BOUND, true, &err), -1);
	has(err.text, "journal of this node cannot be written: File too large");
	is_int(f.journal.units.n, 1);
	is_int(add("b", JOURNAL_BOUND, true, &err), -1);
	limit(0);
	must_add("c", JOURNAL_BOUND, true);
	ok(on_disk("journal").st_ino != before.st_ino);
	is_int(reopen(), JOURNAL_GOOD);
	is_int(f.journal.units.n, 2);
	ok(unit("a") && unit("c"));
	ok(!f.journal.torn);
}

static void newer(void)
{
	static const char head[] = "9 8 {\"head\":{\"version\":2,\"node\":\"n\",\"boot\":\"b\"}}";
	size_t n, m;
	struct err err;

	begin();
	is_int(reopen(), JOURNAL_GOOD);
	must_add("a", JOURNAL_BOUND, true);
	{
		auto_free char *text = xprintf("3 2 %s", head + 4);
		auto_free char *line =
			xprintf("%016" PRIx64 " %s\n", hash_str(HASH_SEED, text), text);

		put("journal", f.journal.size, line, strlen(line));
	}
	auto_free char *before = slurp("journal", &n);

	is_int(reopen(), JOURNAL_NEWER);
	has(f.journal.trouble, "version 2");
	is_int(add("b", JOURNAL_BOUND, true, &err), -1);
	has(err.text, "version 2");
	is_int(journal_file_restart(&f, "n", "b", NULL, 0, &err), -1);
	auto_free char *after = slurp("journal", &m);

	ok(n == m && memcmp(before, after, n) == 0);
	ok(faccessat(dir, "journal.bad-1", F_OK, 0) < 0);
}

static void other_node(void)
{
	size_t n, m;

	begin();
	is_int(reopen(), JOURNAL_GOOD);
	must_add("a", JOURNAL_BOUND, true);
	put("journal", f.journal.size, "torn", 4);
	auto_free char *before = slurp("journal", &n);

	is_int(open_as("m", "b2"), 0);
	is_str(f.journal.head.node, "n");
	auto_free char *after = slurp("journal", &m);

	ok(n == m && memcmp(before, after, n) == 0);
}

static void locked(void)
{
	struct journal_file other;
	struct err err;
	int ready[2], status;
	char byte;
	pid_t child;

	begin();
	is_int(reopen(), JOURNAL_GOOD);
	journal_file_init(&other, dir);
	is_int(journal_file_open(&other, "n", "b", &err), -1);
	has(err.text, "another process has the journal");
	is_int(other.journal.health, JOURNAL_CLOSED);
	is_str(other.journal.trouble, err.text);
	journal_file_close(&f);
	is_int(journal_file_open(&other, "n", "b", &err), 0);
	is_int(other.journal.health, JOURNAL_GOOD);
	journal_file_close(&other);

	/* a child that keeps the descriptor keeps the lock */
	is_int(pipe(ready), 0);
	is_int(reopen(), JOURNAL_GOOD);
	child = fork();
	if (!child) {
		close(ready[1]);
		(void)!read(ready[0], &byte, 1);
		_exit(0);
	}
	journal_file_close(&f);
	is_int(journal_file_open(&other, "n", "b", &err), -1);
	close(ready[1]);
	close(ready[0]);
	is_int(waitpid(child, &status, 0), child);
	is_int(journal_file_open(&other, "n", "b", &err), 0);
	journal_file_close(&other);
}

static void damaged(void)
{
	const struct journal_unit q = {
		.place = "p",
		.id = "0000:41:00.0",
		.ids = "10de:26b9:10de:1851",
		.boot = "b",
		.why = "half taken",
	};
	struct err err;
	size_t n, m;

	begin();
	is_int(reopen(), JOURNAL_GOOD);
	must_add("a", JOURNAL_BOUND, true);
	must_add("b", JOURNAL_BOUND, true);
	is_int(journal_file_restart(&f, "n", "b", NULL, 0, &err), -1); /* it is good */
	put("journal", f.journal.size / 2, "#", 1);
	auto_free char *before = slurp("journal", &n);

	is_int(reopen(), JOURNAL_BROKEN);
	is_int(add("c", JOURNAL_BOUND, true, &err), -1);
	is_int(reopen(), JOURNAL_BROKEN); /* as it was */
	is_int(journal_file_restart(&f, "n", "b", &q, 1, &err), 0);
	is_int(f.journal.health, JOURNAL_GOOD);
	is_int(f.journal.units.n, 1);
	is_str(unit("p")->why, "half taken");
	auto_free char *after = slurp("journal.bad-1", &m);

	ok(n == m && memcmp(before, after, n) == 0);
	must_add("c", JOURNAL_BOUND, true);
	is_int(reopen(), JOURNAL_GOOD);
	is_int(f.journal.units.n, 2);
	is_str(unit("p")->why, "half taken");

	/* the next gets the next name, and names have an end */
	put("journal", 3, "#", 1);
	is_int(reopen(), JOURNAL_BROKEN);
	is_int(journal_file_restart(&f, "n", "b", NULL, 0, &err), 0);
	ok(faccessat(dir, "journal.bad-2", F_OK, 0) == 0);
	for (int i = 3; i < 99; i++) {
		auto_free char *name = xprintf("journal.bad-%d", i);

		put(name, 0, "", 0);
	}
	put("journal", 3, "#", 1);
	is_int(reopen(), JOURNAL_BROKEN);
	is_int(journal_file_restart(&f, "n", "b", NULL, 0, &err), 0);
	ok(faccessat(dir, "journal.bad-99", F_OK, 0) == 0);
	put("journal", 3, "#", 1);
	is_int(reopen(), JOURNAL_BROKEN);
	is_int(journal_file_restart(&f, "n", "b", NULL, 0, &err), -1);
	has(err.text, "kept aside already");
	is_int(reopen(), JOURNAL_BROKEN);
}

static void no_files(void)
{
	struct err err;

	/* empty, as after a file system check */
	begin();
	put("journal", 0, "", 0);
	is_int(reopen(), JOURNAL_BROKEN);
	has(f.journal.trouble, "empty");
	/* larger than any that was written */
	begin();
	is_int(reopen(), JOURNAL_GOOD);
	put("journal", JOURNAL_MAX_BYTES, "x", 1);
	is_int(reopen(), JOURNAL_BROKEN);
	has(f.journal.trouble, "larger");
	/* the same of zeros, and with something beyond many zeros */
	begin();
	is_int(reopen(), JOURNAL_GOOD);
	put("journal", 2 * (size_t)JOURNAL_MAX_BYTES, "", 1);
	is_int(reopen(), JOURNAL_BROKEN);
	begin();
	is_int(reopen(), JOURNAL_GOOD);
	must_add("a", JOURNAL_BOUND, true);
	must_add("b", JOURNAL_BOUND, true);
	must_add("c", JOURNAL_BOUND, true); /* which says that b is safe */
	{
		size_t n;
		auto_free char *bytes = slurp("journal", &n);
		auto_free char *tail = xcalloc(1, f.journal.size + 1);
		char *line = strchr(strchr(bytes, '\n') + 1, '\n') + 1;

		put("journal", 70000, strchr(line, '\n') + 1, strlen(line) / 2);
		put("journal", (size_t)(line - bytes), tail, strlen(line));
		is_int(reopen(), JOURNAL_BROKEN);
		has(f.journal.trouble, "damaged behind record 2");
	}
	/* what is no file */
	begin();
	is_int(mkdirat(dir, "journal", 0700), 0);
	is_int(journal_file_open(&f, "n", "b", &err), -1);
	is_int(f.journal.health, JOURNAL_CLOSED);
	is_int(unlinkat(dir, "journal", AT_REMOVEDIR), 0);
	is_int(symlinkat("elsewhere", dir, "journal"), 0);
	is_int(journal_file_open(&f, "n", "b", &err), -1);
	is_int(f.journal.health, JOURNAL_CLOSED);
	is_int(unlinkat(dir, "journal", 0), 0);
	/* what a crash left of one made anew */
	put("journal.new", 0, "half", 4);
	is_int(journal_file_open(&f, "n", "b", &err), 0);
	ok(faccessat(dir, "journal.new", F_OK, 0) < 0);
	/* the folder is gone */
	begin();
	is_int(rmdir(root), 0);
	is_int(journal_file_open(&f, "n", "b", &err), -1);
	has(err.text, "journal.lock of this node cannot be opened: No such file or directory");
}

/* Killed at any moment: what was said to be recorded is. */
static void killed(void)
{
	for (int round = 0; round < 20; round++) {
		int said[2], status, n = 0, stop = 1 + round * 7;
		char byte;
		pid_t child;

		begin();
		is_int(pipe2(said, O_CLOEXEC), 0);
		child = fork();
		if (!child) {
			journal_file_open(&f, "n", "b", NULL);
			for (int i = 0;; i++) {
				auto_free char *place = xprintf("p%d", i);
				struct err err;

				if (add(place, JOURNAL_BINDING, i % 5 == 0, &err) < 0 ||
				    write(said[1], ".", 1) != 1) {
					_exit(1);
				}
				if (i % 40 == 39 && journal_file_compact(&f, &err) < 0) {
					_exit(1);
				}
			}
		}
		close(said[1]);
		while (n < stop && read(said[0], &byte, 1) == 1) {
			n++;
		}
		is_int(n, stop);
		kill(child, SIGKILL);
		while (read(said[0], &byte, 1) == 1) {
			n++;
		}
		close(said[0]);
		is_int(waitpid(child, &status, 0), child);
		is_int(reopen(), JOURNAL_GOOD);
		ok(f.journal.units.n == (size_t)n || f.journal.units.n == (size_t)n + 1);
		must_add("after", JOURNAL_BOUND, true);
		is_int(reopen(), JOURNAL_GOOD);
		ok(unit("after"));
	}
	leave();
}

TESTS({"a journal is made, and kept", made_and_kept}, {"a new boot is recorded once", boots},
      {"a torn end is cut off", torn}, {"a file that was cut short", cut_short},
      {"a full file is made anew", full_again_and_again},
      {"a record may lend its strings from the journal", records_from_the_journal},
      {"it grows to its end, where all stays", grows_to_its_end},
      {"a full disk: nothing is recorded, nothing is lost", disk_full},
      {"a write that fails half way", write_fails},
      {"a newer version's journal is not touched", newer},
      {"another node's journal is not touched", other_node}, {"one process writes", locked},
      {"a damaged journal is kept aside", damaged}, {"what is no journal", no_files},
      {"killed at any moment", killed}, )
