/* SPDX-License-Identifier: Apache-2.0 */
/*
 * obey_hand_test.h: obey.h and the answers of grpc.h by hand: the linker takes these instead of obey.c and
 * grpc.c. What is recorded and answered stands in `said`.
 */
#pragma once

#include <stdarg.h>

#include "base/err.h"
#include "base/test.h"
#include "node-daemon/grpc.h"
#include "node-daemon/journal.h"
#include "node-daemon/obey.h"

static struct obey_facts obey_is; /* what is known */
static const struct journal *obey_has;
static void (*obey_append)(const struct journal_record *r);
static const char *disk; /* why no record is taken; NULL: they are */
static char said[16384];

attr_printf(1, 2) static void say(const char *format, ...)
{
	size_t n = strlen(said);
	va_list args;

	va_start(args, format);
	vsnprintf(said + n, sizeof(said) - n, format, args);
	va_end(args);
}

/* What was said since the last one. */
attr_unused static const char *heard(void)
{
	static char text[sizeof(said)];

	memcpy(text, said, sizeof(text));
	said[0] = '\0';
	return text;
}

void obey_facts(attr_unused const struct obey *o, struct obey_facts *ret)
{
	*ret = obey_is;
}

const struct journal *obey_journal(attr_unused const struct obey *o)
{
	return obey_has;
}

int obey_record(attr_unused struct obey *o, const struct journal_record *r, bool sync,
		struct err *err)
{
	if (disk) {
		return err_set(err, "%s", disk);
	}
	if (r->slot) {
		say("%s %d%s; ", *r->slot->state ? r->slot->state : "forget", (int)r->slot->index,
		    sync ? " synced" : "");
	}
	if (obey_append) {
		obey_append(r);
	}
	return 0;
}

struct grpc_call {
	int number;
};

static struct grpc_call calls[8] = {{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}};
static bool too_large;

void grpc_end(struct grpc_call *c, enum grpc_code code, const char *text)
{
	say("end %d %d: %s; ", c->number, code, text);
}

/* Its texts, each with what of the lengths is a letter. */
int grpc_reply(struct grpc_call *c, const void *message, size_t n)
{
	const char *m = message;

	if (too_large) {
		return -1;
	}
	say("reply %d", c->number);
	for (size_t i = 0; i < n; i++) {
		if (m[i] >= ' ' && m[i] <= '~') {
			say("%s%c", i && m[i - 1] >= ' ' && m[i - 1] <= '~' ? "" : " ", m[i]);
		}
	}
	say("; ");
	return 0;
}
