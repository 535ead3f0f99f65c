/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uses.h: who has which device, from Allocate until it is free again. A step machine: facts and time
 * come in, work goes out; nothing is asked, reset or written here. It judges use alone: what is
 * offered, and what a container gets, is said elsewhere.
 *
 *	FREE	  clean, and nobody's: an Allocate is answered at once
 *	GIVEN	  an Allocate was answered, its pod was not seen yet
 *	HELD	  the kubelet lists a pod that has it
 *	RETURNING no pod has it any more: is it open? then it is reset
 *	DIRTY	  it was not made clean: it is for nobody
 *	UNPROVEN  what was done with it before is not known: as RETURNING, before it is first given
 *
 * What the kubelet does (1.36, cm/devicemanager) decides this. It waits for Allocate without end and
 * starts no pod meanwhile: each call ends within USES_CALL_MS. It tells nobody that a pod ended, nor
 * that an Allocate was void since another resource failed: so a device that is GIVEN or HELD and is
 * asked for again is looked at anew inside that call, and refused only if another pod is listed with
 * it or a process has it open. It names no namespace: so a device that cannot be made clean is for
 * nobody until a reset succeeds or the machine boots, though its last namespace is remembered.
 *
 * Silence frees nothing: neither a list that cannot be had, nor an answer about processes that is
 * not known. Pods are asked for when something was given, on each beat while something is held, and
 * not at all when nothing is.
 *
 * A boot cleans, too: of what only an older boot knew, where no reset works. And where none works and
 * nobody was ever seen to have it, none is owed. now is CLOCK_BOOTTIME.
 *
 * The rim tells what happened, carries out what uses_next hands it until that is USES_WAIT, and comes
 * back at ret_wake at the latest. Each ASK and RESET must have an answer sometime. A change of the
 * device's drivers must be told by uses_units before it begins, and may not begin while uses_busy.
 */
#pragma once

#include "node-daemon/dpapi.h"
#include "node-daemon/journal.h"

#define USES_UNITS_MAX 2048
#define USES_CALLS_MAX 64
#define USES_CALL_MS 10000    /* an Allocate, in all */
#define USES_PATIENCE_MS 3000 /* of it, for a process that still has the device open */
#define USES_AGAIN_MS 500     /* within an Allocate */
#define USES_SHOW_MS 30000    /* so long a pod may take to be listed behind its Allocate, */
#define USES_SHOW_ASKS 3      /* and so many lists without it */
#define USES_SHOW_FIRST_MS 100
#define USES_SHOW_LAST_MS 10000
#define USES_KUBELET_MS 10000 /* a kubelet that starts knows no pods before it has asked for them */
#define USES_BOOT_MS 300000   /* after a boot its driver may have a card until we bind it */
#define USES_DIRTY_FIRST_MS 60000
#define USES_DIRTY_LAST_MS 3600000

struct uses;

enum uses_state {
	USES_FREE,
	USES_GIVEN,
	USES_HELD,
	USES_RETURNING,
	USES_DIRTY,
	USES_UNPROVEN,
};

/* A device that exists now. */
struct uses_unit {
	const char *id;	      /* 0000:41:00.0: as the kubelet knows it */
	const char *place;    /* journal.h */
	const char *resource; /* that it is offered as; "": none */
	const char *why;      /* it cannot be given as it stands: a sentence; "": it can */
	const char *methods;  /* reset_method; "": it has no reset */
	bool hosted; /* a driver of the host has it, whose users leave behind what they will */
	/* A vGPU: all that was ever done with it is in the journal, so without a record it is clean. With
	 * no resource it is made when it is given, as whatever is asked for. */
	bool vgpu;
};

enum uses_holders { USES_NOBODY, USES_SOMEBODY, USES_NOT_KNOWN };

enum uses_do {
	USES_WAIT,
	USES_RECORD, /* record: written before the next work is asked for */
	USES_ANSWER, /* call, with what asks says */
	USES_REFUSE, /* call, with text */
	USES_ASK_PODS,
	USES_ASK_HOLDERS, /* of unit id */
	USES_RESET,	  /* of unit id, by the kernel's choice of methods */
};

struct uses_work {
	enum uses_do what;
	void *call;
	const struct dpapi_asks *asks;
	const char *resource; /* that was asked for */
	int64_t deadline;     /* of the call: when the kubelet must have its answer */
	const char *text, *id;
	const struct journal_use *record;
};

/* For the report. */
struct uses_view {
	const char *id;
	enum uses_state state;
	bool healthy;	      /* as the kubelet is to be told: it can be had, or somebody has it */
	const char *ns, *pod; /* that has it or had it last, "": not known */
	const char *resource; /* under which it was given, "": it was not, or that is not known */
	const char *why;      /* it is not as it should be: a sentence; "" */
	const char *method;   /* of the last reset, "": none; "boot": the machine's own */
	int64_t ms, at;	      /* that it took; when it ended, 0: before this boot */
	bool reset_ok;
};

/* boot: /proc/sys/kernel/random/boot_id */
struct uses *uses_create(const char *boot);
struct uses *uses_destroy(struct uses *u); /* NULL */

/* What the journal remembers: once, before all else; copied. */
void uses_restore(struct uses *u, const struct journal_use *records, size_t n);
/* All devices that exist now, in any order; of two with one id the first counts. */
void uses_units(struct uses *u, const struct uses_unit *units, size_t n, int64_t now);
/* A kubelet has started, not before then (its sockets' files tell): for a while its lists say nothing
 * about who is not in them. To be told at our own start, too, and with each list: it tells pods before
 * it registers plugins. */
void uses_kubelet(struct uses *u, int64_t started);
void uses_beat(struct uses *u, int64_t now);

/* call: a handle that is not looked into, and is done with when ANSWER or REFUSE hands it out. */
void uses_allocate(struct uses *u, void *call, const char *resource, const struct dpapi_asks *asks,
		   int64_t now);
void uses_call_gone(struct uses *u, void *call); /* nobody waits for its answer any more */

/* Answers. holds NULL: there is no list, and why. who: the sentence's "process 123 (qemu)", or why
 * nobody can say. */
void uses_pods(struct uses *u, const struct dpapi_holds *holds, const char *why, int64_t now);
void uses_holders(struct uses *u, const char *id, enum uses_holders h, const char *who,
		  int64_t now);
/* Right before the reset somebody had it open, or nobody can say: uses_holders instead of uses_reset_done. */
void uses_reset_done(struct uses *u, const char *id, bool good, const char *method, int64_t ms,
		     const char *why, int64_t now);
/* The reset that was handed out is still right: nobody has been seen with the device since. */
bool uses_wants_reset(const struct uses *u, const char *id);
/* Something is wrong with it: it is given only when it has been made clean, though nobody ever had it. */
void uses_suspect(struct uses *u, const char *id);
/* What was answered did not come about: nobody got the device. */
void uses_not_given(struct uses *u, const char *id, int64_t now);
/* The last RECORD was not written: what it would have allowed is not done. */
void uses_record_failed(struct uses *u, const char *id, const char *why, int64_t now);

/* The next thing to do, its strings lent until the next call of this. ret_wake: when to ask again
 * though nothing happened, INT64_MAX: never. */
void uses_next(struct uses *u, int64_t now, struct uses_work *ret, int64_t *ret_wake);

/* Why the device must not be touched now, a sentence in the arena; NULL: it may. */
const char *uses_busy(const struct uses *u, const char *id, struct arena *a);
/* By id, from n = 0; false: no more. Strings are lent until the next change. */
bool uses_each(const struct uses *u, size_t n, struct uses_view *ret);
