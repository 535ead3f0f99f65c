/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual functions and vGPUs, as nvidia.md 2.2 to 2.5 and 3.2 say. What a place offers is read right
 * before it is written, and never believed for longer: another vGPU of the card may have been made
 * meanwhile.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/listing.h"
#include "node-daemon/sysfs.h"
#include "node-daemon/tool.h"
#include "node-daemon/vgpu.h"
#include "node-daemon/write_inner.h"

#define NAPS_FOR_VFS 1200 /* of 50 ms: a minute */
#define NAPS_FOR_TYPES 100
#define TYPES "mdev_supported_types"
#define CURRENT "nvidia/current_vgpu_type"
#define CREATABLE "nvidia/creatable_vgpu_types"
#define LIST_BYTES (16 * KiB)
#define UUID_LEN 36

/* --- where it may be done ------------------------------------------------------------------ */

/* Also one whose card has just gone. */
static bool is_vf(int dir)
{
	char name[64];

	return sysfs_link_name(dir, "physfn", name, sizeof(name)) != -ENOENT;
}

static int only_of_cards(struct writer *w, int dir)
{
	bool gpu = false;
	int rc = write_is_gpu(dir, &gpu);

	if (rc < 0) {
		return write_failed(w, "class or vendor", -rc);
	}
	return gpu && !is_vf(dir)
		       ? 0
		       : write_refused(w, "it is no card of its own, so it has no virtual "
					  "functions; correct the order that names it");
}

/* A virtual function counts for what its card is. */
static int only_of_places(struct writer *w, int dir)
{
	char name[64];
	auto_close int card = -1;
	bool gpu = false;
	uint64_t at;

	if (!is_vf(dir)) {
		return only_of_cards(w, dir);
	}
	if (sysfs_link_name(dir, "physfn", name, sizeof(name)) > 0 && pcifn_parse(name, &at) == 0) {
		card = write_open(w->sys, at);
	}
	if (card >= 0 && write_is_gpu(card, &gpu) == 0 && gpu && !is_vf(card)) {
		return 0;
	}
	return write_refused(w, "it is a virtual function of no GPU, and only those of GPUs are "
				"touched; correct the order that names it");
}

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000}, NULL);
}

/* --- values -------------------------------------------------------------------------------- */

static int odd_value(struct writer *w)
{
	return err_set(&w->err, "%s: \"%.64s\" is no value for that; it is not written", w->at,
		       w->step->value);
}

static bool is_uuid(const char *s)
{
	for (size_t i = 0; i < UUID_LEN; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !s[i] || !strchr("0123456789abcdef", s[i])) {
			return false;
		}
	}
	return true;
}

static bool is_type_id(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return n && n < 64 && !s[n];
}

/* "UUID", "UUID TYPE" */
static int mdev_value(struct writer *w, char uuid[UUID_LEN + 1], const char **ret_type)
{
	const char *value = w->step->value;
	bool typed = strlen(value) > UUID_LEN && value[UUID_LEN] == ' ';

	if (strlen(value) < UUID_LEN || !is_uuid(value) ||
	    (typed ? !is_type_id(value + UUID_LEN + 1) : value[UUID_LEN] != '\0')) {
		return odd_value(w);
	}
	memcpy(uuid, value, UUID_LEN);
	uuid[UUID_LEN] = '\0';
	*ret_type = typed ? value + UUID_LEN + 1 : NULL;
	return 0;
}

/* --- virtual functions --------------------------------------------------------------------- */

/* So many links virtfnN there are that lead to a function of this card; *ret_vgpus: so many of these
 * carry something. -errno. */
static int count_vfs(struct writer *w, int dir, int64_t *ret_vfs, int64_t *ret_vgpus)
{
	const char **names, **below;
	size_t n, m;
	int rc = sysfs_list(dir, ".", MACHINE_MAX_ENTRIES, &w->arena, &names, &n);

	*ret_vfs = *ret_vgpus = 0;
	for (size_t i = 0; i < n; i++) {
		char vf[64], card[64], type[32];
		auto_close int there = -1;
		uint64_t at;

		if (!str_starts(names[i], "virtfn") ||
		    sysfs_link_name(dir, names[i], vf, sizeof(vf)) <= 0 ||
		    pcifn_parse(vf, &at) < 0 || (there = write_open(w->sys, at)) < 0 ||
		    sysfs_link_name(there, "physfn", card, sizeof(card)) <= 0 ||
		    !str_eq(card, w->at)) {
			continue;
		}
		++*ret_vfs;
		if (sysfs_read(there, CURRENT, type, sizeof(type)) > 0 && !str_eq(type, "0")) {
			++*ret_vgpus;
		}
		if (sysfs_list(there, ".", MACHINE_MAX_ENTRIES, &w->arena, &below, &m) < 0) {
			m = 0;
		}
		for (size_t k = 0; k < m; k++) {
			*ret_vgpus += strlen(below[k]) == UUID_LEN && is_uuid(below[k]);
		}
	}
	return rc;
}

int write_autoprobe(struct writer *w, int dir)
{
	if (only_of_cards(w, dir) < 0) {
		return -1;
	}
	if (!str_eq(w->step->value, "0") && !str_eq(w->step->value, "1")) {
		return odd_value(w);
	}
	return write_put(w, dir, "sriov_drivers_autoprobe", w->step->value);
}

/* The kernel takes another number only through 0, which takes away also what is in use
 * (drivers/pci/pci-sysfs.c); who plans has seen to that, and what carries a vGPU is seen here. */
int write_vfs(struct writer *w, int dir)
{
	int64_t want, have, vfs, vgpus;
	int rc;

	if (only_of_cards(w, dir) < 0) {
		return -1;
	}
	if (parse_int(w->step->value, 0, MACHINE_MAX_VFS, &want) < 0) {
		return odd_value(w);
	}
	rc = sysfs_int(dir, "sriov_numvfs", 0, UINT16_MAX, &have);
	if (rc < 0) {
		return write_failed(w, "sriov_numvfs", -rc);
	}
	if (have == want) {
		return 0;
	}
	rc = count_vfs(w, dir, &vfs, &vgpus);
	if (rc < 0) {
		return write_failed(w, "its virtual functions", -rc);
	}
	if (vgpus) {
		return write_refused(w, "its virtual functions carry vGPUs, which would be lost; "
					"they are removed first");
	}
	return write_put(w, dir, "sriov_numvfs", w->step->value);
}

/* It has said 0 having failed (gpu-driver-container#29). The kernel has the number when a write of it
 * returns, so nothing need be waited for. */
static int check_tool(struct writer *w, int dir, const char *request)
{
	bool some = str_eq(w->step->value, TOOL_ENABLE);
	int64_t have;
	int rc = sysfs_int(dir, "sriov_numvfs", 0, UINT16_MAX, &have);

	if (rc < 0) {
		return write_failed(w, "sriov_numvfs", -rc);
	}
	return some == (have > 0)
		       ? 0
		       : err_set(&w->err,
				 "%s: \"%s\" ended with 0, and sriov_numvfs is %d all the same; "
				 "its log or the kernel's (dmesg) says why; it is tried again",
				 w->at, request, (int)have);
}

int write_tool(struct writer *w, int dir)
{
	auto_free char *request = xprintf("%s %s", w->step->value, w->at);
	struct tool_answer answer;
	int64_t vfs, vgpus = 0;

	if (only_of_cards(w, dir) < 0) {
		return -1;
	}
	if (!str_eq(w->step->value, TOOL_ENABLE) && !str_eq(w->step->value, TOOL_DISABLE)) {
		return odd_value(w);
	}
	if (!w->tool) {
		return write_refused(
			w, "only the tools of the vendor's driver can do that, and they "
			   "are not there; run the container with them beside vmgpu-node, "
			   "or sriov-manage on the node yourself");
	}
	if (count_vfs(w, dir, &vfs, &vgpus) < 0 || vgpus) {
		return write_refused(w, "its virtual functions carry vGPUs, which would be lost; "
					"they are removed first");
	}
	if (tool_ask(w->tool, request, TOOL_WAIT_MS, &answer, &w->err) < 0) {
		return err_wrap(&w->err, "%s", w->at);
	}
	if (answer.status) {
		return err_set(&w->err, "%s: \"%s\" ended with %d: %.256s; it is tried again",
			       w->at, request, (int)answer.status,
			       *answer.words ? answer.words : "it said nothing");
	}
	return check_tool(w, dir, request);
}

int write_expect_vfs(struct writer *w, int dir)
{
	int64_t want, have = 0, vgpus;
	int rc = 0;

	if (only_of_cards(w, dir) < 0) {
		return -1;
	}
	if (parse_int(w->step->value, 0, MACHINE_MAX_VFS, &want) < 0) {
		return odd_value(w);
	}
	for (int i = 0; i <= NAPS_FOR_VFS; i++) {
		arena_reset(&w->arena);
		rc = count_vfs(w, dir, &have, &vgpus);
		if (rc == 0 && have == want) {
			return 0;
		}
		nap();
	}
	if (rc < 0) {
		return write_failed(w, "its virtual functions", -rc);
	}
	return err_set(&w->err,
		       "%s: %d of %d virtual functions are there after a minute; the kernel's log "
		       "(dmesg) says why",
		       w->at, (int)have, (int)want);
}

/* --- what a place offers ------------------------------------------------------------------- */

/* Told of each type that the place offers. */
struct offer {
	const char *want; /* id of a type */
	bool found;	  /* it is offered */
	char dir[64];	  /* found: the directory of an mdev type */
	struct listing names;
};

static bool same_id(const char *x, const char *y)
{
	return str_eq(x, y) || (vgpu_number(x) && vgpu_number(x) == vgpu_number(y));
}

static int creatable(struct writer *w, int dir, struct offer *o)
{
	char *text = arena_alloc(&w->arena, LIST_BYTES);
	ssize_t n = sysfs_read(dir, CREATABLE, text, LIST_BYTES);

	if (n < 0) {
		return write_failed(w, CREATABLE, (int)-n);
	}
	for (char *line; (line = strsep(&text, "\n"));) {
		const char *id, *name;

		if (vgpu_creatable_line(line, &id, &name)) {
			o->found |= same_id(id, o->want);
			listing_add(&o->names, "%s", name);
		}
	}
	return 0;
}

/* The directories have the name of the parent's driver in front (nvidia.md 2.2). */
static int supported(struct writer *w, int dir, struct offer *o)
{
	auto_close int types = sysfs_dir(dir, TYPES);
	const char **ids;
	size_t n = 0;
	int rc = types < 0 ? types : sysfs_list(types, ".", MACHINE_MAX_TYPES, &w->arena, &ids, &n);

	if (rc < 0) {
		return write_failed(w, TYPES, -rc);
	}
	for (size_t i = 0; i < n; i++) {
		auto_close int type = sysfs_dir(types, ids[i]);
		int64_t left = 0;
		char name[128];

		if (type < 0 || strlen(ids[i]) >= sizeof(o->dir) ||
		    sysfs_int(type, "available_instances", 0, INT32_MAX, &left) < 0 || !left) {
			continue;
		}
		if (same_id(ids[i], o->want)) {
			o->found = true;
			memcpy(o->dir, ids[i], strlen(ids[i]) + 1);
		}
		listing_add(&o->names, "%s",
			    sysfs_read(type, "name", name, sizeof(name)) > 0 ? name : ids[i]);
	}
	return 0;
}

static int look_at_offer(struct writer *w, int dir, const char *type, struct offer *ret)
{
	*ret = (struct offer){.want = type};
	listing_init(&ret->names, &w->arena, ", ");
	return sysfs_exists(dir, TYPES) ? supported(w, dir, ret) : creatable(w, dir, ret);
}

/* A card that was not initialised yet offers nothing for a moment (TIMEOUT_RETRY). */
int write_expect_type(struct writer *w, int dir)
{
	const char *names = "", *type = w->step->value;
	struct offer o = {0};

	if (only_of_places(w, dir) < 0) {
		return -1;
	}
	if (!is_type_id(type)) {
		return odd_value(w);
	}
	for (int i = 0; i <= NAPS_FOR_TYPES && !*names; i++) {
		arena_reset(&w->arena);
		if (look_at_offer(w, dir, type, &o) < 0) {
			return -1;
		}
		if (o.found) {
			return 0;
		}
		names = listing_end(&o.names);
		if (!*names) {
			nap();
		}
	}
	return err_set(&w->err,
		       "%s: vGPU type %s cannot be made here now; creatable now: %s; remove other "
		       "vGPUs of the card, or ask for one of these",
		       w->at, type, *names ? names : "nothing");
}

/* --- vendor VFIO --------------------------------------------------------------------------- */

static int current(struct writer *w, int dir, int64_t *ret)
{
	char text[32];
	ssize_t n = sysfs_read(dir, CURRENT, text, sizeof(text));

	*ret = 0;
	if (n < 0 || (n > 0 && parse_int(text, 0, INT32_MAX, ret) < 0)) {
		return write_failed(w, CURRENT, n < 0 ? (int)-n : EBADMSG);
	}
	return 0;
}

static int type_value(struct writer *w, int dir, int64_t *ret_want, int64_t *ret_have)
{
	if (only_of_places(w, dir) < 0) {
		return -1;
	}
	if (!is_vf(dir)) {
		return write_refused(w, "it is no virtual function, and only these have vGPU types "
					"that are written; correct the order that names it");
	}
	return parse_int(w->step->value, 0, INT32_MAX, ret_want) < 0 ? odd_value(w)
								     : current(w, dir, ret_have);
}

/* A type over another is refused by the driver, so that one goes first: as a step of its own, when
 * nobody uses it. */
int write_type(struct writer *w, int dir)
{
	int64_t want, have;

	if (type_value(w, dir, &want, &have) < 0) {
		return -1;
	}
	if (want == have) {
		return 0;
	}
	if (want && have) {
		return err_set(&w->err,
			       "%s: it carries a vGPU of type %d by now; it is looked at again",
			       w->at, (int)have);
	}
	return write_put(w, dir, CURRENT, w->step->value);
}

int write_expect_made(struct writer *w, int dir)
{
	int64_t want, have;

	if (type_value(w, dir, &want, &have) < 0) {
		return -1;
	}
	return want == have ? 0
			    : err_set(&w->err,
				      "%s: the driver took vGPU type %d and shows %d; the kernel's "
				      "log (dmesg) says why",
				      w->at, (int)want, (int)have);
}

/* --- mediated devices ---------------------------------------------------------------------- */

int write_mdev_make(struct writer *w, int dir)
{
	char uuid[UUID_LEN + 1];
	auto_free char *path = NULL;
	const char *type;
	struct offer o;

	if (only_of_places(w, dir) < 0 || mdev_value(w, uuid, &type) < 0) {
		return -1;
	}
	if (!type) {
		return odd_value(w);
	}
	if (sysfs_exists(dir, uuid)) {
		return 0;
	}
	if (look_at_offer(w, dir, type, &o) < 0) {
		return -1;
	}
	if (!*o.dir) {
		return err_set(&w->err,
			       "%s: vGPU type %s cannot be made here now; it is looked at "
			       "again",
			       w->at, type);
	}
	path = xprintf(TYPES "/%s/create", o.dir);
	return write_put(w, dir, path, uuid);
}

/* Found below its parent, so it is one of this place. */
int write_mdev_drop(struct writer *w, int dir)
{
	char uuid[UUID_LEN + 1];
	auto_free char *path = NULL;
	const char *type;

	if (only_of_places(w, dir) < 0 || mdev_value(w, uuid, &type) < 0) {
		return -1;
	}
	path = xprintf("%s/remove", uuid);
	return sysfs_exists(dir, uuid) ? write_put(w, dir, path, "1") : 0;
}

int write_expect_mdev(struct writer *w, int dir)
{
	char uuid[UUID_LEN + 1], id[64] = "";
	auto_free char *path = NULL;
	const char *type;

	if (only_of_places(w, dir) < 0 || mdev_value(w, uuid, &type) < 0) {
		return -1;
	}
	if (!type) {
		return !sysfs_exists(dir, uuid)
			       ? 0
			       : write_refused(w,
					       "the mediated device is still there; somebody uses "
					       "it, end that");
	}
	path = xprintf("%s/mdev_type", uuid);
	if (sysfs_link_name(dir, path, id, sizeof(id)) > 0 && same_id(id, type)) {
		return 0;
	}
	return err_set(&w->err,
		       "%s: the mediated device of type %s is not there, or of type %s; the "
		       "kernel's log (dmesg) says why",
		       w->at, type, *id ? id : "none");
}
