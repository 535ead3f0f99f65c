/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/words.h"

#include <unistd.h>

#include "base/err.h"
#include "base/test.h"
#include "node-daemon/scan.h"
#include "node-daemon/tree_test.h"

#define IDS                                                                                        \
	"# a comment\n10de  NVIDIA Corporation\n\t26b9  AD102GL [L40S]\n\t\t10de 1851  L40S\n8086  Intel Corporation\n\t26b9  Another One\n"

static void see(const struct tree *t, struct machine *m)
{
	struct err err;

	machine_init(m);
	ok(scan(t->fd, m, &err) == 0);
}

static struct tree make(const char *ids)
{
	struct tree t = tree_make(
		"device 0000:01:00.0 id=10de:26b9 class=030200 group=1\ndevice 0000:01:00.1 id=10de:22ba class=040300 group=1\n"
		"device 0000:01:00.2 id=1fc9:4022 class=020000 group=1\n");

	tree_bytes(&t, "pci.ids", ids, strlen(ids));
	return t;
}

static void known(void)
{
	auto_tree struct tree t = make(IDS);
	auto_free char *path = xprintf("%s/pci.ids", t.root);
	attr_cleanup(words_finish) struct words w = {.path = path};
	attr_cleanup(machine_finish) struct machine m, again;

	see(&t, &m);
	words_fill(&w, &m);
	is_int(m.functions.n, 3);
	is_str(m.functions.items[0]->words, "NVIDIA Corporation AD102GL [L40S]");
	is_str(m.functions.items[0]->vendor_words, "NVIDIA Corporation");
	is_str(m.functions.items[0]->device_words, "AD102GL [L40S]");
	is_str(m.functions.items[1]->words, "NVIDIA Corporation");
	is_str(m.functions.items[2]->words, "");
	see(&t, &again);
	unlink(path);
	words_fill(&w, &again); /* nothing new is asked: the file is not needed */
	is_str(again.functions.items[0]->words, "NVIDIA Corporation AD102GL [L40S]");
}

static void absent(void)
{
	auto_tree struct tree t = make(IDS);
	attr_cleanup(words_finish) struct words w = {.path = "/nonexistent/pci.ids"};
	attr_cleanup(machine_finish) struct machine m;

	see(&t, &m);
	words_fill(&w, &m);
	is_str(m.functions.items[0]->words, "");
	ok(!w.broken);
}

static void garbage(void)
{
	auto_tree struct tree t =
		make("10de  NVIDIA Corporation\nthis is no database\n\t\t\t\tx\n");
	auto_free char *path = xprintf("%s/pci.ids", t.root);
	attr_cleanup(words_finish) struct words w = {.path = path};
	attr_cleanup(machine_finish) struct machine m;

	see(&t, &m);
	words_fill(&w, &m);
	ok(w.broken);
	words_fill(&w, &m);
	is_str(m.functions.items[2]->words, "");
	is_int(m.functions.n, 3);
}

TESTS({"pci.ids gives words for vendor and device, and is read once for what it was asked", known},
      {"without pci.ids there are no words, and no error", absent},
      {"a pci.ids that is garbage gives no words, and is not read again", garbage}, )
