/* SPDX-License-Identifier: Apache-2.0 */
/* Where a scan draws its lines: the longest text, the most of each thing, and one more. */
#include "node-daemon/scan.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/test.h"
#include "node-daemon/report.h"
#include "node-daemon/tree_test.h"

#define AT "devices/pci0000:01/0000:01:00.0/"
#define VF "devices/pci0000:01/0000:01:00.4/"
#define CARD                                                                                       \
	"dir class/iommu/dmar0\n"                                                                  \
	"device 0000:01:00.0 id=10de:26b9 sub=10de:1851 class=030200 driver=nvidia group=1\n"
#define CUT                                                                                        \
	CARD "  sriov_totalvfs = 1\n"                                                              \
	     "vfs 0000:01:00.0 first=0000:01:00.4 count=1 driver=nvidia group=2\n"
#define MDEVS CUT "dir class/mdev_bus\ndir bus/mdev/devices\n"

static struct machine m;

/* The card of a tree, scanned anew; NULL: there is none. */
static const struct pci_function *card_of(const struct tree *t)
{
	struct err err;

	machine_finish(&m);
	machine_init(&m);
	is_int(scan(t->fd, &m, &err), 0);
	return machine_function(&m, 0x100);
}

static char *repeat(char c, size_t n)
{
	char *s = xmalloc(n + 1);

	memset(s, c, n);
	s[n] = 0;
	return s;
}

static void short_words(void)
{
	auto_tree struct tree t = tree_make(CARD "  reset_method = x\n");

	is_str(card_of(&t)->reset_method, "x");
	tree_file(&t, AT "reset_method", "");
	is_str(card_of(&t)->reset_method, "");
}

/* Without a modalias, or with one that is none, each number has a file. */
static void ids_from_their_files(void)
{
	static const struct {
		const char *file, *text, *trouble;
		uint32_t sub;
	} rows[] = {
		{"class", "0x030200", NULL, 0x10de1851},
		{"class", "0x0302001", "class: not what the kernel writes there", 0},
		{"class", "", "class: not what the kernel writes there", 0},
		{"vendor", "0x10de", NULL, 0x10de1851},
		{"vendor", "0x10def", "vendor: not what the kernel writes there", 0},
		{"device", "0x26b9", NULL, 0x10de1851},
		{"device", "0x26b90", "device: not what the kernel writes there", 0},
		{"subsystem_vendor", "0x10de1", NULL, 0x1851},
		{"subsystem_device", "0x18511", NULL, 0x10de0000},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_tree struct tree t = tree_make(CARD);
		auto_free char *path = xprintf(AT "%s", rows[i].file);
		const struct pci_function *card;

		tree_file(&t, AT "modalias", i % 2 ? "" : "pci:v000010DE");
		tree_file(&t, path, rows[i].text);
		card = card_of(&t);
		is_int(!card, rows[i].trouble != NULL);
		is_int(m.troubles.n, rows[i].trouble != NULL);
		if (card) {
			is_int(card->ids.vendor, 0x10de);
			is_int(card->ids.device, 0x26b9);
			is_int(card->ids.class_code, 0x030200);
			is_int((uint32_t)card->ids.sub_vendor << 16 | card->ids.sub_device,
			       rows[i].sub);
		} else {
			is_str(m.troubles.items[0].where, "0000:01:00.0");
			is_str(m.troubles.items[0].what, rows[i].trouble);
		}
	}
}

static void the_longest_version(void)
{
	auto_tree struct tree t = tree_make(CARD);
	auto_free char *fits = repeat('5', 62), *longer = repeat('5', 63);

	tree_file(&t, "module/nvidia/version", fits);
	card_of(&t);
	is_str(m.nvidia, fits);
	tree_file(&t, "module/nvidia/version", longer);
	card_of(&t);
	is_str(m.nvidia, "");
	tree_file(&t, "module/nvidia/version", "5");
	card_of(&t);
	is_str(m.nvidia, "5");
}

static void bridges_above(void)
{
	for (int deep = 15; deep < 19; deep++) {
		auto_tree struct tree t =
			tree_make("device 0000:20:00.0 id=8086:0001 class=060400\n");
		auto_free char *last = NULL;
		const struct pci_function *card;

		for (int i = 1; i < deep; i++) {
			auto_free char *line = xprintf("device 0000:%02x:00.0 under=0000:%02x:00.0 "
						       "id=8086:0001 class=060400\n",
						       0x20 + i, 0x1f + i);

			tree_add(&t, line);
		}
		last = xprintf(
			"device 0000:01:00.0 under=0000:%02x:00.0 id=10de:26b9 class=030200\n",
			0x1f + deep);
		tree_add(&t, last);
		card = card_of(&t);
		is_int(card->above.n, MIN(deep, MACHINE_MAX_DEPTH));
		is_int(card->above.items[0], 0x2000);
		is_int(card->above.items[14], 0x2e00);
	}
}

/* What a function carries: a number, 0 or nothing is none. */
static void types_of_functions(void)
{
	static const struct {
		const char *text, *type;
		bool read;
	} rows[] = {
		{"", "", true},		{"0", "", true},  {"7", "7", true},
		{"1147", "1147", true}, {"x", "", false}, {"-1", "", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_tree struct tree t = tree_make(CUT);
		const struct pci_function *card;

		tree_file(&t, VF "nvidia/current_vgpu_type", rows[i].text);
		card = card_of(&t);
		is_int(card->vfs.n, 1);
		is_str(card->vfs.items[0].type, rows[i].type);
		is_int(card->vfs.items[0].face, rows[i].read ? VGPU_VENDOR : VGPU_NONE);
		is_int(card->half_seen, !rows[i].read);
	}
}

/* A list of types of so many bytes, and of so many types. */
static void the_longest_lists_of_types(void)
{
	for (size_t more = 0; more < 2; more++) {
		auto_tree struct tree t = tree_make(CUT), many = tree_make(CUT);
		auto_free char *text = repeat('x', 16 * KiB - 1 + more);
		auto_buf struct buf lines = {.max = 64 * KiB};

		memcpy(text, "1 : A\n", 6);
		tree_bytes(&t, VF "nvidia/creatable_vgpu_types", text, strlen(text));
		tree_file(&t, VF "nvidia/current_vgpu_type", "0");
		is_int(card_of(&t)->types.n, !more);
		is_int(m.troubles.n, more);
		for (size_t i = 0; i < MACHINE_MAX_TYPES + more; i++) {
			buf_str(&lines, "1 : A\n");
		}
		tree_bytes(&many, VF "nvidia/creatable_vgpu_types", buf_text(&lines), lines.len);
		tree_file(&many, VF "nvidia/current_vgpu_type", "0");
		is_int(card_of(&many)->types.n, MACHINE_MAX_TYPES);
		is_int(m.troubles.n, 0);
	}
}

/* The same of mediated devices: each type is a directory. */
static void the_most_types_of_mdev(void)
{
	for (int more = 0; more < 2; more++) {
		auto_tree struct tree t = tree_make(MDEVS);

		tree_add(&t, "dir class/mdev_bus\n  0000:01:00.4 -> ../../" VF "\n");
		for (int i = 0; i < MACHINE_MAX_TYPES + more; i++) {
			auto_free char *dir =
				xprintf("dir " VF "mdev_supported_types/nvidia-%d\n", i);

			tree_add(&t, dir);
		}
		is_int(card_of(&t)->types.n, MACHINE_MAX_TYPES);
		is_int(m.troubles.n, more);
		if (more) {
			is_str(m.troubles.items[0].where, "0000:01:00.4");
			is_str(m.troubles.items[0].what,
			       "mdev_supported_types: more than is looked at");
		}
	}
	for (size_t more = 0; more < 2; more++) {
		auto_tree struct tree t = tree_make(MDEVS);
		auto_free char *id = repeat('n', 128 + more),
			       *dir = xprintf("dir " VF "mdev_supported_types/%s\n", id);

		tree_add(&t, "dir class/mdev_bus\n  0000:01:00.4 -> ../../" VF "\n");
		tree_add(&t, dir);
		is_int(card_of(&t)->types.n, !more);
		is_int(m.troubles.n, 0);
	}
}

/* A mediated device of this name, whose link in the bus is `link` before its name. */
static void add_mdev(struct tree *t, const char *name, const char *type)
{
	auto_free char *lines = xprintf("dir " VF "%s\n%s%s%s"
					"dir bus/mdev/devices\n  %s -> ../../../" VF "%s\n",
					name, *type ? "  mdev_type -> ../x/" : "", type,
					*type ? "\n" : "", name, name);

	tree_add(t, lines);
}

static void names_of_mdevs(void)
{
	static const struct {
		const char *name;
		bool seen;
	} rows[] = {
		{"c0ffee00-1111-4222-8333-0123456789ab", true},
		{"C0FFEE00-1111-4222-8333-0123456789AB", true},
		{"c0ffee00-1111-4222-8333-0123456789a", false},
		{"c0ffee00-1111-4222-8333-0123456789abc", false},
		{"c0ffee00-1111-4222-8333-0123456789ag", false},
		{"c0ffee00_1111-4222-8333-0123456789ab", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_tree struct tree t = tree_make(MDEVS);

		add_mdev(&t, rows[i].name, "nvidia-7");
		is_int(card_of(&t)->mdevs.n, rows[i].seen);
		is_int(m.troubles.n, 0);
		if (rows[i].seen) {
			is_str(m.functions.items[0]->mdevs.items[0].uuid, rows[i].name);
			is_str(m.functions.items[0]->mdevs.items[0].type, "nvidia-7");
		}
	}
}

#define UUID "c0ffee00-1111-4222-8333-0123456789ab"

/* Where the link of a mediated device leads, and to whom. */
static void parents_of_mdevs(void)
{
	static const struct {
		const char *target;
		uint64_t parent; /* 0: it is none of a GPU */
	} rows[] = {
		{"../../../" VF UUID, 0x104},	    {"../../../" AT UUID, 0x100},
		{"0000:01:00.4/" UUID, 0x104},	    {"x", 0},
		{"../../../devices/mtty/" UUID, 0}, {"../../../devices/0000:09:00.0/" UUID, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_tree struct tree t =
			tree_make(MDEVS "dir " VF UUID "\n  mdev_type -> ../x/nvidia-7\n"
					"dir " AT UUID "\n  mdev_type -> ../x/nvidia-7\n"
					"dir bus/mdev/devices/0000:01:00.4/" UUID "\n"
					"  mdev_type -> ../x/nvidia-7\n"
					"dir bus/mdev/devices/x\ndir devices/mtty/" UUID "\n"
					"dir devices/0000:09:00.0/" UUID "\n");
		const struct pci_function *card;

		tree_link(&t, "bus/mdev/devices/" UUID, rows[i].target);
		card = card_of(&t);
		is_int(card->mdevs.n, rows[i].parent != 0);
		if (rows[i].parent) {
			is_int(card->mdevs.items[0].parent, rows[i].parent);
		}
	}
}

static void an_mdev_without_a_type(void)
{
	auto_tree struct tree t = tree_make(MDEVS);
	auto_free char *longest = repeat('n', 127), *longer = repeat('n', 128);
	const struct pci_function *card;

	add_mdev(&t, UUID, "");
	card = card_of(&t);
	is_int(card->mdevs.n, 1);
	is_str(card->mdevs.items[0].type, "");
	is_str(card->trouble, "0000:01:00.4: mdev_type: No such file or directory");
	add_mdev(&t, UUID, longest);
	card = card_of(&t);
	is_str(card->mdevs.items[0].type, longest);
	is_str(card->trouble, "");
	add_mdev(&t, UUID, longer);
	card = card_of(&t);
	is_str(card->mdevs.items[0].type, "");
	is_str(card->trouble, "0000:01:00.4: mdev_type: more than is looked at");
}

static void more_mdevs_than_one_block(void)
{
	auto_tree struct tree t = tree_make(MDEVS);
	const struct pci_function *card;

	for (int i = 69; i >= 0; i--) {
		auto_free char *name = xprintf("c0ffee00-1111-4222-8333-%012d", i);

		add_mdev(&t, name, "nvidia-7");
	}
	card = card_of(&t);
	is_int(card->mdevs.n, 70);
	for (int i = 0; i < 70; i++) {
		is_int(strtol(strrchr(card->mdevs.items[i].uuid, '-') + 1, NULL, 10), i);
		is_int(card->mdevs.items[i].parent, 0x104);
	}
}

/* Then each card may carry what was not seen. */
static void mdevs_that_cannot_be_listed(void)
{
	static const struct {
		size_t n;
		const char *trouble; /* NULL: there is none */
	} rows[] = {{MACHINE_MAX_MDEVS, NULL},
		    {MACHINE_MAX_MDEVS + 1, "list: more than is looked at"},
		    {0, "list: Not a directory"}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_tree struct tree t = tree_make(CUT);
		const struct pci_function *card;

		if (!rows[i].n) {
			tree_file(&t, "bus/mdev/devices", "x");
		}
		for (size_t k = 0; k < rows[i].n; k++) {
			auto_free char *path = xprintf("bus/mdev/devices/%zu", k);

			tree_link(&t, path, "x");
		}
		card = card_of(&t);
		is_int(card->half_seen, rows[i].trouble != NULL);
		is_int(m.troubles.n, rows[i].trouble != NULL);
		if (rows[i].trouble) {
			is_str(m.troubles.items[0].where, "bus/mdev/devices");
			is_str(m.troubles.items[0].what, rows[i].trouble);
		}
	}
}

static void more_groups_than_one_block(void)
{
	auto_tree struct tree t = tree_make("dir class/iommu/dmar0\n");

	for (int i = 0; i < 50; i++) {
		auto_free char *line =
			xprintf("device 0000:%02x:00.0 id=10de:26b9 class=030200 group=%d\n"
				"device 0000:%02x:00.1 id=10de:22ba class=040300 group=%d\n",
				i, i, i, 100 + i);

		tree_add(&t, line);
	}
	card_of(&t);
	is_int(m.groups.n, 100);
	is_int(m.functions.n, 100);
	for (int i = 0; i < 100; i++) {
		const struct iommu_group *g = &m.groups.items[i];

		is_int(g->id, i < 50 ? i : i + 50);
		is_int(g->members.n, 1);
		is_int(g->members.items[0], i % 50 << 8 | i / 50);
		is_int(m.functions.items[i]->address, i / 2 << 8 | i % 2);
	}
}

/* A virtual function whose card does not know it, and names on the bus that are no addresses. */
static void what_does_not_belong(void)
{
	auto_tree struct tree t = tree_make(
		CARD "device 0000:02:00.0 id=10de:26b9 class=030200\n  physfn -> ../0000:01:00.0\n"
		     "device 0000:03:00.0 id=10de:26b9 class=030200\n  physfn -> ../0000:09:00.0\n"
		     "device 0000:04:00.0 id=10de:26b9 class=030200\n  physfn -> ../nonsense\n");

	card_of(&t);
	is_int(m.functions.n, 1);
	is_int(m.troubles.n, 3);
	for (size_t i = 0; i < m.troubles.n; i++) {
		is_int(m.troubles.items[i].where[6], '2' + (int)i);
		is_str(m.troubles.items[i].what, "physfn: not what the kernel writes there");
	}
	for (int i = 0; i < 2; i++) {
		auto_tree struct tree odd = tree_make(CARD);

		for (int k = 0; k < MACHINE_MAX_TROUBLES - 1 + 3 * i; k++) {
			auto_free char *name = xprintf("dir bus/pci/devices/odd-%d\n", k);

			tree_add(&odd, name);
		}
		ok(card_of(&odd));
		is_int(m.entries, 1);
		is_int(m.troubles.n, MACHINE_MAX_TROUBLES - 1 + i);
		is_str(m.troubles.items[0].where, "bus/pci/devices");
		has(m.troubles.items[0].what, ": not what the kernel writes there");
	}
}

static void a_machine_without_pci(void)
{
	auto_tree struct tree t = tree_make("");
	struct err err;

	unlinkat(t.fd, "bus/pci/devices", AT_REMOVEDIR);
	card_of(&t);
	is_int(m.functions.n, 0);
	is_int(m.troubles.n, 0);
	unlinkat(t.fd, "bus/pci", AT_REMOVEDIR);
	card_of(&t);
	is_int(m.functions.n, 0);
	tree_file(&t, "bus/pci/devices", "x");
	is_int(scan(t.fd, &m, &err), -1);
	is_str(err.text,
	       "bus/pci/devices: Not a directory: the directory must be the machine's /sys");
}

/* The time of a condition is that of the unit in the last report, if it stands there. */
static void what_was_not_reported_before_is_new(void)
{
	static const struct report_facts facts = {"6.1.0-test", "test"};
	auto_tree struct tree t =
		tree_make(CARD "device 0000:02:00.0 id=10de:2330 class=030200 group=2\n");
	struct status old, new;
	struct arena a;

	arena_init(&a, 64 * MiB);
	card_of(&t);
	report(&m, &facts, NULL, 1000, &a, &old);
	is_int(old.units.n, 2);
	for (size_t n = 0; n <= 2; n++) {
		old.units.n = n;
		report(&m, &facts, &old, 9000, &a, &new);
		for (size_t i = 0; i < 2; i++) {
			is_str(new.units.items[i].conditions.items[0].last_transition,
			       i < n ? "1970-01-01T00:00:01Z" : "1970-01-01T00:00:09Z");
		}
	}
	arena_finish(&a);
}

TESTS({"a word of one letter is one", short_words},
      {"without a modalias each number is read from its file", ids_from_their_files},
      {"a driver's version has up to 62 characters", the_longest_version},
      {"sixteen bridges above a card are looked at", bridges_above},
      {"a function carries the type of a number, 0 and nothing are none", types_of_functions},
      {"a list of types has up to 16 KiB and 256 types", the_longest_lists_of_types},
      {"so have the directories of mdev types", the_most_types_of_mdev},
      {"only a UUID names a mediated device", names_of_mdevs},
      {"a mediated device is its parent's", parents_of_mdevs},
      {"a mediated device without a type is told", an_mdev_without_a_type},
      {"more mediated devices than one block takes", more_mdevs_than_one_block},
      {"where mediated devices cannot be listed each card may carry more than was seen",
       mdevs_that_cannot_be_listed},
      {"more groups than one block takes", more_groups_than_one_block},
      {"what does not belong on the bus is told, as often as is kept", what_does_not_belong},
      {"a machine without PCI is one, and what is no /sys is none", a_machine_without_pci},
      {"what was not reported before is new", what_was_not_reported_before_is_new})
