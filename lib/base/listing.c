/* SPDX-License-Identifier: Apache-2.0 */
#include "base/listing.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MORE_MAX 40 /* " and N more" */

void listing_init(struct listing *l, struct arena *a, const char *separator)
{
	*l = (struct listing){.arena = a, .separator = separator};
}

void listing_add(struct listing *l, const char *format, ...)
{
	size_t gap = l->len ? strlen(l->separator) : 0, room = LISTING_MAX - l->len;
	va_list args;
	int n = -1;

	if (!l->text) {
		l->text = arena_alloc(l->arena, LISTING_MAX + MORE_MAX);
	}
	if (!l->left_out && gap < room) {
		va_start(args, format);
		n = vsnprintf(l->text + l->len + gap, room - gap, format, args);
		va_end(args);
	}
	if (n < 0 || (size_t)n >= room - gap) {
		l->text[l->len] = '\0';
		l->left_out++;
		return;
	}
	memcpy(l->text + l->len, l->separator, gap);
	l->len += gap + (size_t)n;
}

const char *listing_end(struct listing *l)
{
	if (!l->text) {
		return "";
	}
	if (l->left_out) {
		snprintf(l->text + l->len, MORE_MAX, l->len ? " and %zu more" : "%zu of them",
			 l->left_out);
	}
	return l->text;
}
