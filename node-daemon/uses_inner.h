/* SPDX-License-Identifier: Apache-2.0 */
/* uses_inner.h: private to the files uses*.c: use (uses.c), devices (uses_units.c)
 * and calls (uses_call.c). */
#pragma once

#include "node-daemon/uses.h"

#define NEVER INT64_MAX

/* What a device waits for. */
enum step {
	REST,	 /* nothing */
	PODS,	 /* a list that was asked for at `due` or later */
	HOLDERS, /* whether a process has it open */
	CLEAN,	 /* its reset */
};

struct call;

struct use {
	char *id, *place, *resource, *why, *methods;
	bool there, hosted, vgpu;
	enum uses_state state;
	enum step step;
	int64_t due;	  /* PODS: when to ask; NEVER: on a beat */
	int64_t need;	  /* PODS: only lists from this one on count */
	enum step flight; /* HOLDERS or CLEAN are under way */
	bool heed;	  /* their answer counts: the device waits for just that */
	bool older;	  /* only an older boot knew it: the machine has been reset since */
	bool fresh;  /* nobody was ever seen to have it, and no record says so: no reset is owed */
	bool owed;   /* it was pulled out as it was, unclean: it may come back */
	bool record; /* to be written */
	bool unwritten; /* and was not */
	char *ns, *pod;
	char *given_as;		       /* the resource under which it was given */
	char *trouble;		       /* NULL: none */
	const struct dpapi_hold *seen; /* in the list that is being looked at, else NULL */
	int64_t given, absent, pause;
	char *method; /* of the last reset, NULL: none */
	int64_t reset_ms, reset_at;
	bool reset_ok;
	struct call *call; /* that wants it */
};

enum fate { OPEN, GOOD, BAD };

struct call {
	void *handle;
	struct arena arena; /* asks */
	struct dpapi_asks asks;
	char *resource;
	struct use **units;
	size_t n, size;
	int64_t begun;
	enum fate fate;
	char *why;
};

struct uses {
	char *boot;
	struct arena arena; /* restored */
	LIST(struct journal_use) restored;
	struct use **items; /* by id */
	size_t n, size;
	struct call **calls;
	size_t calls_n, calls_size;
	struct call *spent; /* handed out, and gone with the next work */
	bool asking;	    /* for pods */
	int64_t round;	    /* of the last ask */
	int64_t deaf;	    /* until then absence says nothing */
	char *pods_why;	    /* the last ask failed */
	struct journal_use record;
	struct journal_reset record_reset;
};

#define USE_NO_RESET                                                                                \
	"after its last use it was not made clean, since it has no reset; restart the node, which " \
	"cleans it"

/* uses.c */
void use_text(char **to, const char *text); /* a copy; text may be *to, or NULL */
/* An answer that is under way belongs to the step before. */
void use_go(struct use *x, enum step step, int64_t due);
void use_verify(struct uses *u, struct use *x,
		int64_t now); /* pods, processes, reset, from there */
bool use_ready(const struct use *x);
/* Ready, or a vGPU that cannot be given since it vanished by itself: its end is its removal. */
bool use_cleanable(const struct use *x);
bool use_wanted(const struct use *x);		 /* by a call that is open */
void use_refuse(struct use *x, const char *why); /* that call, if there is one */
/* It is gone, or went through other hands: what we knew of it is of no use any more. */
void use_forget(struct use *x);
void use_forget_reset(struct use *x);
void use_pulled_out(struct use *x);

/* uses_units.c */
struct use *use_find(const struct uses *u, const char *id);
void use_free(struct use *x);

/* uses_call.c */
void call_refuse(struct call *c, const char *why);
/* Gives all devices of it, if all are free by now. */
void call_settle(struct uses *u, struct call *c, int64_t now);
void call_late(const struct uses *u, struct call *c); /* its time is over */
void call_let_go(struct call *c);		      /* its devices may go to others */
void call_free(struct call *c);			      /* and lets its devices go; NULL is fine */
