/* SPDX-License-Identifier: Apache-2.0 */
/* The system disk and VMDisks (cozystack.md 2). */
#include "controller/vm.h"

#include <string.h>

#include "base/quantity.h"
#include "controller/volumes.h"

#define DEFAULT_SIZE "5Gi"
#define DEFAULT_IMAGE "ubuntu"

static const char *asked_image(const struct vm_seen *s)
{
	const struct system_disk *d = s->spec.system_disk;

	return d && !str_empty(d->image) ? d->image : DEFAULT_IMAGE;
}

/* What the system disk was made from, NULL: it is not there, or of nothing that we know. */
static const char *made_from(const struct vm_seen *s)
{
	const struct kv_data_volume *d = s->system_data;

	if (!d) {
		return NULL;
	}
	return d->source_url	 ? volumes_url_image(d->source_url)
	       : d->source_claim ? volumes_golden_image(d->source_claim)
				 : NULL;
}

/* A disk keeps its content: another image in the manifest must not change what is said of it. */
const char *vm_disks_image(const struct vm_seen *s)
{
	const char *made = made_from(s);

	return made ? made : asked_image(s);
}

static bool image_known(const struct vm_seen *s)
{
	const char *image = vm_disks_image(s);

	return volumes_image_url(image) || volumes_golden(s->pass, image);
}

/* --- gather ----------------------------------------------------------------------------------- */

static bool known_already(const struct vm_seen *s, const char *name)
{
	for (size_t i = 0; i < s->n_disks; i++) {
		if (str_eq(s->disks[i].name, name)) {
			return true;
		}
	}
	return false;
}

static void read_entry(struct vm_seen *s, const json_t *entry, size_t index)
{
	const char *name =
		type_text(json_is_string(entry) ? entry : json_object_get(entry, "name"));
	const char *bus = type_text(json_object_get(entry, "bus"));
	struct arena *a = s->pass->arena;
	struct vm_disk_use *d;

	if (str_empty(name)) {
		s->accepted = verdict_no(
			"InvalidDisk",
			arena_printf(a,
				     "disks[%zu] names no VMDisk: write its name, or {name, bus}",
				     index));
		return;
	}
	if (known_already(s, name) || s->n_disks == VM_MAX_DISKS) {
		s->accepted = verdict_no(
			"InvalidDisk",
			arena_printf(
				a,
				known_already(s, name)
					? "disks[%zu] is %s once more: a disk can be attached once; remove it"
					: "disks[%zu] (%s) is one too many: a VM has at most 64",
				index, name));
		return;
	}
	d = &s->disks[s->n_disks++];
	*d = (struct vm_disk_use){
		.name = arena_strdup(a, name),
		.bus = bus ? arena_strdup(a, bus) : NULL,
		.volume = arena_printf(a, "vm-disk-%s", name),
	};
	d->data = cache_get(s->pass->cache, &kind_data_volume, s->app->obj.ns, d->volume);
}

static bool belongs_to(const struct kv_data_volume *d, const struct kv_vm *vm)
{
	return d && vm && str_eq(d->obj.owner_uid, vm->obj.uid);
}

static const struct kv_data_volume *volume_of_our_name(const struct vm_seen *s)
{
	return s->has_system_disk
		       ? cache_get(s->pass->cache, &kind_data_volume, s->app->obj.ns, s->child.name)
		       : NULL;
}

/* VirtualMachine always has a system disk; a VMInstance when it says so. */
void vm_disks_gather(struct vm_seen *s)
{
	json_t *all = type_raw(s->spec.disks), *entry;
	const struct kv_data_volume *d;
	size_t i;

	s->has_system_disk = !s->is_instance || s->spec.system_disk;
	d = volume_of_our_name(s);
	s->system_data = belongs_to(d, s->vm) ? d : NULL;
	json_array_foreach(all, i, entry) {
		if (!s->accepted.status) {
			read_entry(s, entry, i);
		}
	}
	json_decref(all);
}

/*
 * What a KubeVirt VM of this name left behind goes with it: that is awaited. Anything else is
 * somebody's, and KubeVirt would take its content for the VM's disk.
 */
static bool left_behind(const struct vm_seen *s, const struct kv_data_volume *d)
{
	return d && !belongs_to(d, s->vm) && str_eq(d->obj.owner_kind, kind_kv_vm.kind) &&
	       str_eq(d->obj.owner_name, s->child.name);
}

const struct kv_data_volume *vm_disks_taken(const struct vm_seen *s)
{
	const struct kv_data_volume *d = volume_of_our_name(s);

	return d && !belongs_to(d, s->vm) && !left_behind(s, d) ? d : NULL;
}

/* --- ready? ----------------------------------------------------------------------------------- */

static enum vm_disk_state state_of(const struct kv_data_volume *d)
{
	static const struct {
		const char *phase;
		enum vm_disk_state state;
	} phases[] = {
		{"Succeeded", DISK_READY},
		{"Failed", DISK_FAILED},
		{"UploadReady", DISK_UPLOAD},
		{"UploadScheduled", DISK_UPLOAD},
	};

	for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
		if (str_eq(d->phase, phases[i].phase)) {
			return phases[i].state;
		}
	}
	return DISK_PROVISIONING;
}

static enum vm_disk_state system_state(const struct vm_seen *s)
{
	if (!s->cdi_served) {
		return DISK_CDI_MISSING;
	}
	if (s->system_data) {
		return state_of(s->system_data);
	}
	return image_known(s) ? DISK_PROVISIONING : DISK_IMAGE_MISSING;
}

static enum vm_disk_state use_state(const struct vm_seen *s, const struct vm_disk_use *d)
{
	return !s->cdi_served ? DISK_CDI_MISSING : d->data ? state_of(d->data) : DISK_MISSING;
}

bool vm_disks_wait(const struct vm_seen *s)
{
	if (s->has_system_disk && (!s->cdi_served || left_behind(s, volume_of_our_name(s)) ||
				   (!s->system_data && !image_known(s)))) {
		return true;
	}
	for (size_t i = 0; i < s->n_disks; i++) {
		if (!s->disks[i].data) {
			return true;
		}
	}
	return false;
}

/* " (42 %)" of CDI's "42.37%". */
static const char *percent(const struct vm_seen *s, const struct kv_data_volume *d)
{
	size_t digits = d && d->progress ? strspn(d->progress, "0123456789") : 0;

	return digits ? arena_printf(s->pass->arena, " (%.*s %%)", (int)digits, d->progress) : "";
}

/* d: NULL for one that is not there. */
static struct verdict told(const struct vm_seen *s, enum vm_disk_state state, const char *name,
			   const char *volume, const struct kv_data_volume *d)
{
	struct arena *a = s->pass->arena;

	switch (state) {
	case DISK_CDI_MISSING:
		return verdict_no(
			"CDIMissing",
			"disks need CDI, whose API cdi.kubevirt.io is not served: an administrator "
			"must install it");
	case DISK_IMAGE_MISSING:
		return verdict_no("ImageMissing", volumes_no_image(s->pass, vm_disks_image(s)));
	case DISK_MISSING:
		return verdict_no(
			"DiskMissing",
			arena_printf(a, "there is no VMDisk %s in this namespace: make it", name));
	case DISK_FAILED:
		return verdict_no(
			"Failed",
			arena_printf(a,
				     "%s could not be filled: see the conditions of DataVolume %s",
				     name, volume));
	case DISK_UPLOAD:
		return verdict_no(
			"WaitingForUpload",
			arena_printf(a, "%s waits for its content: virtctl image-upload dv %s",
				     name, volume));
	case DISK_PROVISIONING:
		return verdict_no("Provisioning",
				  arena_printf(a, "%s is being filled%s", name, percent(s, d)));
	default:
		return verdict_yes("Ready", "all disks are there");
	}
}

struct verdict vm_disks_ready(const struct vm_seen *s)
{
	enum vm_disk_state worst = s->has_system_disk ? system_state(s) : DISK_READY;
	const struct vm_disk_use *use = NULL;

	if (!s->has_system_disk && !s->n_disks && !str_eq(s->accepted.reason, "InvalidDisk")) {
		return verdict_none();
	}
	for (size_t i = 0; i < s->n_disks; i++) {
		enum vm_disk_state state = use_state(s, &s->disks[i]);

		if (state < worst) {
			worst = state;
			use = &s->disks[i];
		}
	}
	if (use) {
		return told(s, worst, use->name, use->volume, use->data);
	}
	if (!s->has_system_disk && !s->n_disks) {
		return verdict_no("DiskMissing", s->accepted.message);
	}
	return told(s, worst, "the system disk", s->child.name, s->system_data);
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Or NULL. */
static const char *asked_size(const struct vm_seen *s)
{
	const struct system_disk *d = s->spec.system_disk;

	if (d && !str_empty(d->storage)) {
		return d->storage;
	}
	return d && !str_empty(d->size) ? d->size : NULL;
}

static const char *wanted_size(const struct vm_seen *s)
{
	const char *asked = asked_size(s);

	return asked ? asked : DEFAULT_SIZE;
}

/* An image that is not there keeps the body back (vm_disks_wait). */
static json_t *source(const struct vm_seen *s)
{
	const struct kv_data_volume *d = s->system_data;
	const char *image = vm_disks_image(s), *golden, *url;

	if (d && (d->source_url || d->source_claim)) {
		url = d->source_url;
		golden = d->source_claim;
	} else {
		url = volumes_image_url(image);
		golden = volumes_golden(s->pass, image);
	}
	if (!golden && url) {
		return json_pack("{s:{s:s}}", "http", "url", url);
	}
	if (!golden) {
		golden = arena_printf(s->pass->arena, "vm-default-images-%s", image);
	}
	return json_pack("{s:{s:s, s:s}}", "pvc", "namespace", options_images_ns(s->options),
			 "name", golden);
}

/* Of a disk that is there the template says what it is, so that a VM never changes for nothing. */
static const char *template_size(const struct vm_seen *s)
{
	const char *wanted = wanted_size(s),
		   *made = s->system_data ? s->system_data->storage : NULL;

	return made && quantity_compare(wanted, made) < 0 ? made : wanted;
}

static const char *template_class(const struct vm_seen *s)
{
	const struct system_disk *d = s->spec.system_disk;

	return s->system_data ? s->system_data->storage_class
			      : volumes_class(s->pass->cache, d ? d->storage_class : NULL);
}

static void write_system_disk(const struct vm_seen *s, json_t *spec, json_t *disks, json_t *volumes)
{
	json_t *storage =
		json_pack("{s:{s:{s:s}}}", "resources", "requests", "storage", template_size(s));
	json_t *disk = json_pack("{s:s, s:{s:s}}", "name", "systemdisk", "disk", "bus", "scsi");
	const char *class = template_class(s);

	if (class) {
		json_object_set_new(storage, "storageClassName", json_string(class));
	}
	if (s->n_disks) {
		json_object_set_new(disk, "bootOrder", json_integer(1));
	}
	json_object_set_new(spec, "dataVolumeTemplates",
			    json_pack("[{s:{s:s, s:o}, s:{s:o, s:o}}]", "metadata", "name",
				      s->child.name, "labels", child_template_labels(&s->child),
				      "spec", "storage", storage, "source", source(s)));
	json_array_append_new(disks, disk);
	json_array_append_new(volumes, json_pack("{s:s, s:{s:s}}", "name", "systemdisk",
						 "dataVolume", "name", s->child.name));
}

static void write_disk(const struct vm_seen *s, const struct vm_disk_use *d, size_t order,
		       json_t *disks, json_t *volumes)
{
	bool optical = d->data && str_eq(d->data->optical, "true");
	const char *name = arena_printf(s->pass->arena, "disk-%s", d->name);
	json_t *device = json_object();

	if (d->bus) {
		json_object_set_new(device, "bus", json_string(d->bus));
	}
	json_array_append_new(disks,
			      json_pack("{s:s, s:o, s:I}", "name", name, optical ? "cdrom" : "disk",
					device, "bootOrder", (json_int_t)order));
	json_array_append_new(volumes, json_pack("{s:s, s:{s:s}}", "name", name, "dataVolume",
						 "name", d->volume));
}

void vm_disks_write(const struct vm_seen *s, json_t *spec, json_t *disks, json_t *volumes)
{
	if (s->has_system_disk) {
		write_system_disk(s, spec, disks, volumes);
	}
	for (size_t i = 0; i < s->n_disks; i++) {
		write_disk(s, &s->disks[i], i + 1 + s->has_system_disk, disks, volumes);
	}
}

/* KubeVirt makes the DataVolume once and leaves it; CDI freezes it. What grows is the claim. */
void vm_disks_grow(const struct vm_seen *s, struct plan *plan)
{
	const struct kv_data_volume *d = s->system_data;
	const struct core_pvc *claim;

	if (!d || !str_eq(d->phase, "Succeeded")) {
		return;
	}
	claim = cache_get(s->pass->cache, &kind_pvc, d->obj.ns, d->obj.name);
	if (!claim || claim->obj.deleting || !str_eq(claim->obj.owner_uid, d->obj.uid) ||
	    !claim->storage || quantity_compare(wanted_size(s), claim->storage) <= 0) {
		return;
	}
	plan_merge(plan, &kind_pvc, claim->obj.ns, claim->obj.name,
		   json_pack("{s:{s:{s:{s:s}}}}", "spec", "resources", "requests", "storage",
			     wanted_size(s)),
		   "the manifest asks for a larger system disk");
}

/* --- without effect --------------------------------------------------------------------------- */

/* What the disk has, of which the claim may have grown since. */
static const char *present_size(const struct vm_seen *s)
{
	const struct kv_data_volume *d = s->system_data;
	const struct core_pvc *claim = cache_get(s->pass->cache, &kind_pvc, d->obj.ns, d->obj.name);

	return claim && claim->storage ? claim->storage : d->storage;
}

static void system_disk_not_handled(const struct vm_seen *s, const struct system_disk *asked,
				    struct listing *l)
{
	const struct kv_data_volume *d = s->system_data;
	const char *size = asked_size(s) ? present_size(s) : NULL;

	if (made_from(s) && !str_eq(made_from(s), asked_image(s))) {
		listing_add(l, "systemDisk.image (the disk was made from %s and stays so)",
			    made_from(s));
	}
	if (asked && !str_empty(asked->storage_class) &&
	    !str_eq(asked->storage_class, d->storage_class)) {
		listing_add(l, "systemDisk.storageClass (the disk is of %s%s and stays there)",
			    d->storage_class ? "class " : "the default class",
			    d->storage_class ? d->storage_class : "");
	}
	if (size && quantity_compare(asked_size(s), size) < 0) {
		listing_add(l, "systemDisk.storage (the disk has %s and cannot shrink to %s)", size,
			    asked_size(s));
	}
}

static void entry_not_handled(const json_t *entry, size_t index, struct listing *l)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)entry, key, value) {
		if (str_eq(key, "name")) {
			continue;
		}
		if (!str_eq(key, "bus")) {
			listing_add(l, "disks[%zu].%s (a disk has name and bus)", index, key);
		} else if (!type_text(value) && !json_is_null(value)) {
			listing_add(l, "disks[%zu].bus (is no text)", index);
		}
	}
}

void vm_disks_not_handled(const struct vm_seen *s, struct listing *l)
{
	json_t *all = type_raw(s->spec.disks), *entry;
	const struct system_disk *d = s->spec.system_disk;
	size_t i;

	if (d && !str_empty(d->storage) && !str_empty(d->size) &&
	    quantity_compare(d->storage, d->size) != 0) {
		listing_add(l, "systemDisk.size (systemDisk.storage is set)");
	}
	if (s->system_data) {
		system_disk_not_handled(s, d, l);
	}
	json_array_foreach(all, i, entry) {
		entry_not_handled(entry, i, l);
	}
	json_decref(all);
}
