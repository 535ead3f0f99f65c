/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eyes_wire.h: what the hands ask the eyes, and what these answer: one line of JSON each way. Pure.
 *
 *	{"v":1,"units":[{"id":"0000:41:00.0","group":7,"functions":[{"at":"0000:41:00.0","driver":"nvidia"}]}]}
 *	{"v":1,"units":[{"id":"0000:41:00.0","users":"some","who":"process 123 (Xorg)"}],
 *	 "versions":[{"name":"nvidia","version":"550.54.15"}]}
 *
 * Both come from other programs, so all is bounded, and what is not understood to its last byte is
 * no answer. Of a unit that an answer does not name nothing is known, and that counts as in use.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "node-daemon/plan_bind.h"

#define EYES_MAX_LINE (64 * KiB) /* a packet of SOCK_SEQPACKET */
enum {
	EYES_VERSION = 1,
	EYES_MAX_UNITS = 64,
	EYES_MAX_FUNCTIONS = 64, /* of one unit */
	EYES_MAX_VERSIONS = 16,
};

struct eyes_function {
	uint64_t at;
	const char *driver; /* never "": what has none nobody can use */
	bool vgpus;	    /* only the vGPUs on it are asked of, not the card itself */
	const char *uuid;   /* of these the mediated device; NULL, "": all */
};
struct eyes_unit {
	uint64_t id;
	int64_t group; /* -1: none */
	LIST(struct eyes_function) functions;
};
LIST_OF(eyes_question, struct eyes_unit);

struct eyes_says {
	uint64_t id;
	enum bind_users users;
	const char *who; /* SOME: for a sentence; UNKNOWN: why; NONE: "" */
};
struct eyes_version {
	const char *name, *version; /* of a driver or library */
};
struct eyes_answer {
	LIST(struct eyes_says) units;
	LIST(struct eyes_version) versions;
};

/* What is asked of a unit: of its functions that have a driver, aside from mere members of its
 * group. One of no GPUs is a place for vGPUs, or for the one mediated device that it
 * has. In the arena. */
void eyes_unit_of(const struct unit *u, struct arena *a, struct eyes_unit *ret);

/* 0, or -1: it is too long. Adds a line to out. */
int eyes_question_write(const struct eyes_question *q, struct buf *out);
int eyes_answer_write(const struct eyes_answer *answer, struct buf *out);

/* 0, or -1 and why it is none. Strings lie in the arena. */
int eyes_question_read(const char *bytes, size_t n, struct arena *a, struct eyes_question *ret,
		       struct err *err);
/* Has every unit of the question, in its order. */
int eyes_answer_read(const char *bytes, size_t n, const struct eyes_question *q, struct arena *a,
		     struct eyes_answer *ret, struct err *err);
/* Nothing is known of any, and why. */
void eyes_answer_unknown(const struct eyes_question *q, const char *why, struct arena *a,
			 struct eyes_answer *ret);
