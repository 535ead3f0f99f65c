/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/podres.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "node-daemon/grpc_io.h"

#define NOT_HEARD "; does it run, and is its folder mounted here?"

struct podres {
	struct loop *loop;
	const char *folder, *own;
	struct grpc_ask *ask;
	struct loop_timer *later; /* tells what failed at once */
	char *failed;
	bool allocatable; /* is what is asked for */
	podres_fn *done;  /* NULL: no question is open */
	void *ctx;
};

static void end(struct podres *p, const struct dpapi_holds *holds, const char *why)
{
	podres_fn *done = take(p->done);

	done(p->ctx, holds, why);
}

static void fail(struct podres *p, const char *why, const char *remedy)
{
	struct err err;

	err_set(&err, "%s/" PODRES_SOCKET ": the kubelet does not tell which %s: %s%s", p->folder,
		p->allocatable ? "devices there are" : "pod has which device", why, remedy);
	end(p, NULL, err.text);
}

static void on_later(void *ctx)
{
	struct podres *p = ctx;
	auto_free char *why = take(p->failed);

	fail(p, why, NOT_HEARD);
}

static void on_answer(void *ctx, const struct grpc_answer *a)
{
	struct podres *p = ctx;
	struct dpapi_holds holds;
	struct arena arena;
	struct err err;
	int r;

	p->ask = NULL;
	if (a->code != GRPC_OK) {
		err_set(&err, "%s%s%s", grpc_code_name(a->code), *a->text ? ": " : "", a->text);
		fail(p, err.text, NOT_HEARD);
		return;
	}
	arena_init(&arena, DPAPI_ARENA_MAX);
	r = p->allocatable ? dpapi_read_allocatable(a->message, a->n, &arena, &holds, &err)
			   : dpapi_read_pods(a->message, a->n, p->own, &arena, &holds, &err);
	if (r < 0) {
		fail(p, err.text, "");
	} else {
		end(p, &holds, NULL); /* p may be gone now */
	}
	arena_finish(&arena);
}

static int start(struct podres *p, struct err *err)
{
	const struct grpc_question q = {
		.path = p->allocatable ? DPAPI_ALLOCATABLE : DPAPI_PODS,
		.message = "",
		.timeout_ms = PODRES_TIMEOUT_MS,
		.max = PODRES_ANSWER_MAX,
		.done = on_answer,
		.ctx = p,
	};
	auto_close int folder = open(p->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (folder < 0) {
		return err_set(err, "%s", strerror(errno));
	}
	p->ask = grpc_ask(p->loop, folder, PODRES_SOCKET, &q, err);
	return p->ask ? 0 : -1;
}

static bool ask(struct podres *p, bool allocatable, podres_fn *done, void *ctx)
{
	struct err err;

	if (p->done) {
		return false;
	}
	p->allocatable = allocatable;
	p->done = done;
	p->ctx = ctx;
	if (start(p, &err) < 0) {
		p->failed = xstrdup(err.text);
		loop_timer_set(p->later, loop_now(p->loop));
	}
	return true;
}

bool podres_ask(struct podres *p, podres_fn *done, void *ctx)
{
	return ask(p, false, done, ctx);
}

bool podres_ask_allocatable(struct podres *p, podres_fn *done, void *ctx)
{
	return ask(p, true, done, ctx);
}

/* A clock that was set meanwhile makes it younger at most. */
int64_t podres_age_ms(const struct podres *p)
{
	auto_free char *path = xprintf("%s/" PODRES_SOCKET, p->folder);
	struct stat st;

	if (stat(path, &st) < 0) {
		return -1;
	}
	return MAX(clock_wall_ms() - (st.st_ctim.tv_sec * 1000 + st.st_ctim.tv_nsec / 1000000), 0);
}

struct podres *podres_create(struct loop *l, const char *folder, const char *own)
{
	struct podres *p = xcalloc(1, sizeof(*p));

	p->loop = l;
	p->folder = folder;
	p->own = str_empty(own) ? NULL : own;
	p->later = loop_timer_create(l, on_later, p, "pod-resources");
	return p;
}

struct podres *podres_destroy(struct podres *p)
{
	if (p) {
		if (p->ask) {
			grpc_unask(p->ask);
		}
		loop_timer_destroy(p->later);
		free(p->failed);
		free(p);
	}
	return NULL;
}
