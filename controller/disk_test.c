/* SPDX-License-Identifier: Apache-2.0 */
/* What a disk's status says of each phase, each per cent and each size: too many for cases. */
#include "controller/disk.h"

#include "base/test.h"
#include "controller/kinds.h"

static struct arena arena;
static struct cache *c;
static struct pass pass;
static struct vm_disk disk;
static struct vm_disk_status had;
static struct kv_data_volume data;
static struct core_pvc claim;
static struct condition running;
static struct plan plan;
static struct disk_seen s;

/* A disk of ours whose DataVolume is there. */
static void begin(void)
{
	plan_finish(&plan);
	arena_finish(&arena);
	arena_init(&arena, 16 * MiB);
	cache_destroy(c);
	c = cache_create(controller_kinds);
	plan_init(&plan, &arena, c);
	pass = (struct pass){.arena = &arena, .cache = c};
	had = (struct vm_disk_status){0};
	disk = (struct vm_disk){.obj = {.ns = "t", .name = "d"}, .status = &had};
	data = (struct kv_data_volume){.obj = {.uid = "dv"}};
	claim = (struct core_pvc){.obj = {.owner_uid = "dv"}};
	s = (struct disk_seen){
		.pass = &pass,
		.disk = &disk,
		.child.name = "vm-disk-d",
		.data = &data,
		.whose = CHILD_OURS,
		.size = "5Gi",
	};
}

static const json_t *status(void)
{
	disk_status(&s, &plan);
	is_int(plan.n, 1);
	return json_object_get(plan.actions[0].body, "status");
}

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static void per_cent_in_steps_of_ten(void)
{
	static const struct {
		const char *progress, *said;
	} rows[] = {
		{NULL, NULL},	    {"", NULL},	      {"N/A", NULL},	   {"/", NULL},
		{":", NULL},	    {"0", "0%"},      {"0.99%", "0%"},	   {"1.00%", "0%"},
		{"5%", "0%"},	    {"9.99%", "0%"},  {"10%", "10%"},	   {"19%", "10%"},
		{"42.31%", "40%"},  {"90%", "90%"},   {"99.99%", "90%"},   {"100%", "100%"},
		{"100.0%", "100%"}, {"101%", "100%"}, {"1234567", "100%"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const json_t *st;

		begin();
		data.phase = "ImportInProgress";
		data.progress = rows[i].progress;
		st = status();
		is_str(text(st, "progress"), rows[i].said);
		is_str(text(st, "state"), "Importing");
		is_str(text(st, "message"),
		       rows[i].said ? arena_printf(&arena, "the disk is being filled, %.*s %%",
						   (int)strlen(rows[i].said) - 1, rows[i].said)
				    : "the disk is being filled");
		begin();
		data.phase = "Succeeded";
		data.progress = rows[i].progress;
		is_str(text(status(), "progress"), NULL);
	}
}

static void each_phase_has_its_word(void)
{
	static const struct {
		const char *phase, *state, *said;
	} rows[] = {
		{NULL, "Creating", "is being made"},
		{"", "Creating", "is being made"},
		{"PhaseUnset", "Creating", "is being made"},
		{"Pending", "Importing", "is being filled"},
		{"ImportScheduled", "Importing", "is being filled"},
		{"CloneInProgress", "Importing", "is being filled"},
		{"Succeeded", "Ready", "the disk is there"},
		{"Failed", "Failed", "see kubectl describe dv vm-disk-d -n t;"},
		{"UploadScheduled", "WaitingForUpload", "is being prepared"},
		{"UploadReady", "WaitingForUpload", "dv vm-disk-d -n t --no-create"},
		{"WaitForFirstConsumer", "WaitForFirstConsumer", "when a VM that uses the disk"},
		{"PendingPopulation", "WaitForFirstConsumer", "when a VM that uses the disk"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const json_t *st;

		begin();
		data.phase = rows[i].phase;
		st = status();
		is_str(text(st, "state"), rows[i].state);
		has(text(st, "message"), rows[i].said);
	}
}

static void an_import_that_fails_says_why(void)
{
	static const struct {
		const char *status, *reason, *message, *state, *said;
	} rows[] = {
		{"False", "Error", "no such host", "Failed", "tries again: no such host"},
		{"False", "Error", NULL, "Failed", "tries again: it does not say why"},
		{"True", "Error", "x", "Importing", "is being filled"},
		{"False", "Completed", "x", "Importing", "is being filled"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const json_t *st;

		begin();
		running = (struct condition){.type = "Running",
					     .status = rows[i].status,
					     .reason = rows[i].reason,
					     .message = rows[i].message};
		data.conditions.items = &running;
		data.conditions.n = 1;
		data.phase = "ImportInProgress";
		st = status();
		is_str(text(st, "state"), rows[i].state);
		has(text(st, "message"), rows[i].said);
	}
}

/* The size in status: the largest that was asked and done, in the words that did it. */
static void the_size_that_is_done(void)
{
	static const struct {
		const char *asked, *had, *requested, *claim;
		bool grows, trouble;
		const char *done;
	} rows[] = {
		{"5Gi", NULL, "5Gi", NULL, false, false, "5Gi"},
		{"5Gi", "5Gi", "5Gi", "5Gi", false, false, "5Gi"},
		{"5120Mi", "5Gi", "5Gi", "5Gi", false, false, "5Gi"},
		{"5120Mi", "5Gi", "5Gi", "6Gi", false, false, "5Gi"},
		{"4Gi", "5Gi", "5Gi", "5Gi", false, false, "5Gi"},
		{"6Gi", "5Gi", "5Gi", "5Gi", false, false, "5Gi"},
		{"6Gi", "5Gi", "5Gi", "5Gi", true, false, "6Gi"},
		{"6Gi", "5Gi", "5Gi", "5Gi", true, true, "5Gi"},
		{"6Gi", "5Gi", "5Gi", "6Gi", false, false, "6Gi"},
		{"6Gi", "5Gi", "5Gi", "6144Mi", false, false, "6Gi"},
		{"6Gi", "5Gi", "5Gi", "7Gi", false, false, "6Gi"},
		{"6Gi", "5Gi", "5Gi", NULL, false, false, "5Gi"},
		{"6Gi", "8Gi", "5Gi", "8Gi", false, false, "8Gi"},
		{"5Gi", "5120Mi", "5Gi", "5Gi", false, false, "5120Mi"},
		{"4Gi", "4Gi", "5Gi", "5Gi", false, false, "5Gi"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin();
		s.size = rows[i].asked;
		had.size = rows[i].had;
		data.storage = rows[i].requested;
		claim.storage = rows[i].claim;
		s.claim = rows[i].claim ? &claim : NULL;
		s.grows = rows[i].grows;
		pass.trouble = rows[i].trouble ? "refused" : NULL;
		is_str(disk_done_size(&s), rows[i].done);
	}
	begin();
	s.data = NULL;
	is_str(disk_done_size(&s), NULL);
	s.makes = true;
	is_str(disk_done_size(&s), "5Gi");
	pass.trouble = "refused";
	is_str(disk_done_size(&s), NULL);
}

TESTS({"per cent go in steps of ten", per_cent_in_steps_of_ten},
      {"each phase of CDI has its word", each_phase_has_its_word},
      {"an import that fails says why", an_import_that_fails_says_why},
      {"the size is the largest that was asked and done", the_size_that_is_done})
