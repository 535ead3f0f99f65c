/* SPDX-License-Identifier: Apache-2.0 */
/* What a container gets, to the letter, on machines from trees. */
#include "node-daemon/grant.h"

#include "base/err.h"
#include "base/test.h"
#include "node-daemon/scan.h"
#include "node-daemon/tree_test.h"

#define L40S "nvidia.com/AD102GL_L40S"

static struct arena arena;
static struct machine m;
static struct unit_list units;

static void begin(const char *devices)
{
	auto_tree struct tree t = tree_make(devices);
	struct err err = {""};

	arena_finish(&arena);
	arena_init(&arena, 16 * MiB);
	machine_finish(&m);
	machine_init(&m);
	is_int(scan(t.fd, &m, &err), 0);
	units_make(&m, &arena, &units);
}

static struct grant_asked asked;

/* "NAME=VALUE NAME=VALUE: PATH PATH" for these units, each by its number. */
static const char *grants(const char *numbers)
{
	const struct unit *which[8];
	struct dpapi_grant grant;
	struct err err = {""};
	const char *text = "";

	asked = (struct grant_asked){.machine = &m, .resource = L40S, .units = which};
	for (; *numbers; numbers++) {
		which[asked.n++] = &units.items[*numbers - '0'];
	}
	if (grant_make(&asked, &arena, &grant, &err) < 0) {
		return arena_printf(&arena, "refused: %s", err.text);
	}
	list_each(v, &grant.variables) {
		text = arena_printf(&arena, "%s%s%s=%s", text, *text ? " " : "", v->name, v->value);
	}
	text = arena_printf(&arena, "%s:", text);
	list_each(f, &grant.files) {
		is_str(f->permissions, "mrw");
		text = arena_printf(&arena, "%s %s", text, f->path);
	}
	return text;
}

#define VARIABLE "PCI_RESOURCE_NVIDIA_COM_AD102GL_L40S="
#define COMPANION "PCI_RESOURCE_VMGPU_IO_COMPANION="
#define CARD(bus, group)                                                                           \
	"device 0000:" bus ":00.0 id=10de:26b9 class=030200 driver=vfio-pci group=" group "\n"
#define AUDIO(bus, group)                                                                          \
	"device 0000:" bus ":00.1 id=10de:22ba class=040300 driver=vfio-pci group=" group "\n"

static void a_group_each(void)
{
	begin(CARD("41", "7") CARD("42", "0") CARD("43", "12"));
	is_str(grants("0"), VARIABLE "0000:41:00.0: /dev/vfio/vfio /dev/vfio/7");
	is_str(grants("201"), VARIABLE "0000:41:00.0,0000:42:00.0,0000:43:00.0: "
				       "/dev/vfio/vfio /dev/vfio/7 /dev/vfio/0 "
				       "/dev/vfio/12");
	is_str(grants("121"), VARIABLE "0000:42:00.0,0000:43:00.0: /dev/vfio/vfio "
				       "/dev/vfio/0 /dev/vfio/12");
}

static void nodes_of_functions(void)
{
	begin(CARD("41", "7") "  vfio-dev/vfio3/dev = 511:3\n" AUDIO(
		"41", "7") "  vfio-dev/vfio0/dev = 511:0\n" CARD("42", "8"));
	is_str(grants("01"), VARIABLE
	       "0000:41:00.0,0000:42:00.0 " COMPANION
	       "0000:41:00.1: /dev/vfio/vfio /dev/vfio/7 /dev/vfio/devices/vfio3 /dev/vfio/devices/vfio0 /dev/vfio/8");
	m.iommufd = true;
	is_str(grants("1"), VARIABLE "0000:42:00.0: /dev/vfio/vfio /dev/vfio/8 /dev/iommu");
	is_str(grants("0"),
	       VARIABLE "0000:41:00.0 " COMPANION "0000:41:00.1: /dev/vfio/vfio /dev/vfio/7 "
			"/dev/vfio/devices/vfio3 /dev/vfio/devices/vfio0 "
			"/dev/iommu");
}

/* Two GPUs of one group go together, and the first is named. */
static void two_in_a_group(void)
{
	begin(CARD("41", "7") CARD("42", "7"));
	is_int(units.n, 1);
	is_str(grants("0"), VARIABLE "0000:41:00.0: /dev/vfio/vfio /dev/vfio/7");
}

static void companions(void)
{
	begin(CARD("41", "7") AUDIO("41", "7") CARD("42", "8") AUDIO(
		"42",
		"9") "  vfio-dev/vfio5/dev = 511:5\n"
		     "device 0000:42:00.2 id=10de:1ad8 class=0c0330 driver=vfio-pci group=10\n" CARD(
			     "43", "11"));
	is_str(grants("210"),
	       VARIABLE "0000:41:00.0,0000:42:00.0,0000:43:00.0 " COMPANION
			"0000:41:00.1,0000:42:00.1: /dev/vfio/vfio /dev/vfio/7 /dev/vfio/8 "
			"/dev/vfio/9 /dev/vfio/devices/vfio5 /dev/vfio/11");
	is_str(grants("2"), VARIABLE "0000:43:00.0: /dev/vfio/vfio /dev/vfio/11");
}

/* Other functions of the board are with vfio, and stay behind. */
static void companions_of_other_kinds(void)
{
	begin(CARD("41", "7") "device 0000:41:00.1 id=10de:1ad8 class=0c0330 driver=vfio-pci "
			      "group=7\n"
			      "device 0000:41:00.2 id=10de:22ba class=040300 driver=vfio-pci "
			      "group=7\n");
	is_str(grants("0"),
	       VARIABLE "0000:41:00.0 " COMPANION "0000:41:00.2: /dev/vfio/vfio /dev/vfio/7");
}

/* That of another GPU in the unit stays behind with it. */
static void companion_of_the_other(void)
{
	begin(CARD("41", "7") CARD("42", "7") AUDIO("42", "7"));
	is_str(grants("0"), VARIABLE "0000:41:00.0: /dev/vfio/vfio /dev/vfio/7");
}

static void refusals(void)
{
	begin(CARD("41", "7") AUDIO("41", "7")
		      CARD("42", "8") "device 0000:43:00.0 id=10de:26b9 class=030200 "
				      "driver=vfio-pci\n");
	is_str(grants(""), "refused: no device of " L40S " is asked for");
	is_str(grants("02"), "refused: 0000:43:00.0 (gpu) has no IOMMU group; the kernel log "
			     "says why, look for its address");
	m.functions.items[2]->driver = "nvidia";
	is_str(grants("01"), "refused: 0000:42:00.0 (gpu) is not on vfio-pci but on nvidia; "
			     "it is given when it is");
	m.functions.items[1]->driver = "";
	is_str(grants("0"), "refused: 0000:41:00.1 (audio) is not on vfio-pci but on no "
			    "driver; it is given when it is");
}

static void nothing_stays(void)
{
	arena_finish(&arena);
	machine_finish(&m);
}

TESTS({"addresses in their order, and the nodes of their groups", a_group_each},
      {"nodes of functions and iommufd, where they are there", nodes_of_functions},
      {"of GPUs that go together the first is named", two_in_a_group},
      {"audio goes along", companions},
      {"and nothing else of the board", companions_of_other_kinds},
      {"but not that of a GPU which is not named", companion_of_the_other},
      {"what is not with vfio is refused", refusals}, {"nothing stays", nothing_stays})
