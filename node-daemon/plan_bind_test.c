/* SPDX-License-Identifier: Apache-2.0 */
/* Programs and refusals, to the letter. That they lead anywhere is plan_bind_end_test.c's. */
#include "node-daemon/plan_bind.h"

#include "base/test.h"
#include "json/words_test.h"
#include "node-daemon/layout_test.h"

#define WORDS "node-daemon/cases/bind/words.txt"
#define AT 0x4100 /* 0000:41:00.0 */

static struct arena arena;
static struct pci_function functions[4], *pointers[4];
static struct pci_vf vfs[2];
static struct mdev mdevs[2];
static struct book_function before[4];
static struct book book;
static struct machine m;
static struct unit_list units;
static struct bind_seen seen;
static struct bind_plan plan;

/* A GPU and so many companions in group 7, without drivers, of which nothing is recorded; ordered to
 * vfio-pci, nobody has looked who uses it. */
static void begin(size_t n)
{
	arena_finish(&arena);
	arena_init(&arena, 4 * MiB);
	m = (struct machine){.iommu = "intel", .vfio_pci = true, .functions = {pointers, n}};
	for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
		static const uint32_t classes[] = {0x030000, 0x040300, 0x0c0330, 0x0c8000};

		functions[i] = (struct pci_function){
			.address = AT + i,
			.kind = i ? PCI_COMPANION : PCI_GPU,
			.ids = {.vendor = 0x10de, .device = 0x26b9, .class_code = classes[i]},
			.driver = "",
			.group = 7,
			.trouble = "",
			.reset_method = "",
			.vfs.items = vfs,
			.mdevs.items = mdevs,
		};
		pointers[i] = &functions[i];
		before[i] = (struct book_function){AT + i, false, "", ""};
	}
	vfs[0] = vfs[1] = (struct pci_vf){.address = AT + 8, .driver = "", .type = ""};
	book = (struct book){.id = AT,
			     .place = "",
			     .ids = "",
			     .functions = {before, n},
			     .name = "",
			     .was = "",
			     .why = ""};
	seen = (struct bind_seen){
		.machine = &m, .book = &book, .want = WANT_VFIO, .holder = "", .refusal = ""};
}

/* Known in this boot as they are now. */
static void record(enum book_whose whose, enum book_doing doing)
{
	book.whose = whose;
	book.doing = doing;
	for (size_t i = 0; i < book.functions.n; i++) {
		before[i].known = true;
		before[i].driver = functions[i].driver;
	}
}

static void drivers(const char *gpu, const char *others)
{
	for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
		functions[i].driver = i ? others : gpu;
	}
}

static const char *words_of(const struct bind_plan *p)
{
	static const char *const nexts[] = {"rest", "refused", "read", "write"};
	static const char *const doings[] = {"", " bind", " back"};
	const char *text = arena_printf(&arena, "%s%s", nexts[p->next], doings[p->doing]);

	if (p->next == BIND_REFUSED) {
		is_str(p->why.type, "Available");
		return arena_printf(&arena, "%s %s %s: %s", text, p->why.status, p->why.reason,
				    p->why.message);
	}
	list_each(s, &p->steps) {
		text = arena_printf(&arena, "%s%s %s", text, s == p->steps.items ? ":" : ",",
				    step_words(s, &arena));
	}
	return text;
}

/* What is planned for the first unit. */
static const char *says(void)
{
	units_make(&m, &arena, &units);
	seen.unit = &units.items[0];
	plan_bind(&seen, &arena, &plan);
	return words_of(&plan);
}

static void programs_there(void)
{
	begin(2);
	is_str(says(), "read bind: read driver_override of 0000:41:00.0, read driver_override of "
		       "0000:41:00.1");
	before[0].known = true;
	is_str(says(), "read bind: read driver_override of 0000:41:00.1");
	before[1].known = true;
	is_str(says(),
	       "write bind: read the config space of 0000:41:00.0, "
	       "set driver_override of 0000:41:00.0 to vfio-pci, "
	       "set driver_override of 0000:41:00.1 to vfio-pci, find a driver for 0000:41:00.0, "
	       "find a driver for 0000:41:00.1, see 0000:41:00.0 on vfio-pci, "
	       "see 0000:41:00.1 on vfio-pci, see vfio with 0000:41:00.0 in IOMMU group 7, "
	       "read the config space of 0000:41:00.0");
	functions[0].driver = "vfio-pci"; /* cut short behind the first */
	book.whose = BOOK_OURS;
	book.doing = BOOK_BIND;
	functions[1].group = 8;
	is_str(says(), "write bind: read the config space of 0000:41:00.0, "
		       "set driver_override of 0000:41:00.0 to vfio-pci, "
		       "set driver_override of 0000:41:00.1 to vfio-pci, "
		       "find a driver for 0000:41:00.1, see 0000:41:00.0 on vfio-pci, "
		       "see 0000:41:00.1 on vfio-pci, see vfio with 0000:41:00.0 in IOMMU group 7, "
		       "see vfio with 0000:41:00.1 in IOMMU group 8, "
		       "read the config space of 0000:41:00.0");
	functions[1].driver = "vfio-pci"; /* before its end was seen */
	has(says(), "write bind: read the config space of 0000:41:00.0, set driver_override of "
		    "0000:41:00.0 to vfio-pci, set driver_override of 0000:41:00.1 to vfio-pci, "
		    "see 0000:41:00.0 on");
	book.doing = BOOK_BACK; /* which may have taken the overrides away */
	has(says(), "write bind: read the config space of 0000:41:00.0, set driver_override of "
		    "0000:41:00.0 to vfio-pci, set");
	book.doing = BOOK_NOTHING;
	is_str(says(), "rest");
}

static void programs_from_the_host(void)
{
	begin(3);
	drivers("nvidia", "snd_hda_intel");
	functions[2].driver = "xhci_hcd";
	record(BOOK_NONE, BOOK_NOTHING);
	seen.users = BIND_USERS_NONE;
	has(says(), "write bind: read the config space of 0000:41:00.0, set unbindLock of "
		    "0000:41:00.0 to 1, set driver_override of 0000:41:00.0 to vfio-pci, ");
	has(says(), "set driver_override of 0000:41:00.2 to vfio-pci, "
		    "unbind 0000:41:00.2 from xhci_hcd, unbind 0000:41:00.1 from snd_hda_intel, "
		    "unbind 0000:41:00.0 from nvidia, find a driver for 0000:41:00.0, "
		    "find a driver for 0000:41:00.1, find a driver for 0000:41:00.2, see ");
}

static void programs_back(void)
{
	begin(3);
	drivers("nvidia", "snd_hda_intel");
	functions[2].driver = "";
	record(BOOK_OURS, BOOK_NOTHING);
	before[1].override = "snd_hda_intel";
	drivers("vfio-pci", "vfio-pci");
	seen.want = WANT_HOST;
	is_str(says(), "write back: set driver_override of 0000:41:00.0 to none, "
		       "set driver_override of 0000:41:00.1 to snd_hda_intel, "
		       "set driver_override of 0000:41:00.2 to none, "
		       "unbind 0000:41:00.2 from vfio-pci, unbind 0000:41:00.1 from vfio-pci, "
		       "unbind 0000:41:00.0 from vfio-pci, find a driver for 0000:41:00.0, "
		       "find a driver for 0000:41:00.1, see 0000:41:00.0 on nvidia, "
		       "see 0000:41:00.1 on snd_hda_intel, see 0000:41:00.2 on none");
	seen.want = WANT_VGPU; /* by the driver of the host */
	has(says(), "write back: set ");
	seen.want = WANT_LEAVE;
	is_str(says(), "rest");
	book.doing = BOOK_BIND; /* which nobody asks for any more */
	has(says(), "write back: set ");
	drivers("nvidia", "");
	functions[1].driver = "other"; /* is somebody else's by now */
	book.doing = BOOK_BACK;
	is_str(says(), "write back: set unbindLock of 0000:41:00.0 to 0, "
		       "set driver_override of 0000:41:00.0 to none, "
		       "set driver_override of 0000:41:00.1 to snd_hda_intel, "
		       "set driver_override of 0000:41:00.2 to none, see 0000:41:00.2 on none");
}

/* Only its own driver is asked, and only for GPUs. */
static void programs_from_other_drivers(void)
{
	static const char *const names[] = {"nouveau", "amdgpu", "i915", "xe"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		begin(2);
		drivers(names[i], "nvidia");
		record(BOOK_NONE, BOOK_NOTHING);
		seen.users = BIND_USERS_NONE;
		has(says(),
		    "write bind: read the config space of 0000:41:00.0, set driver_override");
		ok(!strstr(says(), "unbindLock"));
	}
}

/* Of an older boot the kernel has undone all; its record is what is left. */
static void nothing_left_to_give_back(void)
{
	begin(2);
	book.whose = BOOK_OURS;
	book.doing = BOOK_BACK;
	before[0].driver = before[1].driver = "nvidia";
	seen.want = WANT_HOST;
	is_str(says(), "rest back");
	book.whose = BOOK_NONE;
	is_str(says(), "rest");
}

static void adopted_ones(void)
{
	begin(2);
	drivers("nvgrace_gpu_vfio_pci", "vfio-pci");
	book.whose = BOOK_ADOPTED;
	before[0].driver = functions[0].driver;
	before[1].driver = functions[1].driver;
	is_str(says(), "rest");
	seen.want = WANT_HOST;
	seen.users = BIND_USERS_NONE;
	is_str(says(), "rest");
	/* its companion goes to vfio-pci and back, the GPU is not touched */
	before[1].driver = functions[1].driver = "";
	seen.want = WANT_VFIO;
	is_str(says(), "read bind: read driver_override of 0000:41:00.1");
	before[1].known = true;
	is_str(says(), "write bind: set driver_override of 0000:41:00.1 to vfio-pci, find a driver "
		       "for 0000:41:00.1, see 0000:41:00.1 on vfio-pci, see vfio with 0000:41:00.1 "
		       "in IOMMU group 7");
	book.whose = BOOK_OURS;
	before[0].known = true;
	functions[1].driver = "vfio-pci";
	seen.want = WANT_HOST;
	is_str(says(), "write back: set driver_override of 0000:41:00.1 to none, unbind "
		       "0000:41:00.1 from vfio-pci, see 0000:41:00.1 on none");
}

/* What only shares the group is never touched, known or not. */
static void members(void)
{
	begin(2);
	functions[1].kind = PCI_MEMBER;
	functions[1].ids.class_code = 0x020000;
	record(BOOK_NONE, BOOK_NOTHING);
	ok(!strstr(says(), "41:00.1"));
	functions[1].driver = "mlx5_core";
	seen.users = BIND_USERS_NONE;
	has(says(), "refused False GroupNotViable: 0000:41:00.1 (network controller) in IOMMU");
	functions[1].driver = functions[0].driver = "vfio-pci";
	book.whose = BOOK_OURS;
	seen.want = WANT_HOST;
	has(says(), "write back: ");
	ok(!strstr(says(), "41:00.1"));
}

static void users(void)
{
	begin(2);
	drivers("", "snd_hda_intel");
	is_str(says(), "refused False HostDriver: 0000:41:00.1 (audio) is on the host's driver "
		       "snd_hda_intel; whether anybody uses it cannot be seen, so it is only taken "
		       "once that driver is unbound from it");
	seen.holder = "nobody answers";
	is_str(says(), "refused False HostDriver: 0000:41:00.1 (audio) is on the host's driver "
		       "snd_hda_intel, and whether anybody uses it is not known (nobody answers); "
		       "it is taken once that is seen, or that driver is unbound from it");
	seen.users = BIND_USERS_SOME;
	seen.holder = "process 12 (arecord)";
	is_str(says(), "refused False InUse: 0000:41:00.1 (audio) is used by process 12 (arecord); "
		       "it is taken when that has ended");
	seen.users = BIND_USERS_NONE;
	has(says(), "read bind: ");
	drivers("pci-stub", "pci-stub"); /* as any driver of the host */
	seen.users = BIND_USERS_UNKNOWN;
	has(says(), "refused False HostDriver: 0000:41:00.0 (gpu) is on the host's driver pci-st");
	/* the way back */
	drivers("", "");
	record(BOOK_OURS, BOOK_NOTHING);
	drivers("vfio-pci", "vfio-pci");
	seen.want = WANT_HOST;
	has(says(), "write back: ");
	seen.users = BIND_USERS_SOME;
	seen.holder = "pod a/b";
	is_str(says(),
	       "refused False InUse: 0000:41:00.0 (gpu) is used by pod a/b; it is given back "
	       "when that has ended");
	drivers("", ""); /* there is nothing to unbind */
	has(says(), "write back: ");
	seen.want = WANT_VFIO; /* nor here */
	has(says(), "write bind: ");
}

static void what_the_driver_made(void)
{
	begin(1);
	drivers("nvidia", "");
	record(BOOK_NONE, BOOK_NOTHING);
	seen.users = BIND_USERS_NONE;
	functions[0].face = VGPU_MDEV;
	has(says(), "write bind: ");
	functions[0].mdevs.n = 2;
	is_str(says(),
	       "refused False VGPUsMade: 0000:41:00.0 (gpu) carries vGPUs: 2; it is taken as "
	       "a whole when they are removed");
	functions[0].mdevs.n = 0;
	functions[0].face = VGPU_VENDOR;
	functions[0].vfs.n = 1;
	has(says(), "refused False VirtualFunctions: 1 virtual functions of 0000:41:00.0 are made");
	vfs[0].type = "1148"; /* whose end is not to make all functions go */
	has(says(), "refused False VGPUsMade: 0000:41:00.0 (gpu) carries vGPUs: 1; ");
}

static void what_keeps_it_from_virtual_machines(void)
{
	static const char *const drivers_of[] = {"", "nvidia"};

	for (size_t i = 0; i < ARRAY_LEN(drivers_of); i++) {
		begin(2);
		drivers(drivers_of[i], "");
		seen.users = BIND_USERS_NONE;
		functions[0].face = i ? VGPU_MDEV : VGPU_NONE;
		has(says(), "read bind: ");
		functions[0].boot_display = true;
		has(says(), "refused False BootDisplay: ");
		functions[0].boot_display = false;
		functions[0].group = -1;
		has(says(), "refused False NoIOMMUGroup: ");
		functions[0].group = 7;
		m.iommu = "";
		has(says(), "refused False NoIOMMU: ");
		m.iommu = "intel";
		functions[1].unsure = true;
		functions[1].trouble = "it burns";
		has(says(), "refused Unknown Unreadable: it burns");
		functions[1].unsure = false;
		m.vfio_pci = false;
		is_str(says(), "refused False NoVFIO: the kernel's driver vfio-pci is not loaded; "
			       "modprobe vfio-pci, and name it in /etc/modules-load.d");
	}
	/* once it is there nothing is refused: that it cannot be given is said elsewhere */
	drivers("vfio-pci", "vfio-pci");
	record(BOOK_OURS, BOOK_NOTHING);
	is_str(says(), "rest");
}

static void boot_display_of_an_admin(void)
{
	begin(2);
	functions[0].boot_display = true;
	functions[0].driver = before[0].driver = "vfio-pci";
	book.whose = BOOK_ADOPTED;
	has(says(), "read bind: read driver_override of 0000:41:00.1");
}

static void in_doubt(void)
{
	begin(1);
	book.whose = BOOK_QUARANTINED;
	book.why = "another card stands there";
	is_str(says(), "refused False Quarantined: another card stands there");
	drivers("vfio-pci", "");
	is_str(says(), "refused False Quarantined: another card stands there");
	seen.want = WANT_HOST;
	is_str(says(), "refused False Quarantined: another card stands there");
	seen.want = WANT_LEAVE;
	is_str(says(), "rest");
	/* nothing may be written at all */
	begin(1);
	seen.refusal = "the journal cannot be read";
	is_str(says(), "refused False NothingWritten: the journal cannot be read");
	ok(!plan.steps.n);
	record(BOOK_OURS, BOOK_NOTHING);
	is_str(says(), "refused False NothingWritten: the journal cannot be read");
	functions[0].driver = "vfio-pci";
	is_str(says(), "rest");
	seen.want = WANT_HOST;
	is_str(says(), "refused False NothingWritten: the journal cannot be read");
	/* what is refused anyway keeps its own reason */
	seen.want = WANT_VFIO;
	functions[0].driver = "nvidia";
	before[0].driver = "nvidia";
	has(says(), "refused False HostDriver: ");
}

static void learning(void)
{
	const char *read[] = {"none", ""};
	struct steps_heard heard = {.done = 2, .read = read};

	begin(3);
	says();
	bind_learn(&book, &plan.steps, &heard);
	is_str(before[0].override, "none");
	ok(before[0].known && before[1].known && !before[2].known);
	has(says(), "read bind: read driver_override of 0000:41:00.2");
}

/* --- the machines of the scans ------------------------------------------------------------- */

static json_t *words;

static void say_layout(const char *name, struct machine *layout, attr_unused const struct tree *t)
{
	static const char *const kinds[] = {"unseen", "unused"};

	arena_finish(&arena);
	arena_init(&arena, 16 * MiB);
	units_make(layout, &arena, &units);
	list_each(u, &units) {
		for (int i = 0; i < 2; i++) {
			struct book_function *f =
				arena_array(&arena, struct book_function, u->functions.n);
			struct book b = {.functions = {f, u->functions.n}, .why = ""};
			struct bind_seen s = {
				layout, u, &b, WANT_VFIO, i ? BIND_USERS_NONE : BIND_USERS_UNKNOWN,
				"",	""};
			char text[PCIFN_TEXT_MAX];
			json_t *said;

			for (size_t k = 0; k < u->functions.n; k++) {
				f[k] = (struct book_function){u->functions.items[k]->address, true,
							      u->functions.items[k]->driver, ""};
			}
			plan_bind(&s, &arena, &plan);
			said = json_string(words_of(&plan));
			words_say(words, name,
				  arena_printf(&arena, "%s %s", pcifn_text(u->card->address, text),
					       kinds[i]),
				  said);
			json_decref(said);
		}
	}
}

static void layouts(void)
{
	bool same;

	words = json_object();
	layout_each(say_layout);
	same = words_are(WORDS, words, true);
	json_decref(words);
	ok(same);
}

static void nothing_stays(void)
{
	arena_finish(&arena);
}

TESTS({"it goes to vfio-pci in one order, and goes on from anywhere", programs_there},
      {"drivers of the host are left companions first", programs_from_the_host},
      {"NVIDIA's driver alone is asked to let go", programs_from_other_drivers},
      {"it gets back what it had", programs_back},
      {"of an older boot only the record is left", nothing_left_to_give_back},
      {"what was on vfio-pci before is never unbound", adopted_ones},
      {"what only shares the group is not touched", members},
      {"what may be used is not taken", users},
      {"what the driver made keeps it", what_the_driver_made},
      {"what cannot be given is not taken", what_keeps_it_from_virtual_machines},
      {"an admin's boot display may be completed", boot_display_of_an_admin},
      {"in doubt nothing is done", in_doubt}, {"what is read is learnt", learning},
      {"what is planned on the machines of the scans stands in " WORDS, layouts},
      {"nothing stays", nothing_stays})
