/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_impl.h: what the parts of the scanner share. Nobody else includes this.
 *
 *	scan.c		the stream: bytes in; a token that they cut in two is kept until its rest
 *			has come
 *	scan_read.c	the grammar: token after token, told to the views that have the container
 *			open
 *	scan_wire.c	the documents: events out; what the wire itself says (a list's metadata, an
 *			event's type, a Status)
 *	token.h		where a token ends, and whether it is one
 *	view.h		what a table declares of the tokens, decoded into structs
 */
#pragma once

#include "json/scan.h"
#include "json/view.h"

enum scan_state {
	SCAN_DOCUMENT,	/* between documents, or behind the only one */
	SCAN_FIRST_KEY, /* behind { */
	SCAN_KEY,	/* behind , in an object */
	SCAN_COLON,
	SCAN_FIRST_VALUE, /* behind [ */
	SCAN_VALUE,
	SCAN_AFTER, /* behind a value */
};

/* Both look at the same tokens: what the kind declares, and what the wire says. */
enum { SCAN_KIND, SCAN_WIRE, SCAN_VIEWS };

struct scan_cause {
	const char *reason;
};

struct scan_wire {
	const char *kind;
	struct scan_status status;
	LIST(struct scan_cause) causes;
	const char *event;	 /* a watch event's type */
	const char *initial_end; /* its bookmark's annotation */
	struct scan_list list;
};

struct scan {
	/* Touched for every token. */
	enum scan_state state;
	unsigned depth;	   /* containers open */
	unsigned declared; /* of those, how many a view has open: none is told of what is deeper */
	size_t resume; /* bytes of the next string known to be good: its quote, more after a cut */
	const char *from; /* the bytes of this run begin here */
	uint64_t offset;  /* which is this offset of the stream */
	const char *at;	  /* where no token could be read */
	struct view views[SCAN_VIEWS];
	/* A bit for each open container: 1 is an object, 0 an array. */
	uint64_t objects[(SCAN_MAX_DEPTH + 64) / 64];

	const struct type *type;
	enum scan_shape shape;
	scan_sink *sink;
	void *ctx;

	/* The kind's view of a document begins at type, or at root_type, whose only row leads
	 * there. */
	struct type root_type;
	struct field root_fields[2];
	void *root;	    /* the object of SCAN_OBJECT and SCAN_WATCH */
	void *into;	    /* where that is made, or NULL: in item_arena */
	uint64_t item_from; /* offset of the item that is being read, or UINT64_MAX */
	uint64_t documents; /* complete ones */
	struct scan_wire said;
	struct arena item_arena, wire_arena;

	struct buf carry; /* the beginning of a token that the bytes cut in two */
	bool failed;
	struct err why;
};

/* Reads the whole tokens of [p, end). Returns where the first one begins that is cut, or none. */
const char *scan_run(struct scan *s, const char *p, const char *end);
void scan_fail(struct scan *s, uint64_t offset, const char *why);

void scan_set_shape(struct scan *s, enum scan_shape shape);
void scan_begin_document(struct scan *s);
void scan_end_document(struct scan *s);
void scan_deliver_element(struct scan *s, void *object);
