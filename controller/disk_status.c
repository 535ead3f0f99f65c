/* SPDX-License-Identifier: Apache-2.0 */
/* What the disk's status says: CDI's phase in our words (table in cases/README.md). */
#include "controller/disk.h"

#include <string.h>

/* The same words whether CDI has not looked yet or we have just made it: one write less. */
#define BEING_MADE "the DataVolume is being made"

/* "42.31%" -> 40, or -1: CDI says "N/A" before it knows. */
static int tens(const struct disk_seen *s)
{
	const char *p = s->data->progress;
	int n = 0;

	if (str_empty(p) || *p < '0' || *p > '9') {
		return -1;
	}
	for (; *p >= '0' && *p <= '9' && n < 100; p++) {
		n = n * 10 + (*p - '0');
	}
	return MIN(n, 100) / 10 * 10;
}

static struct verdict importing(const struct disk_seen *s)
{
	const struct condition *running = condition_find(&s->data->conditions, "Running");
	struct arena *a = s->pass->arena;

	if (running && str_eq(running->status, "False") && str_eq(running->reason, "Error")) {
		return verdict_no(
			"ImportError",
			arena_printf(a, "CDI cannot fill the disk and tries again: %s",
				     running->message ? running->message : "it does not say why"));
	}
	return verdict_no("Importing",
			  tens(s) < 0
				  ? "the disk is being filled"
				  : arena_printf(a, "the disk is being filled, %d %%", tens(s)));
}

/* CDI's phases: containerized-data-importer-api/pkg/apis/core/v1beta1/types.go. */
static struct verdict phase(const struct disk_seen *s)
{
	const char *p = s->data->phase, *name = s->child.name, *ns = s->disk->obj.ns;
	struct arena *a = s->pass->arena;

	if (s->data->obj.deleting) {
		return verdict_no(
			"Terminating",
			"the DataVolume is being deleted: it is made anew when it has gone");
	}
	if (str_empty(p) || str_eq(p, "PhaseUnset")) {
		return verdict_no("Creating", BEING_MADE);
	}
	if (str_eq(p, "Succeeded")) {
		return verdict_yes("Ready", "the disk is there");
	}
	if (str_eq(p, "Failed")) {
		return verdict_no(
			"Failed",
			arena_printf(a,
				     "CDI gave up filling the disk: see kubectl describe dv %s "
				     "-n %s; remove this disk and make another",
				     name, ns));
	}
	if (str_eq(p, "UploadReady")) {
		return verdict_no(
			"WaitingForUpload",
			arena_printf(a,
				     "the disk waits for its content: virtctl image-upload "
				     "dv %s -n %s --no-create --image-path FILE",
				     name, ns));
	}
	if (str_starts(p, "Upload")) {
		return verdict_no("WaitingForUpload", "the upload is being prepared");
	}
	if (str_eq(p, "WaitForFirstConsumer") || str_eq(p, "PendingPopulation")) {
		return verdict_no("WaitForFirstConsumer",
				  "the volume is made when a VM that uses the disk starts");
	}
	return importing(s);
}

static struct verdict ready(const struct disk_seen *s)
{
	bool ours = s->whose == CHILD_OURS || s->whose == CHILD_HELM;

	if (!ours && s->accepted.status) {
		return verdict_no("NotAccepted", s->accepted.message);
	}
	if (s->missing.status) {
		return s->missing;
	}
	if (ours) {
		return phase(s);
	}
	return s->pass->trouble ? verdict_no("NotAccepted", s->pass->trouble)
				: verdict_no("Creating", BEING_MADE);
}

static struct verdict accepted(const struct disk_seen *s)
{
	struct arena *a = s->pass->arena;

	if (s->accepted.status) {
		return s->accepted;
	}
	if (s->pass->trouble) {
		return verdict_no("Refused", s->pass->trouble);
	}
	if (s->not_handled) {
		return verdict_yes("NotHandled",
				   arena_printf(a, "accepted without effect: %s", s->not_handled));
	}
	if (s->data && s->data->helms == TRI_TRUE) {
		return verdict_yes(
			"Adopted",
			arena_printf(a, "DataVolume %s, made by Cozystack, is kept as it was found",
				     s->child.name));
	}
	return verdict_yes("Accepted", "every field is acted on");
}

static const char *state_word(const struct verdict *r)
{
	static const char *const own[] = {
		"Ready",       "Creating",	   "Importing",
		"Terminating", "WaitingForUpload", "WaitForFirstConsumer"};

	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		if (str_eq(own[i], r->reason)) {
			return own[i];
		}
	}
	return "Failed";
}

static void set(const struct disk_seen *s, struct vm_disk_status *st, const char *type,
		struct verdict v)
{
	const struct condition_list *old = s->disk->status ? &s->disk->status->conditions : NULL;
	struct condition c = {
		.type = type,
		.status = v.status,
		.reason = v.reason,
		.message = v.message,
		.observed_generation = s->disk->obj.generation,
	};

	condition_set(&st->conditions, old, s->pass->arena, &c, s->pass->now_ms);
}

void disk_status(const struct disk_seen *s, struct plan *plan)
{
	bool ours = s->whose == CHILD_OURS || s->whose == CHILD_HELM;
	bool named = ours || (s->makes && !s->pass->trouble);
	struct verdict r = ready(s);
	struct vm_disk_status st = {
		.observed_generation = s->disk->obj.generation,
		.state = state_word(&r),
		.message = condition_text(s->pass->arena, r.message),
		.data_volume = named ? s->child.name : NULL,
		.size = named ? disk_done_size(s) : NULL,
	};

	if (ours) {
		st.storage_class = s->data->storage_class;
	} else if (named) {
		st.storage_class = s->class;
	}
	if (str_eq(r.reason, "Importing") && tens(s) >= 0) {
		st.progress = arena_printf(s->pass->arena, "%d%%", tens(s));
	}
	set(s, &st, "Ready", r);
	set(s, &st, "Accepted", accepted(s));
	plan_status_of(plan, &kind_vm_disk, &s->disk->obj, &vm_disk_status_type, s->disk->status,
		       &st, r.message);
}
