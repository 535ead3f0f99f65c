/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/eyes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/link.h"
#include "base/process.h"
#include "node-daemon/users.h"

#define ASK_BYTES (4 * MiB)

struct eyes {
	struct eyes_settings s;
	char *socket; /* "": none */
	struct link asks;
	size_t n;
};

struct ask {
	struct users_job job; /* first: what the child sees as its context */
	struct eyes *e;
	struct link link;
	struct arena arena;
	struct eyes_question question;
	struct reading_question cards;
	const char *why; /* it has failed already */
	int64_t deadline_ms;
	eyes_fn *fn;
	eyes_read_fn *read; /* instead of fn: cards are asked for */
	void *ctx;
	int fd; /* -1: no socket */
	struct loop_io *io;
	struct loop_timer *timer;
	struct process *process;
};

static void question_copy(const struct eyes_question *q, struct arena *a, struct eyes_question *ret)
{
	*ret = (struct eyes_question){arena_array(a, struct eyes_unit, q->n), 0};
	list_each(u, q) {
		struct eyes_unit *to = &ret->items[ret->n++];

		*to = *u;
		to->functions.items = arena_array(a, struct eyes_function, u->functions.n);
		for (size_t i = 0; i < u->functions.n; i++) {
			to->functions.items[i] = (struct eyes_function){
				u->functions.items[i].at,
				arena_strdup(a, u->functions.items[i].driver),
				u->functions.items[i].vgpus,
				str_empty(u->functions.items[i].uuid)
					? NULL
					: arena_strdup(a, u->functions.items[i].uuid)};
		}
	}
}

/* --- the end of an ask --------------------------------------------------------------------- */

static void ask_close(struct ask *k)
{
	if (k->io) {
		k->io = loop_remove(k->io);
	}
	if (k->fd >= 0) {
		close(k->fd);
		k->fd = -1;
	}
	k->timer = k->timer ? loop_timer_destroy(k->timer) : NULL;
}

static void ask_free(struct ask *k)
{
	ask_close(k);
	link_remove(&k->link);
	k->e->n--;
	arena_finish(&k->arena);
	free(k);
}

/* Told while it is still counted: who asks again at once may be refused. */
static void tell(struct ask *k, const struct eyes_answer *answer)
{
	ask_close(k);
	k->fn(k->ctx, answer);
}

static void tell_reading(struct ask *k, const struct reading *reading)
{
	ask_close(k);
	k->read(k->ctx, reading);
}

static void tell_unknown(struct ask *k, const char *why)
{
	struct eyes_answer answer;

	if (k->read) {
		tell_reading(k, &(struct reading){.why = why, .library = "", .driver = ""});
		return;
	}
	eyes_answer_unknown(&k->question, why, &k->arena, &answer);
	tell(k, &answer);
}

static void tell_line(struct ask *k, const char *bytes, size_t n)
{
	struct eyes_answer answer;
	struct reading reading;
	struct err err;
	int rc = k->read ? reading_read(bytes, n, &k->cards, &k->arena, &reading, &err)
			 : eyes_answer_read(bytes, n, &k->question, &k->arena, &answer, &err);

	if (rc < 0) {
		tell_unknown(k, arena_printf(&k->arena, "the answer cannot be read: %s", err.text));
	} else if (k->read) {
		tell_reading(k, &reading);
	} else {
		tell(k, &answer);
	}
}

/* --- a look here --------------------------------------------------------------------------- */

static void on_looked(void *ctx, const struct process_result *result)
{
	struct ask *k = ctx;

	if (result->stuck || result->timed_out) {
		tell_unknown(k, "looking at the processes of this machine takes too long: one of "
				"them, or a driver, hangs in the kernel");
	} else if (result->status) {
		tell_unknown(k,
			     arena_printf(&k->arena, "looking failed with %d: %s", result->status,
					  *result->message ? result->message : "it said nothing"));
	} else {
		tell_line(k, result->out, result->length);
	}
	if (!result->stuck) {
		ask_free(k);
	}
}

/* One that hung counts until now, so that no more and more of them hang. */
static void on_ended(void *ctx)
{
	ask_free(ctx);
}

static int look(struct ask *k, struct err *err)
{
	const struct eyes_settings *s = &k->e->s;
	const int keep[] = {s->sys, s->proc};

	k->job = (struct users_job){s->sys, s->proc, &k->question};
	k->process = process_start(s->loop,
				   &(struct process_spec){
					   .name = "eyes",
					   .run = s->run ? s->run : users_run,
					   .keep = keep,
					   .n_keep = ARRAY_LEN(keep),
					   .timeout_ms = k->deadline_ms,
					   .max_out = EYES_MAX_LINE,
					   .done = on_looked,
					   .ended = on_ended,
					   .ctx = k,
				   },
				   err);
	return k->process ? 0 : -1;
}

/* --- a question to others ------------------------------------------------------------------ */

static void on_readable(void *ctx, int fd, attr_unused uint32_t events)
{
	struct ask *k = ctx;
	char *bytes = arena_alloc(&k->arena, EYES_MAX_LINE + 1);
	ssize_t n = recv(fd, bytes, EYES_MAX_LINE + 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (n <= 0) {
		tell_unknown(k, arena_printf(&k->arena, "%s: it hung up without an answer",
					     k->e->socket));
	} else {
		tell_line(k, bytes, (size_t)n);
	}
	ask_free(k);
}

/* Who answers may say that a card is free: that is for root, or for ourselves. */
static int check_peer(int fd, struct err *err)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
	    (peer.uid != 0 && peer.uid != geteuid())) {
		return err_set(err, "a user who is not root listens there");
	}
	return 0;
}

static int say(struct ask *k, struct err *err)
{
	auto_buf struct buf line = {.max = 2 * EYES_MAX_LINE};

	if ((k->read ? reading_question_write(&k->cards, &line)
		     : eyes_question_write(&k->question, &line)) < 0) {
		return err_set(err, "the question is too long");
	}
	if (send(k->fd, line.bytes, line.len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)line.len) {
		return err_set(err, "%s", strerror(errno));
	}
	k->io = loop_add(k->e->s.loop, k->fd, EPOLLIN, on_readable, k, "eyes");
	return k->io ? 0 : err_set(err, "%s", strerror(errno));
}

static int ask_others(struct ask *k, struct err *err)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	size_t n = strlen(k->e->socket);

	if (n >= sizeof(at.sun_path)) {
		return err_set(err, "the path is longer than %zu bytes", sizeof(at.sun_path) - 1);
	}
	memcpy(at.sun_path, k->e->socket, n);
	k->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (k->fd < 0 || connect(k->fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		return err_set(err, "%s; does vmgpu-node observe run?", strerror(errno));
	}
	return check_peer(k->fd, err) < 0 ? -1 : say(k, err);
}

static void on_time(void *ctx)
{
	struct ask *k = ctx;

	tell_unknown(k, k->why ? k->why
			       : arena_printf(&k->arena, "%s: no answer within %d ms", k->e->socket,
					      (int)k->deadline_ms));
	ask_free(k);
}

/* --- from outside -------------------------------------------------------------------------- */

static void begin(struct ask *k)
{
	struct eyes *e = k->e;
	int64_t now = loop_now(e->s.loop);
	struct err err;

	if (e->n > EYES_AT_ONCE) {
		k->why = "it was asked too often at once, or looks before hang in the kernel";
	} else if (!*e->socket && k->read) {
		k->why =
			"cards are read by vmgpu-node observe alone, and there is no --eyes-socket";
	} else if (!*e->socket && look(k, &err) == 0) {
		return;
	} else if (!*e->socket) {
		k->why = arena_printf(&k->arena, "looking failed: %s", err.text);
	} else if (ask_others(k, &err) < 0) {
		k->why = arena_printf(&k->arena, "%s: %s", e->socket, err.text);
	}
	k->timer = loop_timer_create(e->s.loop, on_time, k, "eyes");
	loop_timer_set(k->timer, k->why ? now : now + k->deadline_ms);
}

static struct ask *ask_new(struct eyes *e, int64_t deadline_ms, void *ctx)
{
	struct ask *k = xcalloc(1, sizeof(*k));

	*k = (struct ask){.e = e, .deadline_ms = deadline_ms, .ctx = ctx, .fd = -1};
	link_init(&k->link);
	link_append(&e->asks, &k->link);
	e->n++;
	arena_init(&k->arena, ASK_BYTES);
	return k;
}

void eyes_ask(struct eyes *e, const struct eyes_question *q, int64_t deadline_ms, eyes_fn *fn,
	      void *ctx)
{
	struct ask *k = ask_new(e, deadline_ms, ctx);

	k->fn = fn;
	question_copy(q, &k->arena, &k->question);
	begin(k);
}

void eyes_read(struct eyes *e, const struct reading_question *q, int64_t deadline_ms,
	       eyes_read_fn *fn, void *ctx)
{
	struct ask *k = ask_new(e, deadline_ms, ctx);

	k->read = fn;
	reading_question_copy(q, &k->arena, &k->cards);
	begin(k);
}

struct eyes *eyes_create(const struct eyes_settings *s)
{
	struct eyes *e = xcalloc(1, sizeof(*e));

	e->s = *s;
	e->socket = xstrdup(s->socket ? s->socket : "");
	link_init(&e->asks);
	return e;
}

struct eyes *eyes_destroy(struct eyes *e)
{
	link_each(l, &e->asks)
	{
		struct ask *k = container_of(l, struct ask, link);

		if (k->process) {
			process_kill(k->process);
		}
		ask_free(k);
	}
	free(e->socket);
	free(e);
	return NULL;
}
