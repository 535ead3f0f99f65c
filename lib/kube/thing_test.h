/* SPDX-License-Identifier: Apache-2.0 */
/* thing_test.h: a kind for tests, served in two versions. */
#pragma once

#include "kube/kind.h"

struct thing {
	struct obj obj;
	const char *color;
};
static const struct field thing_fields[] = {
	OBJ_METADATA,
	FIELD(struct thing, color, "color", TYPE_STR),
	{0},
};
static const struct type thing_type = {sizeof(struct thing), thing_fields, obj_finish};
attr_unused static const struct kube_kind thing = {
	.group = "test.io",
	.versions = "v2 v1",
	.kind = "Thing",
	.plural = "things",
	.namespaced = true,
	.type = &thing_type,
};
