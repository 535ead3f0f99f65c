/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/write.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/process.h"
#include "node-daemon/sysfs.h"
#include "node-daemon/write_inner.h"

#define TRIES 100 /* of what is interrupted */
#define DEVICES "bus/pci/devices"
#define LOCK_TRIES 5
#define LOCK_PAUSE_MS 100 /* and doubled */

/* --- why ----------------------------------------------------------------------------------- */

/* What the kernel answers, and what helps. */
static const struct {
	int error;
	const char *words;
} answers[] = {
	{EBUSY, "it is busy: somebody uses it, or its virtual functions are there; end that"},
	{ENODEV,
	 "it is not there any more, or on another driver by now; nothing to do, it is looked at again"},
	{ENOENT,
	 "the kernel has no such file: the device was unplugged, or its driver unloaded; load it again"},
	{EAGAIN, "another removal of it is under way; it is looked at again"},
	{EEXIST, "a mediated device of that UUID is there already; it is looked at again"},
	{EUSERS, "the driver has no instance of that type left; remove another vGPU"},
	{ERANGE, "that is more than the device has; correct the order"},
	{EINVAL,
	 "the kernel refuses that; its log (dmesg) says why, often a missing IOMMU group or memory that the firmware reserved"},
	{EPERM,
	 "that is forbidden; look for lockdown in the kernel's log, and for the rights of vmgpu-node"},
	{EACCES, "that is forbidden; vmgpu-node must run as root"},
	{EROFS,
	 "/sys is read-only here; give vmgpu-node the host's /sys, writable and at another path, and name that with --sys-root"},
	{EIO,
	 "the device or its driver failed; look into the kernel's log, a reset or a power cycle of the machine may help"},
	{ENOSPC,
	 "the kernel has no room for it (memory space or numbers on the bus); its log says which"},
	{ENOMEM, "the kernel has no memory or no memory space for it; its log says which"},
	{EINTR, "it was interrupted again and again; it is tried again"},
	{ELOOP, "a link stands there instead of a file; --sys-root must be the machine's /sys"},
	{EXDEV, "a link there leads out of /sys; --sys-root must be the machine's /sys"},
	{ENOTTY,
	 "it has no reset that works where it stands; a restart of the machine makes it clean"},
	{ENOSYS, "the kernel is too old (openat2 is missing); 5.10 or later is needed"},
};

int write_failed(struct writer *w, const char *what, int error)
{
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		if (answers[i].error == error) {
			return err_set(&w->err, "%s: %s: %s", w->at, what, answers[i].words);
		}
	}
	return err_set(&w->err, "%s: %s: %s", w->at, what, strerror(error));
}

int write_refused(struct writer *w, const char *why)
{
	return err_set(&w->err, "%s: %s", w->at, why);
}

/* --- opening ------------------------------------------------------------------------------- */

/* EAGAIN: somebody renamed or mounted something meanwhile (openat2(2)). */
static int open_below(int dir, const char *path, int flags, uint64_t resolve)
{
	const struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = resolve};
	int fd = -1;

	for (int i = 0; i < TRIES; i++) {
		fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) {
			break;
		}
	}
	return fd;
}

int write_open(int sys, uint64_t at)
{
	char text[PCIFN_TEXT_MAX];
	auto_free char *path = xprintf(DEVICES "/%s", pcifn_text(at, text));

	return open_below(sys, path, O_PATH | O_DIRECTORY, RESOLVE_BENEATH);
}

int write_put(struct writer *w, int dir, const char *path, const char *text)
{
	auto_close int fd = open_below(dir, path, O_WRONLY | O_NOCTTY | O_NONBLOCK,
				       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	size_t n = strlen(text);
	ssize_t done = -1;

	if (fd < 0) {
		return write_failed(w, path, errno);
	}
	errno = 0;
	for (int i = 0; i < TRIES && done < 0 && (i == 0 || errno == EINTR); i++) {
		done = write(fd, text, n);
	}
	if (done < 0) {
		return write_failed(w, path, errno);
	}
	if ((size_t)done != n) {
		return err_set(&w->err,
			       "%s: %s: the kernel took %zd of %zu bytes; it is tried again", w->at,
			       path, done, n);
	}
	return 0;
}

/* --- what stands there --------------------------------------------------------------------- */

static int read_hex(int dir, const char *file, size_t digits, uint32_t *ret)
{
	char text[32];
	ssize_t n = sysfs_read(dir, file, text, sizeof(text));

	return n < 0 ? (int)n : pcifn_hex(text, digits, ret) < 0 ? -EBADMSG : 0;
}

static int identity(int dir, struct pci_ids *ret)
{
	uint32_t class_code, vendor;
	int rc = read_hex(dir, "class", 6, &class_code);

	rc = rc < 0 ? rc : read_hex(dir, "vendor", 4, &vendor);
	if (rc == 0) {
		*ret = (struct pci_ids){.vendor = (uint16_t)vendor, .class_code = class_code};
	}
	return rc;
}

int write_is_gpu(int dir, bool *ret)
{
	struct pci_ids ids;
	int rc = identity(dir, &ids);

	if (rc == 0) {
		*ret = pcifn_is_gpu(&ids);
	}
	return rc;
}

static int64_t group_of(int dir)
{
	char text[32];
	int64_t group;

	return sysfs_link_name(dir, "iommu_group", text, sizeof(text)) > 0 &&
			       parse_int(text, 0, INT32_MAX, &group) == 0
		       ? group
		       : -1;
}

/* Nothing in the group lies outside the slot. */
static bool group_of_slot(struct writer *w, int dir)
{
	const char **names;
	size_t n;
	uint64_t at;
	int rc = sysfs_list(dir, "iommu_group/devices", MACHINE_MAX_MEMBERS, &w->arena, &names, &n);

	for (size_t i = 0; i < n; i++) {
		if (pcifn_parse(names[i], &at) < 0 || pcifn_slot(at) != pcifn_slot(w->step->at)) {
			return false;
		}
	}
	return rc == 0 && n > 0;
}

/* A companion belongs to a GPU: of its vendor, in its slot, and in its group, or in one that has
 * nothing else in it. */
static bool beside_gpu(struct writer *w, int dir, const struct pci_ids *ids)
{
	uint64_t slot = w->step->at & ~UINT64_C(7);
	struct pci_ids other;

	for (uint64_t at = slot; at < slot + 8; at++) {
		auto_close int there = at == w->step->at ? -1 : write_open(w->sys, at);

		if (there >= 0 && identity(there, &other) == 0 && pcifn_is_gpu(&other) &&
		    other.vendor == ids->vendor &&
		    (group_of(there) == group_of(dir) || group_of_slot(w, dir))) {
			return true;
		}
	}
	return false;
}

int write_driver_of(struct writer *w, int dir, char *ret, size_t size)
{
	ssize_t n = sysfs_link_name(dir, "driver", ret, size);

	if (n < 0 && n != -ENOENT) {
		return write_failed(w, "driver", (int)-n);
	}
	if (n < 0) {
		*ret = '\0';
	}
	return 0;
}

/* The console of the firmware stays, unless an admin took it away already. */
static int boot_display(struct writer *w, int dir)
{
	bool taken = w->step->verb == STEP_UNBIND || w->step->verb == STEP_UNBIND_LOCK ||
		     w->step->verb == STEP_TOOL ||
		     (w->step->verb == STEP_OVERRIDE && pcifn_driver_is_vfio(w->step->value));
	char driver[256];
	int64_t boot = 0;

	if (!taken || sysfs_int(dir, "boot_vga", 0, 1, &boot) < 0 || !boot) {
		return 0;
	}
	if (write_driver_of(w, dir, driver, sizeof(driver)) < 0) {
		return -1;
	}
	return pcifn_driver_is_vfio(driver)
		       ? 0
		       : write_refused(
				 w,
				 "the firmware shows its console on it, so it stays with the host; "
				 "make another adapter the primary display in the firmware's setup");
}

/* The compiled-in rule of what may be touched, on what sysfs says now. */
static int allowed(struct writer *w, int dir)
{
	struct pci_ids ids;
	int rc = identity(dir, &ids);

	if (rc < 0) {
		return write_failed(w, "class or vendor", -rc);
	}
	if (!pcifn_is_gpu(&ids) && !(pcifn_is_companion(&ids) && beside_gpu(w, dir, &ids))) {
		return err_set(
			&w->err,
			"%s: it is a %s of vendor %04x, neither a GPU nor on a GPU's board, and "
			"only these are touched; correct the order that names it",
			w->at, pcifn_class_words(ids.class_code), ids.vendor);
	}
	return boot_display(w, dir);
}

/* --- steps --------------------------------------------------------------------------------- */

static int read_override(struct writer *w, int dir)
{
	ssize_t n = sysfs_read(dir, "driver_override", w->read, sizeof(w->read));

	if (n < 0) {
		return write_failed(w, "driver_override", (int)-n);
	}
	if (str_eq(w->read, "(null)")) { /* what the kernel prints for none */
		w->read[0] = '\0';
	}
	return 0;
}

static void sleep_ms(long ms)
{
	const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* The driver takes it when nobody has the card open, and what it took is known when the file was
 * closed and is read again (nvidia.ko, nv-procfs.c). 1: not taken. */
static int try_lock(struct writer *w, const char *path)
{
	auto_free char *line = xprintf("%s\n", w->step->value);
	char text[32];
	ssize_t n;

	if (write_put(w, w->proc, path, line) < 0) {
		return -1;
	}
	n = sysfs_read(w->proc, path, text, sizeof(text));
	if (n < 0) {
		return write_failed(w, path, (int)-n);
	}
	return !str_eq(text, w->step->value);
}

/*
 * Only the driver for vGPU hosts has such a lock (IS_VGX_HYPER in nv-procfs.c; an H100 on 580.159 has
 * none). Of others it is enough that no process has the card open and that the kernel's console is not
 * on it, if the driver shows it at all. To give a lock back that is not there is done.
 */
static int no_unbind_lock(struct writer *w, int dir)
{
	auto_free char *card = xprintf("driver/nvidia/gpus/%s", w->at);

	if (str_eq(w->step->value, "0")) {
		return 0;
	}
	if (!sysfs_exists(w->proc, card)) {
		return write_refused(w,
				     "/proc/driver/nvidia does not show it, so whether the kernel "
				     "itself uses it is not known; nothing was changed; vmgpu-node "
				     "must see the host's /proc/driver/nvidia, writable");
	}
	if (sysfs_exists(dir, "graphics")) {
		return write_refused(w,
				     "the kernel's console is on it; nothing was changed; switch "
				     "that off (nvidia_drm.fbdev=0)");
	}
	return 0;
}

static int unbind_lock(struct writer *w, int dir)
{
	auto_free char *path = xprintf("driver/nvidia/gpus/%s/unbindLock", w->at);
	int rc;

	if (!sysfs_exists(w->proc, path)) {
		return no_unbind_lock(w, dir);
	}
	rc = try_lock(w, path);
	for (int i = 1; i < LOCK_TRIES && rc == 1; i++) {
		sleep_ms(LOCK_PAUSE_MS << (i - 1));
		rc = try_lock(w, path);
	}
	return rc == 1 ? write_refused(
				 w,
				 "NVIDIA's driver does not let go of it: it is in use, by a process "
				 "or by the kernel (persistence mode without its service, the "
				 "console of nvidia-drm); nothing was changed; end that, it is "
				 "tried again")
		       : rc;
}

static int override(struct writer *w, int dir)
{
	auto_free char *line = xprintf("%s\n", w->step->value); /* "" alone would clear nothing */

	return write_put(w, dir, "driver_override", line);
}

static int unbind(struct writer *w, int dir)
{
	char driver[256];
	auto_free char *path = NULL;

	if (write_driver_of(w, dir, driver, sizeof(driver)) < 0) {
		return -1;
	}
	if (!*driver) {
		return 0;
	}
	if (!str_eq(driver, w->step->value)) {
		return err_set(&w->err, "%s: it was on %s and is on %s now; it is looked at again",
			       w->at, w->step->value, driver);
	}
	path = xprintf("bus/pci/drivers/%s/unbind", driver);
	return write_put(w, w->sys, path, w->at);
}

/* drivers_probe says that it worked when it did not (qemu-node.md 1): EXPECT_DRIVER follows. */
static int probe(struct writer *w, int dir)
{
	char driver[256];

	if (write_driver_of(w, dir, driver, sizeof(driver)) < 0) {
		return -1;
	}
	return *driver ? 0 : write_put(w, w->sys, "bus/pci/drivers_probe", w->at);
}

/* A dead card reads as ones. */
static int expect_alive(struct writer *w, int dir)
{
	uint16_t vendor;
	int rc = sysfs_config_vendor(dir, &vendor);

	if (rc < 0) {
		return write_failed(w, "config", -rc);
	}
	return vendor != UINT16_MAX
		       ? 0
		       : write_refused(
				 w,
				 "its config space reads as ones: the card is dead or has lost its "
				 "power; a power cycle of the machine may bring it back");
}

static int expect_driver(struct writer *w, int dir)
{
	const char *want = w->step->value;
	char driver[256];

	if (write_driver_of(w, dir, driver, sizeof(driver)) < 0) {
		return -1;
	}
	if (str_eq(driver, want)) {
		return 0;
	}
	if (!*driver) {
		return err_set(&w->err,
			       "%s: %s did not take it; the kernel's log (dmesg) says why, or that "
			       "driver is not loaded",
			       w->at, want);
	}
	return err_set(
		&w->err,
		"%s: %s has it instead of %s; keep that driver from it, or order the unit to "
		"the host",
		w->at, driver, *want ? want : "none");
}

static int expect_group(struct writer *w, int dir)
{
	int64_t group = group_of(dir);
	auto_free char *number = xprintf("%d", (int)group),
		       *path = xprintf("class/vfio/%s", number);

	if (!str_eq(number, w->step->value)) {
		return err_set(
			&w->err,
			"%s: it was in IOMMU group %s and is in %s now; it is looked at again",
			w->at, w->step->value, group < 0 ? "none" : number);
	}
	if (!sysfs_exists(w->sys, path) && !sysfs_exists(dir, "vfio-dev")) {
		return err_set(
			&w->err,
			"%s: vfio does not offer IOMMU group %s; the kernel's log (dmesg) says "
			"why",
			w->at, number);
	}
	return 0;
}

/* The kernel resets whoever has it open, too; who asks for it has made sure that nobody has
 * (pci-sysfs.c:reset_store). */
static int reset(struct writer *w, int dir)
{
	char driver[256];

	if (write_driver_of(w, dir, driver, sizeof(driver)) < 0) {
		return -1;
	}
	if (!pcifn_driver_is_vfio(driver)) {
		return err_set(&w->err,
			       "%s: it is on %s, whose work a reset would end; it is not reset",
			       w->at, *driver ? driver : "no driver");
	}
	if (!sysfs_exists(dir, "reset")) {
		return write_failed(w, "reset", ENOTTY);
	}
	if (sysfs_read(dir, "reset_method", w->read, sizeof(w->read)) < 0) {
		w->read[0] = '\0'; /* before Linux 5.15 it is not told */
	}
	return write_put(w, dir, "reset", "1") < 0 ? -1 : expect_alive(w, dir);
}

static write_verb *const verbs[STEP_VERBS] = {
	[STEP_READ_OVERRIDE] = read_override,
	[STEP_UNBIND_LOCK] = unbind_lock,
	[STEP_OVERRIDE] = override,
	[STEP_UNBIND] = unbind,
	[STEP_PROBE] = probe,
	[STEP_EXPECT_ALIVE] = expect_alive,
	[STEP_EXPECT_DRIVER] = expect_driver,
	[STEP_EXPECT_GROUP] = expect_group,
	[STEP_RESET] = reset,
	[STEP_AUTOPROBE] = write_autoprobe,
	[STEP_VFS] = write_vfs,
	[STEP_TOOL] = write_tool,
	[STEP_EXPECT_VFS] = write_expect_vfs,
	[STEP_EXPECT_TYPE] = write_expect_type,
	[STEP_TYPE] = write_type,
	[STEP_EXPECT_MADE] = write_expect_made,
	[STEP_MDEV_MAKE] = write_mdev_make,
	[STEP_MDEV_DROP] = write_mdev_drop,
	[STEP_EXPECT_MDEV] = write_expect_mdev,
};

static int do_step(struct writer *w, const struct step *step)
{
	auto_close int dir = write_open(w->sys, step->at);

	w->step = step;
	w->read[0] = '\0';
	pcifn_text(step->at, w->at);
	if (dir < 0) {
		return write_failed(w, "its directory", errno);
	}
	if (allowed(w, dir) < 0) {
		return -1;
	}
	return verbs[step->verb](w, dir);
}

/* --- the program --------------------------------------------------------------------------- */

static int say(int out, size_t i, bool done, const char *text)
{
	attr_cleanup(buf_finish) struct buf line;

	buf_init(&line, 2 * STEPS_LINE_MAX);
	steps_say(&line, i, done, text);
	return process_say(out, line.bytes, line.len);
}

int write_steps(int sys, int proc, const char *tool, const struct steps *s, int out)
{
	struct writer w = {.sys = sys, .proc = proc, .tool = tool};
	int rc = 0;

	arena_init(&w.arena, 16 * MiB);
	for (size_t i = 0; i < s->n && rc == 0; i++) {
		bool done = do_step(&w, &s->items[i]) == 0;

		rc = say(out, i, done, done ? w.read : w.err.text) < 0 ? 2 : done ? 0 : 1;
		arena_reset(&w.arena);
	}
	arena_finish(&w.arena);
	return rc;
}

int write_run(void *ctx, int out)
{
	const struct write_job *job = ctx;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return getppid() == job->parent
		       ? write_steps(job->sys, job->proc, job->tool, job->steps, out)
		       : 2;
}
