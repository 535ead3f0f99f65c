/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/users_inner.h"

#include <string.h>
#include <unistd.h>

#define MAX_DEPTH 8 /* 0000:41:00.0/drm/card0/card0-DP-1/i2c-7/i2c-dev/i2c-7 */

/* What is being found of one function. */
struct finder {
	struct users_scan *s;
	struct holders_unit *u;
	const struct eyes_unit *asked;
	const struct eyes_function *f;
	char at[PCIFN_TEXT_MAX];
	const char *place; /* its directory below /sys */
	bool vfio;	   /* what is walked is vfio's */
};

static void doubt(struct finder *d, const char *why)
{
	holders_doubt(d->u, arena_printf(d->s->arena, "%s (%s): %s", d->at, d->f->driver, why));
}

static void add_node(struct finder *d, int dir, const char *file, bool vfio)
{
	char text[32];
	uint64_t number;

	if (sysfs_read(dir, file, text, sizeof(text)) <= 0 || holders_dev(text, &number) < 0) {
		doubt(d, "the number of one of its device nodes cannot be read");
		return;
	}
	holders_add(d->u, number, vfio);
}

static void walk(struct finder *d, int parent, const char *name, int depth)
{
	DIR *dir = depth > MAX_DEPTH ? NULL : users_names(parent, name);
	bool unsure = !dir;
	struct dirent *e;

	while (dir && (e = users_next(dir, &unsure))) {
		if (e->d_type == DT_REG && str_eq(e->d_name, "dev")) {
			add_node(d, dirfd(dir), "dev", d->vfio);
		} else if (e->d_type == DT_DIR && *e->d_name != '.') {
			walk(d, dirfd(dir), e->d_name, depth + 1);
		}
	}
	if (dir) {
		closedir(dir);
	}
	if (unsure) {
		doubt(d, "what lies below it in /sys cannot be read");
	}
}

static void expect_drm(struct finder *d)
{
	auto_free char *path = xprintf("%s/drm", d->place);

	if (!sysfs_exists(d->s->sys, path)) {
		doubt(d, "its driver shows no DRM device");
	}
}

static void add_group_node(struct finder *d, const char *group)
{
	auto_free char *class = xprintf("class/vfio/%s", group), *dev = NULL;
	char target[256];

	if (sysfs_link(d->s->sys, class, target, sizeof(target)) <= 0) {
		doubt(d, "vfio has no node for its IOMMU group");
		return;
	}
	dev = xprintf("class/vfio/%s/dev", target); /* ../../devices/virtual/vfio/17 */
	add_node(d, d->s->sys, dev, true);
}

/* A process that has the group open may get the device from it at any moment. */
static void add_group(struct finder *d)
{
	auto_free char *link = xprintf("%s/iommu_group", d->place);
	char group[32];
	int64_t number;

	if (sysfs_link_name(d->s->sys, link, group, sizeof(group)) <= 0) {
		doubt(d, "it has no IOMMU group");
		return;
	}
	if (d->f->at == d->asked->id &&
	    (parse_int(group, 0, INT32_MAX, &number) < 0 || number != d->asked->group)) {
		doubt(d, "it is in another IOMMU group by now; it is looked at again");
		return;
	}
	add_group_node(d, group);
}

/* What vfio made of a function, or of a mediated device on it: its group, and from Linux 6.6 on a node of
 * its own. */
static void add_vfio(struct finder *d, const char *place)
{
	auto_free char *link = xprintf("%s/iommu_group", place);
	auto_free char *nodes = xprintf("%s/vfio-dev", place);
	char group[32];

	if (sysfs_link_name(d->s->sys, link, group, sizeof(group)) <= 0) {
		doubt(d, "a vGPU on it has no IOMMU group");
		return;
	}
	add_group_node(d, group);
	if (sysfs_exists(d->s->sys, nodes)) {
		d->vfio = true;
		walk(d, d->s->sys, nodes, 0);
		d->vfio = false;
	}
}

/* A mediated device lies below its parent, by its UUID; with vendor VFIO the function is one of vfio's. */
static void add_vgpus(struct finder *d)
{
	auto_free char *vfio = xprintf("%s/vfio-dev", d->place);
	const char **names;
	size_t n;

	if (str_empty(d->f->uuid) && sysfs_exists(d->s->sys, vfio)) {
		add_vfio(d, d->place);
	}
	if (sysfs_list(d->s->sys, d->place, MACHINE_MAX_ENTRIES, d->s->arena, &names, &n) < 0) {
		doubt(d, "what lies below it in /sys cannot be read");
	}
	for (size_t i = 0; i < n; i++) {
		auto_free char *type = xprintf("%s/%s/mdev_type", d->place, names[i]);
		auto_free char *mdev = xprintf("%s/%s", d->place, names[i]);

		if ((str_empty(d->f->uuid) || str_eq(d->f->uuid, names[i])) &&
		    sysfs_exists(d->s->sys, type)) {
			add_vfio(d, mdev);
		}
	}
}

/* GPU instances that MIG has made: somebody wants them, though nobody has them open. */
static void count_instances(struct finder *d, uint32_t minor)
{
	auto_free char *path = xprintf("driver/nvidia/capabilities/gpu%u/mig", minor);
	const char **names;
	size_t n, made = 0;

	sysfs_list(d->s->proc, path, 256, d->s->arena, &names, &n);
	for (size_t i = 0; i < n; i++) {
		made += str_starts(names[i], "gi");
	}
	if (made) {
		d->u->held = arena_printf(
			d->s->arena, "%zu GPU instances of MIG, which nvidia-smi mig -dgi removes",
			made);
	}
}

static void add_nvidia(struct finder *d)
{
	auto_free char *path = xprintf("driver/nvidia/gpus/%s/information", d->at),
		       *text = xmalloc(16 * KiB);
	uint32_t number, minor;

	if (sysfs_read(d->s->proc, path, text, 16 * KiB) < 0 ||
	    holders_nvidia_minor(text, &minor) < 0) {
		doubt(d, "/proc/driver/nvidia does not say which of /dev/nvidia* it is");
		return;
	}
	if (sysfs_read(d->s->proc, "devices", text, 16 * KiB) < 0 ||
	    holders_nvidia_major(text, &number) < 0) {
		doubt(d, "/proc/devices does not name NVIDIA's nodes");
		return;
	}
	holders_add(d->u, holders_number(number, minor), false);
	count_instances(d, minor);
}

/* usbN/N-1: a device in its port, which may be mounted, or be the console's keyboard. */
static void look_for_plugged(struct finder *d)
{
	const char **hubs, **names;
	size_t n, k;

	if (sysfs_list(d->s->sys, d->place, 256, d->s->arena, &hubs, &n) < 0) {
		doubt(d, "what is plugged into it cannot be read");
	}
	for (size_t i = 0; i < n; i++) {
		auto_free char *hub = xprintf("%s/%s", d->place, hubs[i]);

		if (!str_starts(hubs[i], "usb") ||
		    sysfs_list(d->s->sys, hub, 1024, d->s->arena, &names, &k) < 0) {
			continue;
		}
		for (size_t j = 0; j < k; j++) {
			if (holders_is_usb_device(names[j])) {
				d->u->held = arena_printf(d->s->arena,
							  "USB device %s that is plugged into %s",
							  names[j], d->at);
			}
		}
	}
}

/* Its directory, which the bus names by a link; and that it is as whoever asks believes. */
static bool find(struct finder *d)
{
	auto_free char *link = xprintf("bus/pci/devices/%s", d->at), *driver = NULL;
	char target[512], name[256];

	if (sysfs_link(d->s->sys, link, target, sizeof(target)) <= 0) {
		doubt(d, "it is not there any more");
		return false;
	}
	d->place = arena_printf(d->s->arena, "bus/pci/devices/%s", target);
	driver = xprintf("%s/driver", d->place);
	if (sysfs_link_name(d->s->sys, driver, name, sizeof(name)) <= 0 ||
	    !str_eq(name, d->f->driver)) {
		doubt(d, "it is on another driver by now; it is looked at again");
		return false;
	}
	return true;
}

static void find_function(struct users_scan *s, const struct eyes_unit *asked,
			  const struct eyes_function *f, struct holders_unit *u)
{
	struct finder d = {
		.s = s, .u = u, .asked = asked, .f = f, .vfio = pcifn_driver_is_vfio(f->driver)};
	unsigned where = holders_driver(f->driver);

	pcifn_text(f->at, d.at);
	if (!where) {
		doubt(&d, "who uses what that driver has is not known");
	}
	if (!where || !find(&d)) {
		return;
	}
	if (where & HOLDERS_NVIDIA) {
		add_vgpus(&d);
	}
	if (f->vgpus && (where & HOLDERS_NVIDIA)) {
		return;
	}
	if (where & HOLDERS_DRM) {
		expect_drm(&d);
	}
	if (where & HOLDERS_BELOW) {
		walk(&d, s->sys, d.place, 0);
	}
	if (where & HOLDERS_GROUP) {
		add_group(&d);
	}
	if (where & HOLDERS_NVIDIA) {
		add_nvidia(&d);
	}
	if (where & HOLDERS_USB) {
		look_for_plugged(&d);
	}
}

void users_nodes(struct users_scan *s, const struct eyes_unit *u, struct holders_unit *ret)
{
	*ret = (struct holders_unit){.id = u->id, .doubt = "", .held = ""};
	ret->functions.items = arena_array(s->arena, uint64_t, u->functions.n);
	list_each(f, &u->functions) {
		ret->functions.items[ret->functions.n++] = f->at;
		find_function(s, u, f, ret);
	}
}

/* --- versions ------------------------------------------------------------------------------ */

static void add_version(struct users_scan *s, struct eyes_answer *ret, const char *name,
			const char *version)
{
	if (!ret->versions.items) {
		ret->versions.items = arena_array(s->arena, struct eyes_version, EYES_MAX_VERSIONS);
	}
	if (ret->versions.n < EYES_MAX_VERSIONS) {
		ret->versions.items[ret->versions.n++] =
			(struct eyes_version){name, arena_strdup(s->arena, version)};
	}
}

/* The library is a link to libnvidia-ml.so.550.54.15: on the host, or where a driver's container
 * has unpacked it. */
static void library_version(struct users_scan *s, struct eyes_answer *ret)
{
	static const char name[] = "libnvidia-ml.so.";
	static const char *const places[] = {
		"1/root/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
		"1/root/usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1",
		"1/root/usr/lib64/libnvidia-ml.so.1",
		"1/root/run/nvidia/driver/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
		"1/root/run/nvidia/driver/usr/lib64/libnvidia-ml.so.1",
	};
	char target[256];

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		if (sysfs_link_name(s->proc, places[i], target, sizeof(target)) > 0 &&
		    str_starts(target, name)) {
			add_version(s, ret, "libnvidia-ml", target + strlen(name));
			return;
		}
	}
}

void users_versions(struct users_scan *s, struct eyes_answer *ret)
{
	static const char *const modules[] = {"nvidia", "amdgpu", "i915", "xe"};
	char text[64];

	for (size_t i = 0; i < ARRAY_LEN(modules); i++) {
		auto_free char *path = xprintf("module/%s/version", modules[i]);

		if (sysfs_read(s->sys, path, text, sizeof(text)) > 0) {
			add_version(s, ret, modules[i], text);
		}
	}
	library_version(s, ret);
}
