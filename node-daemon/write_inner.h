/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_inner.h: what write.c and write_vgpu.c know of each other. Private to these: write.c opens,
 * writes, and decides what may be touched at all; write_vgpu.c has the verbs for virtual functions
 * and vGPUs.
 */
#pragma once

#include "base/err.h"
#include "node-daemon/write.h"

struct writer {
	int sys, proc;
	const char *tool; /* NULL: nobody has the vendor's tools */
	const struct step *step;
	char at[PCIFN_TEXT_MAX];
	struct err err;	    /* why it failed */
	char read[128];	    /* what was read */
	struct arena arena; /* of lists */
};

/* All return -1. "PLACE: what: why" and "PLACE: why" */
int write_failed(struct writer *w, const char *what, int error);
int write_refused(struct writer *w, const char *why);
/* Writes into what is there; never makes a file, follows a link or takes less than all. */
int write_put(struct writer *w, int dir, const char *path, const char *text);
/* A function on the bus, by its address; below sys, or -1. */
int write_open(int sys, uint64_t at);
/* The driver of it, "": none. */
int write_driver_of(struct writer *w, int dir, char *ret, size_t size);
/* It is a GPU, as sysfs says now. 0, or -errno. */
int write_is_gpu(int dir, bool *ret);

/* dir: of the function. 0: done. */
typedef int write_verb(struct writer *w, int dir);
write_verb write_autoprobe, write_vfs, write_tool, write_expect_vfs, write_expect_type, write_type,
	write_expect_made, write_mdev_make, write_mdev_drop, write_expect_mdev;
