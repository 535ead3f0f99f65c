/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view.h: the storing half of the scanner: one table's view of a stream of JSON tokens.
 *
 * The scanner knows the grammar and calls a view for each key and value of the containers that the
 * view has open; what a view does not open is skipped without it. `depth` is how many it has open:
 * the scanner compares that with its own nesting to know whom to ask. Several views may look at the
 * same tokens.
 *
 * What is decoded lies in the view's arena, whose maximum a view respects: it fails before it.
 */
#pragma once

#include "base/buf.h"
#include "json/type.h"

/* Tables nest no deeper than this, and no key has more inline rows than that. */
#define VIEW_MAX_DEPTH 32
#define VIEW_MAX_INLINE 4

/* Besides the kinds of type.h: an array of objects that are handed out one by one, not kept. */
#define VIEW_STREAM 100

enum view_value { VIEW_STRING, VIEW_NUMBER, VIEW_TRUE, VIEW_FALSE, VIEW_NULL };

/* An open container: a struct being filled (TYPE_OBJ, TYPE_INLINE), else a list being made. */
struct view_frame {
	uint8_t kind, n_types;
	/* Of the struct, which several tables may fill, or types[0] of the list's elements. */
	const struct type *types[VIEW_MAX_INLINE];
	void *at;	 /* the struct, or the struct list */
	size_t room;	 /* of the list */
	const char *key; /* TYPE_MAP, TYPE_DICT: of the value to come */
};

struct view {
	struct arena *arena;
	unsigned depth;
	struct view_frame frames[VIEW_MAX_DEPTH]; /* frames[0..depth) are open */
	/* Where the value goes that follows a key of a struct: a frame, if it is a container. */
	struct view_frame next;
	/* The text of a TYPE_RAW or TYPE_HASH value: raw, then the scanner's bytes from raw_from
	 * on. */
	struct buf raw;
	const char *raw_from;
};

void view_init(struct view *v, struct arena *a, size_t max_raw);
void view_finish(struct view *v);
/* Opens the document's outermost object as *object. */
void view_begin(struct view *v, const struct type *t, void *object);

/* These return -1 where the arena's maximum would be passed. text: without the quotes. */
int view_key(struct view *v, const char *text, size_t n);
int view_scalar(struct view *v, enum view_value kind, const char *text, size_t n);
/* A container begins at p. */
int view_open(struct view *v, bool object, const char *p);
/* The innermost open one ends. >0: it was an element of a VIEW_STREAM, complete at view_element. */
int view_close(struct view *v);
void *view_element(struct view *v);

/* A container that the view did not open ended before p. */
int view_skipped(struct view *v, const char *p);
/* The scanner's bytes end at p; the next ones begin at q. */
int view_bytes_end(struct view *v, const char *p);
void view_bytes_begin(struct view *v, const char *q);
