/* SPDX-License-Identifier: Apache-2.0 */
/* verdict.h: what a plan finds about one side of an object, on its way to a condition. */
#pragma once

#include "base/base.h"

/* status: "True", "False", "Unknown"; NULL: nothing to say. */
struct verdict {
	const char *status, *reason, *message;
};

static inline struct verdict verdict_none(void)
{
	return (struct verdict){0};
}

static inline struct verdict verdict_yes(const char *reason, const char *message)
{
	return (struct verdict){"True", reason, message};
}

static inline struct verdict verdict_no(const char *reason, const char *message)
{
	return (struct verdict){"False", reason, message};
}
