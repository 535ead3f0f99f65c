/* SPDX-License-Identifier: Apache-2.0 */
/* Disks, cloud-init and their Secrets (cozystack.md 2). */
#include "controller/vm.h"

#include <string.h>

#include "base/sha256.h"

#define DEFAULT_SIZE "5Gi"

/* Where the images come from that a system disk may name, when the cluster has no golden image of that name (cozystack.md 2). */
static const struct {
	const char *name, *url;
} images[] = {
	{"ubuntu", "https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img"},
	{"cirros", "https://download.cirros-cloud.net/0.6.2/cirros-0.6.2-x86_64-disk.img"},
	{"alpine", "https://dl-cdn.alpinelinux.org/alpine/v3.20/releases/cloud/nocloud_alpine-3.20.2-x86_64-bios-tiny-r0.qcow2"},
	{"fedora", "https://download.fedoraproject.org/pub/fedora/linux/releases/40/Cloud/x86_64/images/Fedora-Cloud-Base-Generic.x86_64-40-1.14.qcow2"},
	{"talos", "https://github.com/siderolabs/talos/releases/download/v1.7.6/nocloud-amd64.raw.xz"},
};

static const char *image_url(const char *image)
{
	for (size_t i = 0; i < ARRAY_LEN(images); i++) {
		if (str_eq(images[i].name, image)) {
			return images[i].url;
		}
	}
	return NULL;
}

/* VirtualMachine always has a system disk; a VMInstance when it says so. */
static bool has_system_disk(const struct vm_seen *s)
{
	return !s->is_instance || s->spec.system_disk;
}

static const char *system_image(const struct vm_seen *s)
{
	const struct system_disk *d = s->spec.system_disk;

	return d && !str_empty(d->image) ? d->image : "ubuntu";
}

/* The golden image that CDI can clone, of either of Cozystack's names, or NULL. */
static const char *golden_image(const struct vm_seen *s, const char *image)
{
	static const char *const prefixes[] = {"vm-default-images-", "vm-image-"};

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		const char *name = arena_printf(s->pass->arena, "%s%s", prefixes[i], image);

		if (cache_get(s->pass->cache, &kind_data_volume, options_images_ns(s->options), name)) {
			return name;
		}
	}
	return NULL;
}

bool vm_disks_image_known(const struct vm_seen *s, const char **ret_image)
{
	*ret_image = system_image(s);
	return !has_system_disk(s) || image_url(*ret_image) || golden_image(s, *ret_image);
}

/* --- gather ---------------------------------------------------------------------------------------------- */

static enum vm_disk_state state_of(const struct vm_seen *s, const struct kv_data_volume *d)
{
	if (!s->cdi_served) {
		return DISK_CDI_MISSING;
	}
	if (!d) {
		return DISK_MISSING;
	}
	if (str_eq(d->phase, "Succeeded")) {
		return DISK_READY;
	}
	if (str_eq(d->phase, "Failed")) {
		return DISK_FAILED;
	}
	return str_eq(d->phase, "UploadReady") || str_eq(d->phase, "UploadScheduled") ? DISK_WAITING_UPLOAD : DISK_PROVISIONING;
}

static bool read_entry(struct vm_seen *s, const json_t *entry, size_t index)
{
	const char *name = json_is_string(entry) ? json_string_value(entry) : json_string_value(json_object_get(entry, "name"));
	struct arena *a = s->pass->arena;
	struct vm_disk_use *d;

	if (str_empty(name) || s->n_disks == VM_MAX_DISKS) {
		s->accepted = (struct vm_verdict){"InvalidDisk",
			arena_printf(a, "disks[%zu] names no VMDisk: write its name, or {name, bus}", index)};
		return false;
	}
	d = &s->disks[s->n_disks++];
	d->name = arena_strdup(a, name);
	if (json_is_string(json_object_get(entry, "bus"))) {
		d->bus = arena_strdup(a, json_string_value(json_object_get(entry, "bus")));
	}
	d->volume = arena_printf(a, "vm-disk-%s", name);
	d->data = cache_get(s->pass->cache, &kind_data_volume, s->child.owner->ns, d->volume);
	d->state = state_of(s, d->data);
	return true;
}

void vm_disks_gather(struct vm_seen *s)
{
	json_t *all = s->spec.disks ? json_loads(s->spec.disks, JSON_DECODE_ANY, NULL) : NULL, *entry;
	size_t i;

	json_array_foreach(all, i, entry) {
		if (!read_entry(s, entry, i)) {
			break;
		}
	}
	json_decref(all);
}

/* --- ready? ---------------------------------------------------------------------------------------------- */

bool vm_disks_wait(const struct vm_seen *s)
{
	for (size_t i = 0; i < s->n_disks; i++) {
		if (!s->disks[i].data) {
			return true;
		}
	}
	return false;
}

static struct vm_state disk_state(const struct vm_seen *s, enum vm_disk_state state, const char *volume)
{
	struct arena *a = s->pass->arena;
	const char *name = str_starts(volume, "vm-disk-") ? volume + strlen("vm-disk-") : volume;

	switch (state) {
	case DISK_CDI_MISSING:
		return (struct vm_state){"False", "CDIMissing", "CDI (DataVolumes) is not installed: disks cannot be made"};
	case DISK_FAILED:
		return (struct vm_state){"False", "Failed", arena_printf(a, "DataVolume %s failed: see its conditions", volume)};
	case DISK_WAITING_UPLOAD:
		return (struct vm_state){"False", "WaitingForUpload",
			arena_printf(a, "disk %s waits for its content: virtctl image-upload dv %s", name, volume)};
	case DISK_PROVISIONING:
		return (struct vm_state){"False", "Provisioning", arena_printf(a, "DataVolume %s is being filled", volume)};
	case DISK_MISSING:
		return (struct vm_state){"False", "DiskMissing", arena_printf(a, "there is no VMDisk %s in this namespace yet", name)};
	default:
		return (struct vm_state){"True", "Ready", "all disks are there"};
	}
}

/* Worst first: DiskMissing, Provisioning, WaitingForUpload, Failed, CDIMissing counted from the right. */
struct vm_state vm_disks_ready(const struct vm_seen *s)
{
	static const int badness[] = {
		[DISK_READY] = 0, [DISK_MISSING] = 1, [DISK_PROVISIONING] = 2, [DISK_WAITING_UPLOAD] = 3, [DISK_FAILED] = 4,
		[DISK_CDI_MISSING] = 5,
	};
	enum vm_disk_state worst = DISK_READY;
	const char *volume = s->child.name;

	if (!s->n_disks && !has_system_disk(s)) {
		return (struct vm_state){0};
	}
	if (has_system_disk(s)) {
		worst = state_of(s, cache_get(s->pass->cache, &kind_data_volume, s->child.owner->ns, s->child.name));
		worst = worst == DISK_MISSING ? DISK_PROVISIONING : worst;
	}
	for (size_t i = 0; i < s->n_disks; i++) {
		if (badness[s->disks[i].state] > badness[worst]) {
			worst = s->disks[i].state;
			volume = s->disks[i].volume;
		}
	}
	return disk_state(s, worst, volume);
}

/* --- writing --------------------------------------------------------------------------------------------- */

static void write_system_disk(const struct vm_seen *s, json_t *vm_spec, json_t *disks, json_t *volumes)
{
	const struct system_disk *d = s->spec.system_disk;
	const char *size = d && !str_empty(d->storage) ? d->storage : d && !str_empty(d->size) ? d->size : DEFAULT_SIZE;
	const char *class = d && d->storage_class ? d->storage_class : options_storage_class(s->options);
	const char *golden = golden_image(s, system_image(s));
	json_t *storage = json_pack("{s:{s:{s:s}}}", "resources", "requests", "storage", size);
	json_t *source = golden ? json_pack("{s:{s:s, s:s}}", "pvc", "namespace", options_images_ns(s->options), "name", golden)
				: json_pack("{s:{s:s}}", "http", "url", image_url(system_image(s)));

	if (*class) {
		json_object_set_new(storage, "storageClassName", json_string(class));
	}
	json_object_set_new(vm_spec, "dataVolumeTemplates",
			    json_pack("[{s:{s:s, s:o}, s:{s:o, s:o}}]", "metadata", "name", s->child.name, "labels",
				      child_template_labels(&s->child), "spec", "storage", storage, "source", source));
	json_array_append_new(disks, json_pack("{s:s, s:{s:s}}", "name", "systemdisk", "disk", "bus", "scsi"));
	json_array_append_new(volumes, json_pack("{s:s, s:{s:s}}", "name", "systemdisk", "dataVolume", "name", s->child.name));
}

static void write_disk(const struct vm_seen *s, const struct vm_disk_use *d, size_t order, json_t *disks, json_t *volumes)
{
	bool optical = d->data && str_eq(d->data->optical, "true");
	json_t *device = json_object();
	const char *name = arena_printf(s->pass->arena, "disk-%s", d->name);

	if (d->bus) {
		json_object_set_new(device, "bus", json_string(d->bus));
	}
	json_array_append_new(disks, json_pack("{s:s, s:o, s:I}", "name", name, optical ? "cdrom" : "disk", device, "bootOrder",
					       (json_int_t)order));
	json_array_append_new(volumes, json_pack("{s:s, s:{s:s}}", "name", name, "dataVolume", "name", d->volume));
}

static void write_cloud_init(const struct vm_seen *s, json_t *disks, json_t *volumes, json_t *template_spec)
{
	if (s->spec.ssh_keys.n) {
		json_object_set_new(template_spec, "accessCredentials",
				    json_pack("[{s:{s:{s:{s:o}}, s:{s:{}}}}]", "sshPublicKey", "source", "secret", "secretName",
					      json_sprintf("%s-ssh-keys", s->child.name), "propagationMethod", "noCloud"));
	}
	if (s->spec.ssh_keys.n || !str_empty(s->spec.cloud_init)) {
		json_array_append_new(disks, json_pack("{s:s, s:{s:s}}", "name", "cloudinitdisk", "disk", "bus", "virtio"));
		json_array_append_new(volumes, json_pack("{s:s, s:{s:{s:o}}}", "name", "cloudinitdisk", "cloudInitNoCloud", "secretRef",
							 "name", json_sprintf("%s-cloud-init", s->child.name)));
	}
}

void vm_disks_write(const struct vm_seen *s, json_t *vm_spec, json_t *devices, json_t *volumes, json_t *template_spec)
{
	json_t *disks = json_array();

	if (has_system_disk(s)) {
		write_system_disk(s, vm_spec, disks, volumes);
	}
	for (size_t i = 0; i < s->n_disks; i++) {
		write_disk(s, &s->disks[i], i + 1, disks, volumes);
	}
	write_cloud_init(s, disks, volumes, template_spec);
	if (json_array_size(disks)) {
		json_object_set(devices, "disks", disks);
	}
	json_decref(disks);
}

/* --- Secrets --------------------------------------------------------------------------------------------- */

static json_t *secret(const struct vm_seen *s, const char *suffix, json_t *data)
{
	const char *name = arena_printf(s->pass->arena, "%s-%s", s->child.name, suffix);
	json_t *body = child_object(&s->child, s->pass->cache, &kind_secret, name);

	json_object_set_new(body, "stringData", data);
	return body;
}

static json_t *ssh_keys(const struct vm_seen *s)
{
	json_t *data = json_object();

	for (size_t i = 0; i < s->spec.ssh_keys.n; i++) {
		const char *key = arena_printf(s->pass->arena, "key%zu", i);

		json_object_set_new(data, key, json_string(s->spec.ssh_keys.items[i]));
	}
	return data;
}

/* The user's own text; for keys alone, the least that installs them. */
static const char *user_data(const struct vm_seen *s)
{
	const char *text = "#cloud-config\nssh_authorized_keys:\n";

	if (!str_empty(s->spec.cloud_init)) {
		return s->spec.cloud_init;
	}
	for (size_t i = 0; i < s->spec.ssh_keys.n; i++) {
		text = arena_printf(s->pass->arena, "%s- %s\n", text, s->spec.ssh_keys.items[i]);
	}
	return text;
}

/*
 * Secrets are never read. What we last wrote is known from the hash in our own status: salted with the owner's uid, so that equal secrets of two
 * tenants do not show equal hashes.
 */
static const char *hash_of(const struct vm_seen *s, const json_t *body)
{
	auto_free char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
	auto_free char *salted = xprintf("%s %s", s->child.owner->uid, text);
	char hex[SHA256_HEX];

	sha256_hex(salted, strlen(salted), hex);
	return arena_strndup(s->pass->arena, hex, 16);
}

static const char *known_hash(const struct vm_seen *s, const char *name)
{
	if (s->app->status) {
		list_each(p, &s->app->status->secrets_hash) {
			if (str_eq(p->key, name)) {
				return p->value;
			}
		}
	}
	return NULL;
}

static void one_secret(struct vm_seen *s, struct plan *plan, const char *suffix, json_t *data, const char *why)
{
	json_t *body = secret(s, suffix, data);
	const char *name = json_string_value(json_object_get(json_object_get(body, "metadata"), "name"));
	struct pair *hash = &s->secrets[s->n_secrets++];

	*hash = (struct pair){arena_strdup(s->pass->arena, name), hash_of(s, body)};
	if (str_eq(known_hash(s, name), hash->value)) {
		json_decref(body);
	} else {
		plan_apply(plan, &kind_secret, "vmgpu", body, why);
	}
}

void vm_secrets(struct vm_seen *s, struct plan *plan)
{
	if (s->spec.ssh_keys.n) {
		one_secret(s, plan, "ssh-keys", ssh_keys(s), "the VM's SSH keys");
	}
	if (s->spec.ssh_keys.n || !str_empty(s->spec.cloud_init)) {
		one_secret(s, plan, "cloud-init", json_pack("{s:s}", "userdata", user_data(s)), "the VM's cloud-init data");
	}
}
