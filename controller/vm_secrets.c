/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cloud-init, SSH keys and the network configuration, each in a Secret (cozystack.md 2). Secrets
 * are never read: what we last wrote is known from the hash in our own status, and whether one of
 * that name is somebody else's from its metadata when we write (plan_unseen).
 *
 * So the status must never say less, nor anything else, than what stands there, wherever a pass
 * ends: a name is in it, as UNKNOWN, before its Secret is written, and has its hash when all of the
 * pass is done. Else a manifest that goes back to what it said before a failure would find its old
 * hash, and the Secret would keep what was taken back; and one that no longer asks for keys would
 * leave a Secret that nobody knows of.
 */
#include "controller/vm.h"

#include <string.h>

#include "base/base64.h"
#include "base/sha256.h"
#include "json/write.h"

#define TEXT_MAX (4 * MiB)
#define N_SECRETS 3
#define UNKNOWN "unknown" /* no hash: is being written, or was when a pass ended early */

static const char *name_of(const struct vm_seen *s, const char *suffix)
{
	return arena_printf(s->pass->arena, "%s-%s", s->child.name, suffix);
}

/* Network interfaces are called so by udev on q35, and by Alpine's kernel. NULL: the image asks for
 * an address on each by itself. */
static const char *interface_name(const struct vm_seen *s, size_t index)
{
	const char *image = s->has_system_disk ? vm_disks_image(s) : "";
	struct arena *a = s->pass->arena;

	if (str_eq(image, "ubuntu")) {
		return arena_printf(a, "enp%zus0", index + 1);
	}
	return str_eq(image, "alpine") ? arena_printf(a, "eth%zu", index) : NULL;
}

void vm_secrets_gather(struct vm_seen *s)
{
	bool networks = s->spec.networks.n || s->spec.subnets.n;

	if (s->spec.ssh_keys.n) {
		s->secrets.keys = name_of(s, "ssh-keys");
	}
	if (s->spec.ssh_keys.n || !str_empty(s->spec.cloud_init)) {
		s->secrets.user_data = name_of(s, "cloud-init");
	}
	if (networks && interface_name(s, 0)) {
		s->secrets.network = name_of(s, "network-config");
	}
}

/* --- in the VM -------------------------------------------------------------------------------- */

void vm_secrets_write(const struct vm_seen *s, json_t *template_spec, json_t *disks,
		      json_t *volumes)
{
	const struct vm_secret_names *n = &s->secrets;
	json_t *disk, *source;

	if (n->keys) {
		json_object_set_new(template_spec, "accessCredentials",
				    json_pack("[{s:{s:{s:{s:s}}, s:{s:{}}}}]", "sshPublicKey",
					      "source", "secret", "secretName", n->keys,
					      "propagationMethod", "noCloud"));
	}
	if (!n->user_data && !n->network) {
		return;
	}
	/* Cozystack's charts differ here, and a changed bus is another device to the guest. */
	disk = s->is_instance ? json_object() : json_pack("{s:s}", "bus", "virtio");
	json_array_append_new(disks,
			      json_pack("{s:s, s:o}", "name", "cloudinitdisk", "disk", disk));
	source = json_object();
	if (n->user_data) {
		json_object_set_new(source, "secretRef", json_pack("{s:s}", "name", n->user_data));
	}
	if (n->network) {
		json_object_set_new(source, "networkDataSecretRef",
				    json_pack("{s:s}", "name", n->network));
	}
	json_array_append_new(volumes, json_pack("{s:s, s:o}", "name", "cloudinitdisk",
						 "cloudInitNoCloud", source));
}

/* --- the Secrets ------------------------------------------------------------------------------ */

static void set_encoded(json_t *data, const char *key, const char *text)
{
	auto_free char *encoded = base64_encode(text);

	json_object_set_new(data, key, json_string(encoded));
}

static json_t *keys_data(const struct vm_seen *s)
{
	json_t *data = json_object();

	for (size_t i = 0; i < s->spec.ssh_keys.n; i++) {
		set_encoded(data, arena_printf(s->pass->arena, "key%zu", i),
			    s->spec.ssh_keys.items[i]);
	}
	return data;
}

/* The user's own text; for keys alone, the least that installs them. */
static json_t *user_data(const struct vm_seen *s)
{
	auto_buf struct buf text = {.max = TEXT_MAX};
	json_t *data = json_object();

	if (!str_empty(s->spec.cloud_init)) {
		set_encoded(data, "userdata", s->spec.cloud_init);
		return data;
	}
	buf_str(&text, "#cloud-config\nssh_authorized_keys:\n");
	for (size_t i = 0; i < s->spec.ssh_keys.n; i++) {
		buf_str(&text, "  - ");
		buf_json_str(&text, s->spec.ssh_keys.items[i]); /* which is YAML too */
		buf_char(&text, '\n');
	}
	set_encoded(data, "userdata", buf_text(&text));
	return data;
}

/* These images ask for an address on the first interface only. */
static json_t *network_data(const struct vm_seen *s)
{
	size_t n = 1 + (s->spec.networks.n ? s->spec.networks.n : s->spec.subnets.n);
	auto_buf struct buf text = {.max = TEXT_MAX};
	json_t *data = json_object();

	buf_str(&text, "network:\n  version: 1\n  config:\n");
	for (size_t i = 0; i < n; i++) {
		buf_printf(&text,
			   "  - type: physical\n    name: %s\n    subnets:\n    - type: dhcp\n",
			   interface_name(s, i));
	}
	set_encoded(data, "networkData", buf_text(&text));
	return data;
}

/* Salted with the owner's uid, so that equal Secrets of two tenants do not show equal hashes. */
static const char *hash_of(const struct vm_seen *s, const json_t *body)
{
	auto_free char *text = json_text(body, JSON_COMPACT | JSON_SORT_KEYS);
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

struct secret {
	const char *name; /* NULL: not wanted */
	json_t *(*make)(const struct vm_seen *s);
	const char *why;
	json_t *body; /* NULL: stands there */
};

static void prepare(struct vm_seen *s, struct secret *secret, json_t *unknown)
{
	const char *known = known_hash(s, secret->name), *hash;

	secret->body = child_object(&s->child, s->pass->cache, &kind_secret, secret->name);
	json_object_set_new(secret->body, "type", json_string("Opaque"));
	json_object_set_new(secret->body, "data", secret->make(s));
	hash = hash_of(s, secret->body);
	s->hashes.items[s->hashes.n++] = (struct pair){secret->name, hash};
	if (str_eq(known, hash)) {
		json_decref(take(secret->body));
	} else if (!str_eq(known, UNKNOWN)) {
		json_object_set_new(unknown, secret->name, json_string(UNKNOWN));
	}
}

void vm_secrets_apply(struct vm_seen *s, struct plan *plan)
{
	size_t before = s->app->status ? s->app->status->secrets_hash.n : 0;
	struct secret secrets[N_SECRETS] = {
		{s->secrets.keys, keys_data, "the VM's SSH keys", NULL},
		{s->secrets.user_data, user_data, "the VM's cloud-init data", NULL},
		{s->secrets.network, network_data, "the VM's network configuration", NULL},
	};
	json_t *unknown = json_object();

	s->hashes.items = arena_array(s->pass->arena, struct pair, N_SECRETS + before);
	for (size_t i = 0; i < N_SECRETS; i++) {
		if (secrets[i].name) {
			prepare(s, &secrets[i], unknown);
		}
	}
	/* The pass after a refusal writes no Secret, only the status. */
	if (json_object_size(unknown) && !s->pass->trouble) {
		plan_status(plan, s->kind, s->app->obj.ns, s->app->obj.name,
			    json_pack("{s:O}", "secretsHash", unknown),
			    "Secrets of the VM are about to be written");
	}
	json_decref(unknown);
	for (size_t i = 0; i < N_SECRETS; i++) {
		if (secrets[i].body) {
			plan_unseen(plan,
				    plan_apply(plan, &kind_secret, OBJ_MANAGER, secrets[i].body,
					       secrets[i].why),
				    s->child.owner->uid, s->child.name);
		}
	}
}

/* What we wrote once and no longer want: after the VM, which named it. */
void vm_secrets_delete(struct vm_seen *s, struct plan *plan, bool may)
{
	size_t wanted = s->hashes.n;

	if (!s->app->status) {
		return;
	}
	list_each(p, &s->app->status->secrets_hash) {
		const struct obj gone = {.ns = s->app->obj.ns, .name = p->key};
		bool is_wanted = false;

		for (size_t i = 0; i < wanted; i++) {
			is_wanted |= str_eq(s->hashes.items[i].key, p->key);
		}
		if (!is_wanted && may) {
			plan_unseen(plan,
				    plan_delete(plan, &kind_secret, &gone,
						"the manifest no longer asks for it"),
				    s->child.owner->uid, s->child.name);
		} else if (!is_wanted) {
			s->hashes.items[s->hashes.n++] = *p;
		}
	}
}
