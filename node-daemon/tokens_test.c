/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/tokens.h"

#include "api/resource.h"
#include "base/err.h"
#include "base/test.h"
#include "node-daemon/scan.h"
#include "node-daemon/tree_test.h"

#define CARD(bus, group)                                                                           \
	"device 0000:" bus ":00.0 id=10de:26b9 class=030200 driver=vfio-pci group=" group "\n"
#define AUDIO(bus, function, id, group)                                                            \
	"device 0000:" bus ":00." function " id=" id " driver=vfio-pci " group "\n"
#define HDA "10de:22ba class=040300"

static struct arena arena;
static struct machine machine;
static struct plugin_offer listed = {.resource = "nvidia.com/AD102GL_L40S"};

/* The tokens, where of the units those with an x are listed and one with a - is not there. */
static const char *tokens(const char *tree, const char *which)
{
	static char text[256];
	auto_tree struct tree t = tree_make(tree);
	struct offer items[8] = {{0}};
	struct offers o = {.items = {items, 0}, .lists = {&listed, 1}};
	struct unit_list units;
	struct err err;

	arena_reset(&arena);
	machine_finish(&machine);
	machine_init(&machine);
	ok(scan(t.fd, &machine, &err) == 0);
	units_make(&machine, &arena, &units);
	for (; which[o.items.n]; o.items.n++) {
		struct offer *item = &items[o.items.n];

		item->id = o.items.n ? "b" : "a";
		item->is = which[o.items.n] == '-' ? NULL : &units.items[o.items.n];
		item->offered = which[o.items.n] != '.';
	}
	tokens_offer(&o, &arena);
	is_str(o.lists.items[0].resource, listed.resource);
	*text = 0;
	for (size_t i = 1; i < o.lists.n; i++) {
		is_str(o.lists.items[i].resource, RESOURCE_COMPANION);
		list_each(d, &o.lists.items[i].devices) {
			ok(d->healthy);
			is_int(d->numa, -1);
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
				 *text ? " " : "", d->id);
		}
	}
	return text;
}

static void one_a_unit(void)
{
	const char *two = CARD("41", "7") AUDIO("41", "1", HDA, "group=7") CARD("42", "8")
		AUDIO("42", "1", HDA, "group=9");

	arena_init(&arena, 16 * MiB);
	machine_init(&machine);
	is_str(tokens(two, "xx"), "companion-a companion-b");
	is_str(tokens(two, ".x"), "companion-b");
	is_str(tokens(two, ".."), "");
	is_str(tokens(two, "x-"), "companion-a");
}

static void without(void)
{
	is_str(tokens(CARD("41", "7"), "x"), "");
	/* USB of the board, and audio of another one */
	is_str(tokens(CARD("41", "7") AUDIO("41", "2", "10de:1ad8 class=0c0330", "group=7"), "x"),
	       "");
	is_str(tokens(CARD("41", "7") AUDIO("40", "1", HDA, "group=7"), "x"), "");
	/* what has no group cannot be given */
	is_str(tokens(CARD("41", "7") AUDIO("41", "1", HDA, ""), "x"), "");
	ok(tokens_are(RESOURCE_COMPANION));
	ok(!tokens_are(listed.resource));
	arena_finish(&arena);
	machine_finish(&machine);
}

TESTS({"a token for each unit that is listed and has audio", one_a_unit},
      {"none for those that have none to give", without}, )
