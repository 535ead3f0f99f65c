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
static const struct type owner_type = {sizeof(struct obj_owner), owner_fields, NULL};

static const struct field managed_fields[] = {
	FIELD(struct obj_managed, manager, "manager", TYPE_STR),
	FIELD(struct obj_managed, operation, "operation", TYPE_STR),
	FIELD(struct obj_managed, subresource, "subresource", TYPE_STR),
	FIELD(struct obj_managed, fields, "fieldsV1", TYPE_HASH),
	{0},
};
static const struct type managed_type = {sizeof(struct obj_managed), managed_fields, NULL};

static const struct field annotation_fields[] = {
	FIELD(struct obj, intent, INTENT_ANNOTATION, TYPE_STR),
	{0},
};
static const struct type annotations = {sizeof(struct obj), annotation_fields, NULL};

static const struct field metadata_fields[] = {
	FIELD(struct obj, name, "name", TYPE_STR),
	FIELD(struct obj, ns, "namespace", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(struct obj, uid, "uid", TYPE_STR),
	FIELD(struct obj, rv, "resourceVersion", TYPE_STR, .flags = TYPE_SILENT),
	FIELD(struct obj, generation, "generation", TYPE_INT),
	FIELD(struct obj, deleting, "deletionTimestamp", TYPE_STR),
	FIELD(struct obj, owner_kind, "owner kind", TYPE_STR, .flags = TYPE_DERIVED | TYPE_INTERN),
	FIELD(struct obj, owner_name, "owner name", TYPE_STR, .flags = TYPE_DERIVED),
	FIELD(struct obj, owner_uid, "owner uid", TYPE_STR, .flags = TYPE_DERIVED),
	FIELD(struct obj, owned, "owned", TYPE_HASH, .flags = TYPE_DERIVED),
	FIELD(struct obj, owners, "ownerReferences", TYPE_OBJS, .flags = TYPE_TRANSIENT,
	      .sub = &owner_type),
	FIELD(struct obj, managed, "managedFields", TYPE_OBJS, .flags = TYPE_TRANSIENT,
	      .sub = &managed_type),
	FIELD_INLINE("annotations", &annotations),
	{0},
};
const struct type obj_metadata = {sizeof(struct obj), metadata_fields, NULL};

static const struct obj_owner *owner_among(const struct obj *o)
{
	const struct obj_owner *owner = NULL;

	list_each(one, &o->owners) {
		if (!owner || (one->controller == TRI_TRUE && owner->controller != TRI_TRUE)) {
			owner = one;
		}
	}
	return owner;
}

static uint64_t owned_among(const struct obj *o)
{
	uint64_t owned = 0;

	list_each(one, &o->managed) {
		if (str_eq(one->manager, OBJ_MANAGER) && str_eq(one->operation, "Apply") &&
		    str_empty(one->subresource)) {
			owned = one->fields;
		}
	}
	return owned;
}

void obj_finish(void *object)
{
	struct obj *o = object;
	const struct obj_owner *owner = owner_among(o);
	uint64_t owned = owned_among(o);

	o->owner_kind = owner ? owner->kind : NULL;
	o->owner_name = owner ? owner->name : NULL;
	o->owner_uid = owner ? owner->uid : NULL;
	o->owned = owned;
}
