/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/observe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/link.h"
#include "base/log.h"
#include "node-daemon/eyes.h"
#include "node-daemon/reader.h"

#define QUESTION_BYTES (4 * MiB)

struct observe {
	struct observe_settings s;
	char *socket;
	struct eyes *eyes; /* which look here */
	struct reader *reader;
	size_t looking; /* callers */
	int fd;
	struct loop_io *io;
	struct link callers;
	size_t n;
};

struct caller {
	struct observe *o;
	struct link link;
	struct arena arena;
	struct eyes_question question;
	int fd;
	struct loop_io *io;
	struct loop_timer *timer;
	bool asked, gone; /* gone: it is answered by nobody any more, but its look goes on */
};

/* --- callers ------------------------------------------------------------------------------- */

static void caller_close(struct caller *c)
{
	if (!c->gone) {
		loop_remove(c->io);
		close(c->fd);
		loop_timer_destroy(c->timer);
	}
	c->gone = true;
}

static void caller_free(struct caller *c)
{
	caller_close(c);
	link_remove(&c->link);
	c->o->n--;
	arena_finish(&c->arena);
	free(c);
}

static void caller_answer(struct caller *c, bool written, const struct buf *line)
{
	if (!c->gone &&
	    (!written || send(c->fd, line->bytes, line->len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)) {
		log_warn("an answer could not be given", log_int("bytes", line->len));
	}
	caller_free(c);
}

/* --- who uses units ------------------------------------------------------------------------- */

/* A reading would hold it. */
static bool is_readable(const struct eyes_unit *u)
{
	list_each(f, &u->functions) {
		if (!f->vgpus && str_eq(f->driver, "nvidia")) {
			return true;
		}
	}
	return false;
}

/* Whoever hears that nobody uses a card may take it from its driver now. */
static void keep_quiet(struct caller *c, const struct eyes_answer *a)
{
	for (size_t i = 0; i < a->units.n; i++) {
		if (a->units.items[i].users == BIND_USERS_NONE &&
		    is_readable(&c->question.items[i])) {
			reader_quiet(c->o->reader);
		}
	}
}

static void on_answer(void *ctx, const struct eyes_answer *a)
{
	auto_buf struct buf line = {.max = 2 * EYES_MAX_LINE};
	struct caller *c = ctx;

	c->o->looking--;
	keep_quiet(c, a);
	caller_answer(c, eyes_answer_write(a, &line) == 0, &line);
}

static void on_clear(void *ctx)
{
	struct caller *c = ctx;

	eyes_ask(c->o->eyes, &c->question, EYES_LOOK_MS, on_answer, c);
}

/* --- what cards say of themselves ----------------------------------------------------------- */

static void on_reading(void *ctx, const struct reading *r)
{
	auto_buf struct buf line = {.max = 2 * EYES_MAX_LINE};

	caller_answer(ctx, reading_write(r, &line) == 0, &line);
}

static void read_cards(struct caller *c, const struct reading_question *q)
{
	static const struct reading not_now = {
		.why = "it is being looked who uses cards", .library = "", .driver = ""};

	if (c->o->looking) {
		on_reading(c, &not_now);
	} else {
		reader_ask(c->o->reader, q, on_reading, c);
	}
}

/* --- questions ------------------------------------------------------------------------------ */

/* What is no question is not answered: who asks takes that for unknown. */
static void take_question(struct caller *c, const char *bytes, size_t n)
{
	struct reading_question cards = {0};
	struct err err;
	int rc = reading_question_read(bytes, n, &c->arena, &cards, &err);

	if (rc == 0) {
		rc = eyes_question_read(bytes, n, &c->arena, &c->question, &err);
	}
	if (rc < 0) {
		log_warn("a question cannot be read", log_str("reason", err.text));
		caller_free(c);
		return;
	}
	c->asked = true;
	loop_timer_set(c->timer, INT64_MAX);
	if (rc) {
		read_cards(c, &cards);
	} else {
		c->o->looking++;
		reader_clear(c->o->reader, on_clear, c);
	}
}

static void on_packet(void *ctx, int fd, attr_unused uint32_t events)
{
	struct caller *c = ctx;
	auto_free char *bytes = xmalloc(EYES_MAX_LINE + 1);
	ssize_t n = recv(fd, bytes, EYES_MAX_LINE + 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (c->asked) {
		caller_close(c); /* it hung up, or says more than one thing */
	} else if (n <= 0) {
		caller_free(c);
	} else {
		take_question(c, bytes, (size_t)n);
	}
}

static void on_silence(void *ctx)
{
	caller_free(ctx);
}

static void on_caller(void *ctx, int fd, attr_unused uint32_t events)
{
	struct observe *o = ctx;
	int there = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct caller *c;

	if (there < 0) {
		return;
	}
	if (o->n == OBSERVE_AT_ONCE) {
		close(there);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	*c = (struct caller){.o = o, .fd = there};
	arena_init(&c->arena, QUESTION_BYTES);
	link_init(&c->link);
	link_append(&o->callers, &c->link);
	o->n++;
	c->io = loop_add(o->s.loop, there, EPOLLIN, on_packet, c, "question");
	c->timer = loop_timer_create(o->s.loop, on_silence, c, "question");
	loop_timer_set(c->timer, loop_now(o->s.loop) + OBSERVE_PATIENCE_MS);
}

/* --- the socket ---------------------------------------------------------------------------- */

/* Its folder is made where it is missing: of a pod it is a volume that both containers have. */
static void make_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	auto_free char *folder =
		slash && slash > path ? xstrndup(path, (size_t)(slash - path)) : NULL;

	if (folder) {
		mkdir(folder, 0700);
	}
}

/* For root alone: whoever may ask learns the names of the machine's processes. */
static int listen_at(int fd, const char *path, struct err *err)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	mode_t before;
	int rc;

	if (strlen(path) >= sizeof(at.sun_path)) {
		return err_set(err, "--eyes-socket %s: longer than %zu bytes; take a shorter path",
			       path, sizeof(at.sun_path) - 1);
	}
	memcpy(at.sun_path, path, strlen(path));
	make_folder(path);
	unlink(path);
	before = umask(0177);
	rc = bind(fd, (struct sockaddr *)&at, sizeof(at));
	umask(before);
	if (rc < 0 || listen(fd, OBSERVE_AT_ONCE) < 0) {
		return err_set(err, "--eyes-socket %s: %s; its folder must be there and writable",
			       path, strerror(errno));
	}
	return 0;
}

struct observe *observe_create(const struct observe_settings *s, struct err *err)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct observe *o;

	if (fd < 0) {
		err_set(err, "unix socket: %s", strerror(errno));
		return NULL;
	}
	if (listen_at(fd, s->socket, err) < 0) {
		close(fd);
		return NULL;
	}
	o = xcalloc(1, sizeof(*o));
	*o = (struct observe){.s = *s, .socket = xstrdup(s->socket), .fd = fd};
	link_init(&o->callers);
	o->eyes = eyes_create(&(struct eyes_settings){
		.loop = s->loop, .sys = s->sys, .proc = s->proc, .run = s->run});
	o->reader = reader_create(&(struct reader_settings){
		.loop = s->loop, .library = s->nvml, .deadline_ms = s->read_ms});
	o->io = loop_add(s->loop, fd, EPOLLIN, on_caller, o, "callers");
	return o;
}

struct observe *observe_destroy(struct observe *o)
{
	eyes_destroy(o->eyes);
	reader_destroy(o->reader);
	link_each(l, &o->callers)
	{
		caller_free(container_of(l, struct caller, link));
	}
	loop_remove(o->io);
	close(o->fd);
	unlink(o->socket);
	free(o->socket);
	free(o);
	return NULL;
}

/* --- the program --------------------------------------------------------------------------- */

static void on_signal(void *ctx, attr_unused int signo)
{
	loop_stop(ctx);
}

int observe_run(const struct observe_options *options, struct err *err)
{
	static const int signals[] = {SIGTERM, SIGINT};
	auto_close int sys = open(options->sys_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_close int proc = open(options->proc_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct loop *loop;
	struct observe *o;

	if (sys < 0 || proc < 0) {
		return err_set(err, "--sys-root %s, --proc-root %s: %s", options->sys_root,
			       options->proc_root, strerror(errno));
	}
	loop = loop_create();
	o = observe_create(&(struct observe_settings){.loop = loop,
						      .socket = options->socket,
						      .sys = sys,
						      .proc = proc,
						      .nvml = options->nvml},
			   err);
	if (o) {
		loop_signals(loop, signals, ARRAY_LEN(signals), on_signal, loop);
		log_info("answers who uses GPUs", log_str("socket", options->socket));
		loop_run(loop);
		observe_destroy(o);
	}
	loop_destroy(loop);
	return o ? 0 : -1;
}
