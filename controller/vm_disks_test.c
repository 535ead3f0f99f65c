/* SPDX-License-Identifier: Apache-2.0 */
/* None, one, several and too many disks, in each state that CDI knows. */
#include "controller/vm.h"

#include "base/buf.h"
#include "base/listing.h"
#include "base/test.h"
#include "controller/kinds.h"

static struct arena arena;
static struct cache *c;
static struct pass pass;
static struct vm_app app;
static struct vm_seen s;

/* A VMInstance without disks, in a cluster where CDI is. */
static void begin(void)
{
	arena_finish(&arena);
	arena_init(&arena, 16 * MiB);
	cache_destroy(c);
	c = cache_create(controller_kinds);
	pass = (struct pass){.arena = &arena, .cache = c};
	app = (struct vm_app){.obj = {.ns = "t", .name = "a"}};
	s = (struct vm_seen){
		.pass = &pass,
		.app = &app,
		.child = {.kind = &kind_vm_instance,
			  .owner = &app.obj,
			  .app = "vm-instance",
			  .name = "vm-instance-a"},
		.is_instance = true,
		.cdi_served = true,
	};
}

/* The DataVolume of a VMDisk; phase NULL: there is none. */
static void disk(const char *name, const char *phase, const char *progress)
{
	const struct kv_data_volume d = {
		.obj = {.ns = "t", .name = arena_printf(&arena, "vm-disk-%s", name), .rv = "1"},
		.phase = phase,
		.progress = progress,
	};

	if (phase) {
		cache_put(c, &kind_data_volume, &d);
	}
}

static void as_many_as_a_vm_takes(void)
{
	static const size_t sizes[] = {0, 1, 2, 3, 63, 64, 65, 66};

	for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
		auto_buf struct buf text = {.max = 64 * KiB};

		begin();
		buf_char(&text, '[');
		for (size_t i = 0; i < sizes[k]; i++) {
			buf_printf(&text, "%s\"d%zu\"", i ? "," : "", i);
		}
		buf_char(&text, ']');
		s.spec.disks = buf_text(&text);
		vm_disks_gather(&s);
		is_int(s.n_disks, MIN(sizes[k], 64));
		for (size_t i = 0; i < s.n_disks; i++) {
			is_str(s.disks[i].name, arena_printf(&arena, "d%zu", i));
			is_str(s.disks[i].volume, arena_printf(&arena, "vm-disk-d%zu", i));
		}
		is_str(s.accepted.reason, sizes[k] > 64 ? "InvalidDisk" : NULL);
		if (sizes[k] > 64) {
			has(s.accepted.message, "disks[64] (d64) is one too many");
		}
	}
}

static void the_first_that_is_wrong_is_said(void)
{
	static const char *const rows[][2] = {
		{"[\"a\",\"b\",\"a\"]", "disks[2] is a once more"},
		{"[\"a\",\"b\",\"b\",\"a\"]", "disks[2] is b once more"},
		{"[{\"name\":\"a\"},\"a\"]", "disks[1] is a once more"},
		{"[\"\"]", "disks[0] names no VMDisk"},
		{"[\"a\",{}]", "disks[1] names no VMDisk"},
		{"[\"a\",{\"bus\":\"sata\"},\"a\"]", "disks[1] names no VMDisk"},
		{"[\"a\",1]", "disks[1] names no VMDisk"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin();
		s.spec.disks = rows[i][0];
		vm_disks_gather(&s);
		is_str(s.accepted.reason, "InvalidDisk");
		has(s.accepted.message, rows[i][1]);
	}
}

/* Three disks, of which each in turn is in each state, the others ready. */
static void the_worst_disk_is_said(void)
{
	static const struct {
		const char *phase, *progress, *reason, *said;
		bool waits;
	} rows[] = {
		{"Succeeded", NULL, "Ready", "all disks are there", false},
		{NULL, NULL, "DiskMissing", "there is no VMDisk %s in", true},
		{"Failed", NULL, "Failed", "%s could not be filled", false},
		{"UploadReady", NULL, "WaitingForUpload", "%s waits for its content", false},
		{"UploadScheduled", NULL, "WaitingForUpload", "%s waits for its content", false},
		{"ImportInProgress", "42.37%", "Provisioning", "%s is being filled (42 %%)", false},
		{"ImportInProgress", "N/A", "Provisioning", "%s is being filled", false},
		{"Pending", NULL, "Provisioning", "%s is being filled", false},
	};
	static const char *const names[] = {"a", "b", "c"};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t bad = 0; bad < ARRAY_LEN(names); bad++) {
			auto_free char *said = xprintf("%s", rows[i].said);
			char *at = strstr(said, "%s");
			struct verdict v;

			begin();
			for (size_t k = 0; k < ARRAY_LEN(names); k++) {
				disk(names[k], k == bad ? rows[i].phase : "Succeeded",
				     k == bad ? rows[i].progress : NULL);
			}
			s.spec.disks = "[\"a\",\"b\",\"c\"]";
			vm_disks_gather(&s);
			v = vm_disks_ready(&s);
			is_str(v.reason, rows[i].reason);
			is_int(vm_disks_wait(&s), rows[i].waits);
			if (at) {
				auto_free char *rest = xstrdup(at + 2);
				char *percents = strstr(rest, "%%");

				if (percents) {
					memmove(percents, percents + 1, strlen(percents));
				}
				*at = '\0';
				has(v.message,
				    arena_printf(&arena, "%s%s%s", said, names[bad], rest));
			} else {
				has(v.message, said);
			}
		}
	}
}

/* Of several that are not ready the worst, of equals the first. */
static void worse_goes_before_bad(void)
{
	static const char *const phases[] = {NULL, "Failed", "UploadReady", "Pending", "Succeeded"};
	static const char *const reasons[] = {"DiskMissing", "Failed", "WaitingForUpload",
					      "Provisioning", "Ready"};

	for (size_t i = 0; i < ARRAY_LEN(phases) * ARRAY_LEN(phases); i++) {
		size_t x = i / ARRAY_LEN(phases), y = i % ARRAY_LEN(phases);
		struct verdict v;

		begin();
		disk("first", phases[x], NULL);
		disk("second", phases[y], NULL);
		s.spec.disks = "[\"first\",\"second\"]";
		vm_disks_gather(&s);
		v = vm_disks_ready(&s);
		is_str(v.reason, reasons[MIN(x, y)]);
		if (MIN(x, y) < 4) {
			has(v.message, x <= y ? "first" : "second");
		}
		s.cdi_served = false;
		is_str(vm_disks_ready(&s).reason, "CDIMissing");
	}
	begin();
	vm_disks_gather(&s);
	is_str(vm_disks_ready(&s).status, NULL);
}

static void order_of_boot(void)
{
	for (int system = 0; system < 2; system++) {
		json_t *spec = json_object(), *disks = json_array(), *volumes = json_array();
		static const struct system_disk plain;

		begin();
		s.spec.system_disk = system ? &plain : NULL;
		s.spec.disks = "[\"a\",\"b\",\"c\"]";
		vm_disks_gather(&s);
		vm_disks_write(&s, spec, disks, volumes);
		is_int(json_array_size(disks), 3 + system);
		is_int(json_array_size(volumes), 3 + system);
		for (int i = 0; i < 3 + system; i++) {
			is_int(json_integer_value(json_object_get(json_array_get(disks, (size_t)i),
								  "bootOrder")),
			       i + 1);
		}
		json_decref(spec);
		json_decref(disks);
		json_decref(volumes);
	}
}

/* --- without effect --------------------------------------------------------------------------- */

static struct kv_vm vm;
static struct kv_data_volume data;
static struct system_disk asked;

static const char *without_effect(void)
{
	struct listing l;

	listing_init(&l, &arena, ", ");
	vm_disks_not_handled(&s, &l);
	return l.text ? listing_end(&l) : "";
}

/* Its system disk is there, of 5Gi and class fast, made of ubuntu. */
static void begin_with_system_disk(void)
{
	begin();
	vm = (struct kv_vm){.obj = {.ns = "t", .name = "vm-instance-a", .uid = "vm"}};
	data = (struct kv_data_volume){
		.obj = {.ns = "t",
			.name = "vm-instance-a",
			.uid = "dv",
			.owner_uid = "vm",
			.rv = "1"},
		.phase = "Succeeded",
		.storage = "5Gi",
		.storage_class = "fast",
		.source_claim = "vm-default-images-ubuntu",
	};
	s.vm = &vm;
	asked = (struct system_disk){0};
	s.spec.system_disk = &asked;
}

static void gather(void)
{
	cache_put(c, &kind_data_volume, &data);
	vm_disks_gather(&s);
}

static void two_sizes_of_a_system_disk(void)
{
	static const struct {
		const char *storage, *size;
		bool said;
	} rows[] = {
		{NULL, NULL, false},	  {"6Gi", NULL, false}, {NULL, "6Gi", false},
		{"6Gi", "", false},	  {"", "6Gi", false},	{"6Gi", "6Gi", false},
		{"6Gi", "6144Mi", false}, {"6Gi", "7Gi", true}, {"7Gi", "6Gi", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin_with_system_disk();
		asked.storage = rows[i].storage;
		asked.size = rows[i].size;
		gather();
		is_str(without_effect(),
		       rows[i].said ? "systemDisk.size (systemDisk.storage is set)" : "");
	}
	begin();
	is_str(without_effect(), "");
}

static void what_a_disk_that_is_there_stays(void)
{
	static const struct {
		struct system_disk asked;
		const char *class, *storage, *claim, *url, *golden, *said;
	} rows[] = {
		{{0}, "fast", "5Gi", NULL, NULL, NULL, ""},
		{{.image = "ubuntu"}, NULL, NULL, NULL, NULL, "vm-image-ubuntu", ""},
		{{.image = "fedora"},
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "vm-image-ubuntu",
		 "systemDisk.image (the disk was made from ubuntu and stays so)"},
		{{.image = "fedora"}, NULL, NULL, NULL, NULL, NULL, ""},
		{{.image = "fedora"}, NULL, NULL, NULL, NULL, "some-claim", ""},
		{{.storage_class = "fast"}, "fast", NULL, NULL, NULL, NULL, ""},
		{{.storage_class = "slow"},
		 "fast",
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "systemDisk.storageClass (the disk is of class fast and stays there)"},
		{{.storage_class = "slow"},
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 NULL,
		 "systemDisk.storageClass (the disk is of the default class and stays there)"},
		{{.storage = "5Gi"}, NULL, "5Gi", NULL, NULL, NULL, ""},
		{{.storage = "4Gi"},
		 NULL,
		 "5Gi",
		 NULL,
		 NULL,
		 NULL,
		 "systemDisk.storage (the disk has 5Gi and cannot shrink to 4Gi)"},
		{{.storage = "5Gi"},
		 NULL,
		 "5Gi",
		 "6Gi",
		 NULL,
		 NULL,
		 "systemDisk.storage (the disk has 6Gi and cannot shrink to 5Gi)"},
		{{.storage = "6Gi"}, NULL, "5Gi", "6Gi", NULL, NULL, ""},
		{{.storage = "7Gi"}, NULL, "5Gi", "6Gi", NULL, NULL, ""},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin_with_system_disk();
		asked = rows[i].asked;
		data.storage_class = rows[i].class;
		data.storage = rows[i].storage;
		data.source_url = rows[i].url;
		data.source_claim = rows[i].golden;
		if (rows[i].claim) {
			cache_put(c, &kind_pvc,
				  &(struct core_pvc){
					  .obj = {.ns = "t", .name = "vm-instance-a", .rv = "1"},
					  .storage = rows[i].claim});
		}
		gather();
		is_str(without_effect(), rows[i].said);
	}
}

/* Of another owner's DataVolume of that name nothing is said. */
static void a_disk_of_somebody_else_says_nothing(void)
{
	begin_with_system_disk();
	asked = (struct system_disk){.image = "fedora", .storage = "1Gi", .storage_class = "slow"};
	data.obj.owner_uid = "other";
	gather();
	is_str(without_effect(), "");
	data.obj.owner_uid = "vm";
	begin_with_system_disk();
	asked = (struct system_disk){.image = "fedora", .storage = "1Gi", .storage_class = "slow"};
	s.vm = NULL;
	gather();
	is_str(without_effect(), "");
}

static void fields_of_an_entry(void)
{
	static const char *const rows[][2] = {
		{"[\"a\",{\"name\":\"b\"},{\"name\":\"c\",\"bus\":\"sata\"}]", ""},
		{"[{\"name\":\"a\",\"bus\":null}]", ""},
		{"[{\"name\":\"a\",\"bus\":5}]", "disks[0].bus (is no text)"},
		{"[\"a\",{\"name\":\"b\",\"size\":\"1Gi\"}]",
		 "disks[1].size (a disk has name and bus)"},
		{"[{\"x\":1},{\"bus\":{}}]",
		 "disks[0].x (a disk has name and bus), disks[1].bus (is no text)"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin();
		s.spec.disks = rows[i][0];
		is_str(without_effect(), rows[i][1]);
	}
}

/* --- growing ---------------------------------------------------------------------------------- */

static void a_claim_grows_when_it_may(void)
{
	static const struct {
		const char *phase, *owner, *claim, *storage, *to;
		bool deleting;
	} rows[] = {
		{"Succeeded", "dv", "5Gi", "6Gi", "6Gi", false},
		{"Succeeded", "dv", "5Gi", "5Gi", NULL, false},
		{"Succeeded", "dv", "5Gi", "4Gi", NULL, false},
		{"Succeeded", "dv", "5Gi", NULL, NULL, false},
		{"Succeeded", "dv", "4Gi", NULL, "5Gi", false},
		{"Succeeded", "dv", NULL, "6Gi", NULL, false},
		{"Succeeded", "other", "5Gi", "6Gi", NULL, false},
		{"Succeeded", NULL, "5Gi", "6Gi", NULL, false},
		{"Succeeded", "dv", "5Gi", "6Gi", NULL, true},
		{"ImportInProgress", "dv", "5Gi", "6Gi", NULL, false},
		{NULL, "dv", "5Gi", "6Gi", NULL, false},
	};

	for (size_t i = 0; i <= ARRAY_LEN(rows); i++) {
		struct plan plan;
		const char *to = NULL, *want = i < ARRAY_LEN(rows) ? rows[i].to : NULL;

		begin_with_system_disk();
		if (i < ARRAY_LEN(rows)) {
			data.phase = rows[i].phase;
			asked.storage = rows[i].storage;
			cache_put(c, &kind_pvc,
				  &(struct core_pvc){
					  .obj = {.ns = "t",
						  .name = "vm-instance-a",
						  .rv = "1",
						  .owner_uid = rows[i].owner,
						  .deleting = rows[i].deleting ? "now" : NULL},
					  .storage = rows[i].claim});
		} else {
			asked.storage = "6Gi"; /* no claim is there */
		}
		gather();
		plan_init(&plan, &arena, c);
		vm_disks_grow(&s, &plan);
		is_int(plan.n, want != NULL);
		if (plan.n) {
			json_unpack(plan.actions[0].body, "{s:{s:{s:{s:s}}}}", "spec", "resources",
				    "requests", "storage", &to);
		}
		is_str(to, want);
		plan_finish(&plan);
	}
}

TESTS({"a VM takes 64 disks", as_many_as_a_vm_takes},
      {"the first entry that is wrong is said", the_first_that_is_wrong_is_said},
      {"a disk that is not ready is said, wherever it stands", the_worst_disk_is_said},
      {"of several the worst is said, of equals the first", worse_goes_before_bad},
      {"disks boot in their order, the system disk first", order_of_boot},
      {"of two sizes of a system disk one has no effect", two_sizes_of_a_system_disk},
      {"what a disk that is there stays is said", what_a_disk_that_is_there_stays},
      {"of somebody else's disk nothing is said", a_disk_of_somebody_else_says_nothing},
      {"a field that an entry has not is named", fields_of_an_entry},
      {"the claim of a system disk grows when it may", a_claim_grows_when_it_may})
