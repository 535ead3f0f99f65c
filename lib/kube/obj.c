/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of every cached struct: metadata, with its two lists reduced while the object is still
 * scratch. managedFields is a third of a typical object's text; of it stays one number.
 */
#include "kube/kind.h"

static const struct field owner_fields[] = {
	FIELD(struct obj_owner, kind, "kind", TYPE_STR),
	FIELD(struct obj_owner, name, "name", TYPE_STR),
	FIELD(struct obj_owner, uid, "uid", TYPE_STR),
	FIELD(struct obj_owner, controller, "controller", TYPE_BOOL),
	{0},
};
const struct type obj_owner_type = {"ownerReference", sizeof(struct obj_owner), owner_fields, NULL};

static const struct field managed_fields[] = {
	FIELD(struct obj_managed, manager, "manager", TYPE_STR),
	FIELD(struct obj_managed, operation, "operation", TYPE_STR),
	FIELD(struct obj_managed, subresource, "subresource", TYPE_STR),
	FIELD(struct obj_managed, fields, "fieldsV1", TYPE_HASH),
	{0},
};
const struct type obj_managed_type = {"managedFields", sizeof(struct obj_managed), managed_fields,
				      NULL};

static const struct field annotation_fields[] = {OBJ_ANNOTATION_ROWS, {0}};
const struct type obj_annotations = {"annotations", sizeof(struct obj), annotation_fields, NULL};

static const struct field metadata_fields[] = {
	OBJ_ROWS,
	FIELD_INLINE("annotations", &obj_annotations),
	{0},
};
const struct type obj_metadata = {"metadata", sizeof(struct obj), metadata_fields, NULL};

static void reduce_owners(struct obj *o)
{
	const struct obj_owner *owner = NULL;

	list_each (one, &o->owners) {
		if (!owner || (one->controller == TRI_TRUE && owner->controller != TRI_TRUE)) {
			owner = one;
		}
	}
	if (owner) {
		o->owner_kind = owner->kind;
		o->owner_name = owner->name;
		o->owner_uid = owner->uid;
	}
}

static void reduce_managed(struct obj *o)
{
	list_each (one, &o->managed) {
		if (str_eq(one->manager, OBJ_MANAGER) && str_eq(one->operation, "Apply") &&
		    str_empty(one->subresource)) {
			o->owned = one->fields;
		}
	}
}

void obj_finish(void *object)
{
	struct obj *o = object;

	reduce_owners(o);
	reduce_managed(o);
}
