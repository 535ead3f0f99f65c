/* SPDX-License-Identifier: Apache-2.0 */
/*
 * observe.h: `vmgpu-node observe`, the eyes: answers on a unix socket who uses units (eyes_wire.h),
 * and what NVIDIA's cards say of themselves (reading.h). RIM.
 *
 * It runs apart from what writes: with hostPID and the capabilities SYS_PTRACE and DAC_READ_SEARCH,
 * and it writes nothing but its socket. It looks only when it is asked, and each time in a child,
 * since what it reads may hang. One question a connection, which is closed behind the answer.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"

enum {
	OBSERVE_AT_ONCE = 8,	    /* connections */
	OBSERVE_PATIENCE_MS = 2000, /* until a question is asked */
};

struct observe;

struct observe_settings {
	struct loop *loop;
	const char *socket;		/* path; who stands there is replaced */
	int sys, proc;			/* above 2, lent */
	int (*run)(void *job, int out); /* NULL: users_run; of tests */
	const char *nvml;		/* NVIDIA's library */
	int64_t read_ms;		/* 0: READER_DEADLINE_MS; of tests */
};

/* NULL and err when it cannot listen. */
struct observe *observe_create(const struct observe_settings *s, struct err *err);
/* NULL. */
struct observe *observe_destroy(struct observe *o);

struct observe_options {
	const char *socket, *sys_root, *proc_root, *nvml;
};

/* Until SIGTERM or SIGINT. 0, or -1 and err. */
int observe_run(const struct observe_options *options, struct err *err);
