/* SPDX-License-Identifier: Apache-2.0 */
#include "json/scan_impl.h"

/* --- the wire's own fields -------------------------------------------------------------------- */

#define TABLE(name, ...)                                                                           \
	static const struct field name##_fields[] = {__VA_ARGS__, {0}};                            \
	static const struct type name = {sizeof(T), name##_fields, NULL}

#define T struct scan_cause
TABLE(cause, FIELD(T, reason, "reason", TYPE_STR));
#undef T

#define T struct scan_wire
/* metav1.Status: its fields may be met in any answer. */
#define STATUS_ROWS                                                                                \
	FIELD(T, kind, "kind", TYPE_STR), FIELD(T, status.status, "status", TYPE_STR),             \
		FIELD(T, status.reason, "reason", TYPE_STR),                                       \
		FIELD(T, status.message, "message", TYPE_STR),                                     \
		FIELD(T, status.code, "code", TYPE_INT), FIELD_INLINE("details", &details)

TABLE(details, FIELD(T, status.retry_after, "retryAfterSeconds", TYPE_INT),
      FIELD(T, causes, "causes", TYPE_OBJS, .sub = &cause));

TABLE(object, STATUS_ROWS);

TABLE(list_metadata, FIELD(T, list.resource_version, "resourceVersion", TYPE_STR),
      FIELD(T, list.cont, "continue", TYPE_STR),
      FIELD(T, list.remaining, "remainingItemCount", TYPE_INT));
TABLE(list, STATUS_ROWS, FIELD_INLINE("metadata", &list_metadata));

/* The bookmark behind the initial objects of a watch with sendInitialEvents (KEP-3157). */
TABLE(event_annotations, FIELD(T, initial_end, "k8s.io/initial-events-end", TYPE_STR));
TABLE(event_metadata, FIELD_INLINE("annotations", &event_annotations));
TABLE(event_object, STATUS_ROWS, FIELD_INLINE("metadata", &event_metadata));
TABLE(event, FIELD(T, event, "type", TYPE_STR), FIELD_INLINE("object", &event_object));
#undef T

static const struct type *const wire_types[] = {
	[SCAN_OBJECT] = &object,
	[SCAN_LIST] = &list,
	[SCAN_WATCH] = &event,
};

static bool is_status(const struct scan_wire *said)
{
	return str_eq(said->kind, "Status");
}

/* Other kinds have fields called reason and message, too. */
static void settle_status(struct scan_wire *said)
{
	if (!is_status(said)) {
		said->status = (struct scan_status){0};
	} else if (said->causes.n) {
		said->status.cause = said->causes.items[0].reason;
	}
}

/* --- documents -------------------------------------------------------------------------------- */

void scan_set_shape(struct scan *s, enum scan_shape shape)
{
	s->shape = shape;
	s->root_type = (struct type){.fields = s->root_fields};
	if (shape == SCAN_LIST) {
		s->root_fields[0] = (struct field){"items", .len = 5, .kind = VIEW_STREAM};
	} else {
		s->root_fields[0] = (struct field){"object", .len = 6, .kind = TYPE_OBJ};
	}
	s->root_fields[0].sub = s->type;
}

void scan_begin_document(struct scan *s)
{
	s->said = (struct scan_wire){0};
	view_begin(&s->views[SCAN_WIRE], wire_types[s->shape], &s->said);
	if (s->shape == SCAN_OBJECT) {
		s->root = s->into ? s->into : arena_alloc(&s->item_arena, s->type->size);
		view_begin(&s->views[SCAN_KIND], s->type, s->root);
	} else {
		s->root = NULL;
		view_begin(&s->views[SCAN_KIND], &s->root_type, &s->root);
	}
}

static void deliver(struct scan *s, const struct scan_event *e)
{
	if (s->sink) {
		s->sink(s->ctx, e);
	}
}

void scan_deliver_element(struct scan *s, void *element)
{
	deliver(s, &(struct scan_event){.type = SCAN_ITEM, .object = element});
	arena_reset(&s->item_arena);
}

static enum scan_event_type event_type(const char *name)
{
	static const struct {
		const char *name;
		enum scan_event_type type;
	} types[] = {
		{"ADDED", SCAN_ADDED},	     {"MODIFIED", SCAN_MODIFIED}, {"DELETED", SCAN_DELETED},
		{"BOOKMARK", SCAN_BOOKMARK}, {"ERROR", SCAN_ERROR},
	};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (str_eq(name, types[i].name)) {
			return types[i].type;
		}
	}
	return SCAN_UNKNOWN;
}

/* Only now, since an event's type may stand behind its object. */
static void deliver_event(struct scan *s)
{
	void *given = s->root;

	if (!given) {
		/* "object" came before, and again as null: what the first left may fill the arena. */
		arena_reset(&s->item_arena);
		given = arena_alloc(&s->item_arena, s->type->size);
	}
	deliver(s, &(struct scan_event){
			   .type = event_type(s->said.event),
			   .object = given,
			   .status = s->said.status,
			   .initial_end = str_eq(s->said.initial_end, "true"),
		   });
	s->said = (struct scan_wire){0};
	arena_reset(&s->item_arena);
	arena_reset(&s->wire_arena);
}

void scan_end_document(struct scan *s)
{
	s->documents++;
	settle_status(&s->said);
	if (s->shape == SCAN_WATCH) {
		deliver_event(s);
	} else if (s->shape == SCAN_OBJECT && !is_status(&s->said)) {
		deliver(s, &(struct scan_event){.type = SCAN_ITEM, .object = s->root});
	}
}
