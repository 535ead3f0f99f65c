/* SPDX-License-Identifier: Apache-2.0 */
#include "base/listing.h"

#include <string.h>

#include "base/test.h"

static struct arena a;

static void begin(struct listing *l)
{
	arena_finish(&a);
	arena_init(&a, 16 * KiB);
	listing_init(l, &a, ", ");
}

static void nothing_is_an_empty_text(void)
{
	struct listing l;

	begin(&l);
	is_str(listing_end(&l), "");
}

static void items_are_separated(void)
{
	struct listing l;

	begin(&l);
	listing_add(&l, "%s on %d", "a", 1);
	listing_add(&l, "b");
	is_str(listing_end(&l), "a on 1, b");
}

static void what_is_too_much_is_counted(void)
{
	struct listing l;
	const char *text;

	begin(&l);
	for (int i = 0; i < 100000; i++) {
		listing_add(&l, "number %d", i);
	}
	text = listing_end(&l);
	ok(strlen(text) > LISTING_MAX - 20 && strlen(text) < LISTING_MAX + 40);
	ok(strstr(text, "number 0, number 1, "));
	ok(strstr(text, " and 998"));
	ok(str_ends(text, " more"));
}

static void an_item_that_fits_exactly_is_there(void)
{
	char item[LISTING_MAX];
	struct listing l;

	memset(item, 'x', sizeof(item));
	item[LISTING_MAX - 1] = '\0';
	begin(&l);
	listing_add(&l, "%s", item);
	listing_add(&l, "y");
	is_int(strlen(listing_end(&l)), LISTING_MAX - 1 + strlen(" and 1 more"));
}

static void an_item_that_is_too_long_is_left_out_whole(void)
{
	char item[LISTING_MAX + 1];
	struct listing l;

	memset(item, 'x', sizeof(item));
	item[LISTING_MAX] = '\0';
	begin(&l);
	listing_add(&l, "%s", item);
	is_str(listing_end(&l), "1 of them");
	begin(&l);
	listing_add(&l, "a");
	listing_add(&l, "%s", item);
	listing_add(&l, "b");
	is_str(listing_end(&l), "a and 2 more");
	arena_finish(&a);
}

TESTS({"nothing is an empty text", nothing_is_an_empty_text},
      {"items are separated", items_are_separated},
      {"what is too much is counted", what_is_too_much_is_counted},
      {"an item that fits exactly is there", an_item_that_fits_exactly_is_there},
      {"an item that is too long is left out whole", an_item_that_is_too_long_is_left_out_whole})
