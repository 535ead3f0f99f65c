/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err.h: why something failed, as one sentence.
 *
 * struct err lives on the caller's stack: nothing to free, nothing to leak. A function that can
 * break takes `struct err *err` last, returns a negative value and has filled err; it never prints.
 * Who passes the failure up puts its own context in front:
 *
 *	if (config_load(path, &c, err) < 0) {
 *		return err_wrap(err, "reading %s", path);
 *	}
 *
 * A sentence names the place (file, field, object) and the remedy. Longer ones are cut at ERR_MAX,
 * at a whole UTF-8 character; control characters in what it quotes become spaces, so that it is one
 * line. err may be NULL: then the reason is not wanted.
 */
#pragma once

#include "base/base.h"

#define ERR_MAX 1024

struct err {
	char text[ERR_MAX];
};

/* Both return -1, so that `return err_set(...)` reads well. */
int err_set(struct err *err, const char *format, ...) attr_printf(2, 3);
int err_wrap(struct err *err, const char *format, ...) attr_printf(2, 3);
