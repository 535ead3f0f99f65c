/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/looks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "node-daemon/scan.h"
#include "node-daemon/uevent.h"
#include "node-daemon/unit.h"

/* However it ends, there is a next one. */
static int look(struct looks *l, struct err *err)
{
	int rc = scan(l->sys, &l->machine, err);
	bool soon = rc < 0 || l->events < 0;

	l->looked_at = loop_now(l->loop);
	loop_timer_set(l->timer, l->looked_at + (soon ? LOOKS_BLIND_MS : LOOKS_SELDOM_MS));
	return rc;
}

static bool all_have_names(const struct machine *m)
{
	list_each(f, &m->functions) {
		if ((*f)->kind == PCI_GPU && !unit_is_known(*f)) {
			return false;
		}
	}
	return true;
}

void looks_words(struct looks *l)
{
	words_fill(&l->words, &l->machine);
}

static void on_time(void *ctx)
{
	struct looks *l = ctx;
	int64_t begun = clock_boot_ms(), ended;
	struct err err;

	free(take(l->blind));
	if (look(l, &err) < 0) {
		log_warn("the machine could not be looked at", log_str("reason", err.text));
		l->blind = xstrdup(err.text);
	} else {
		looks_words(l);
	}
	l->fn(l->ctx);
	ended = clock_boot_ms();
	l->free_at = ended + MIN(MAX((ended - begun) * 10, (int64_t)LOOKS_SPACE_MS),
				 (int64_t)LOOKS_SPACE_MAX_MS);
	loop_timer_set(l->timer, MAX(loop_timer_at(l->timer), l->free_at)); /* fn may want one */
}

static void stop_listening(struct looks *l)
{
	if (l->events >= 0) {
		l->listening = loop_remove(l->listening);
		close(l->events);
		l->events = -1;
	}
}

void looks_soon(struct looks *l)
{
	int64_t at = MAX(loop_now(l->loop), l->free_at);

	if (at < loop_timer_at(l->timer)) {
		loop_timer_set(l->timer, at);
	}
}

static void on_event(void *ctx, int fd, attr_unused uint32_t epoll_events)
{
	struct looks *l = ctx;
	struct err err;
	int rc = uevent_drain(fd, &err);

	if (rc < 0) {
		log_warn("no more kernel events", log_str("reason", err.text));
		stop_listening(l);
	}
	if (rc) {
		looks_soon(l);
	}
}

static void listen_to_kernel(struct looks *l)
{
	struct err err;

	l->events = uevent_open(&err);
	if (l->events >= 0) {
		l->listening = loop_add(l->loop, l->events, EPOLLIN, on_event, l, "uevent");
		if (l->listening) {
			return;
		}
		err_set(&err, "epoll: %s", strerror(errno));
		close(l->events);
		l->events = -1;
	}
	log_warn("hardware is looked at every few seconds: the kernel's events cannot be had",
		 log_str("reason", err.text));
}

int looks_start(struct looks *l, struct loop *loop, int sys, const char *pci_ids, struct err *err)
{
	l->loop = loop;
	l->sys = sys;
	l->words = (struct words){.path = pci_ids};
	machine_init(&l->machine);
	l->timer = loop_timer_create(loop, on_time, l, "look");
	listen_to_kernel(l); /* before the look, so that nothing falls between */
	if (look(l, err) < 0) {
		looks_finish(l);
		return -1;
	}
	if (!all_have_names(&l->machine)) {
		looks_words(l);
	}
	return 0;
}

void looks_finish(struct looks *l)
{
	stop_listening(l);
	l->timer = loop_timer_destroy(l->timer);
	free(take(l->blind));
	words_finish(&l->words);
	machine_finish(&l->machine);
}
