/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reading.h: what NVIDIA's management library says of cards that are on NVIDIA's driver, and how that is asked of
 * the eyes: one line of JSON each way, as in eyes_wire.h. Pure.
 *
 *	{"v":1,"cards":["0000:41:00.0"]}
 *	{"v":1,"state":"done","library":"580.65.06","driver":"580.65.06","cards":[{"at":"0000:41:00.0",
 *	 "uuid":"GPU-...","temperature":41,"memoryUsed":1048576,"links":[{"to":"0000:42:00.0","lanes":4}]}]}
 *
 * What the library does not say is not set: an older one, or another card, says less. Eyes that do not
 * know the question say no state, which is READING_NONE: nothing is known, and that is no trouble.
 */
#pragma once

#include "node-daemon/eyes_wire.h"

enum {
	READING_MAX_CARDS = 32, /* of one question; what is beyond them is not read */
	READING_MAX_PEERS = 36, /* links of one card */
	READING_MAX_TEXT = 96,	/* NVML_DEVICE_UUID_V2_BUFFER_SIZE, the longest of its texts */
	READING_MAX_WHY = 400,
};

/* Whole numbers in NVML's own units. */
enum reading_value {
	READING_TEMPERATURE, /* degrees Celsius */
	READING_POWER,	     /* mW */
	READING_POWER_LIMIT,
	READING_MEMORY_TOTAL, /* bytes */
	READING_MEMORY_USED,
	READING_GPU_BUSY, /* percent of the last moments in which something ran */
	READING_MEMORY_BUSY,
	READING_SM_CLOCK, /* MHz */
	READING_MEMORY_CLOCK,
	READING_FAN,	       /* percent */
	READING_ECC,	       /* 1: on */
	READING_ECC_CORRECTED, /* since the driver was loaded */
	READING_ECC_UNCORRECTED,
	READING_MIG,		/* 1: on */
	READING_VIRTUALIZATION, /* nvmlGpuVirtualizationMode_t: 0 none, 3 it serves vGPUs */
	READING_PROCESSES,	/* that compute on it */
	READING_VALUES
};

struct reading_peer {
	uint64_t at;   /* what is at the other end of NVLinks: a card, or a switch between cards */
	int64_t lanes; /* links to it that are up */
};
struct reading_card {
	uint64_t at;
	const char *trouble; /* why nothing else is known of it; "": nothing was wrong */
	const char *uuid;    /* "": not known */
	struct opt_int values[READING_VALUES];
	LIST(struct reading_peer) peers;
};

enum reading_state {
	READING_NONE, /* not now, or by nobody: what was read before holds */
	READING_DONE,
	READING_ABSENT,	  /* there is no library */
	READING_MISMATCH, /* library and kernel module are of two versions */
	READING_REFUSED,  /* the library, or the driver behind it, says no */
	READING_LATE,	  /* it hangs */
};

struct reading {
	enum reading_state state;
	const char *why;	      /* "": done */
	const char *library, *driver; /* versions, "": not known */
	LIST(struct reading_card) cards;
};
LIST_OF(reading_question, uint64_t); /* addresses */

void reading_question_copy(const struct reading_question *q, struct arena *a,
			   struct reading_question *ret);
/* 0, or -1: it is too long. Adds a line to out. */
int reading_question_write(const struct reading_question *q, struct buf *out);
int reading_write(const struct reading *r, struct buf *out);

/* 1; 0: it is a question, but for something else; -1 and why it is none. In the arena. */
int reading_question_read(const char *bytes, size_t n, struct arena *a,
			  struct reading_question *ret, struct err *err);
/* 0, or -1 and why it is none. Cards that were not asked for, or are told twice, are left out. */
int reading_read(const char *bytes, size_t n, const struct reading_question *q, struct arena *a,
		 struct reading *ret, struct err *err);

/* NVLinks between two cards that were read together, straight or through the same switches. */
int64_t reading_lanes(const struct reading_card *x, const struct reading_card *y);
