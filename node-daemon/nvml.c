/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/nvml.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/process.h"

/* --- its interface -------------------------------------------------------------------------- */

/* Of NVML's numbers (nvmlReturn_t) those that mean something to us. */
enum {
	NVML_SUCCESS = 0,
	NVML_INSUFFICIENT_SIZE = 7,
	NVML_DRIVER_NOT_LOADED = 9,
	NVML_LIBRARY_NOT_FOUND = 12,
	NVML_LIB_RM_VERSION_MISMATCH = 18,
};

typedef void *device;

struct memory {
	unsigned long long total, free, used;
};
/* With what the driver keeps for itself apart, which is none of `used`. */
struct memory_v2 {
	unsigned version;
	unsigned long long total, reserved, free, used;
};
#define MEMORY_V2 ((unsigned)sizeof(struct memory_v2) | 2U << 24)

struct utilization {
	unsigned gpu, memory;
};

struct pci_info {
	char legacy[16];
	unsigned domain, bus, device, ids, subsystem;
	char bus_id[32];
};

enum { VOLATILE = 0, CORRECTED = 0, UNCORRECTED = 1, CLOCK_SM = 1, CLOCK_MEMORY = 2, CORE = 0 };

/* One member a function, of the function's name without "nvml". */
struct calls {
	int (*Init_v2)(void);
	int (*Shutdown)(void);
	const char *(*ErrorString)(int);
	int (*SystemGetDriverVersion)(char *, unsigned);
	int (*SystemGetNVMLVersion)(char *, unsigned);
	int (*DeviceGetHandleByPciBusId_v2)(const char *, device *);
	int (*DeviceGetUUID)(device, char *, unsigned);
	int (*DeviceGetMemoryInfo)(device, struct memory *);
	int (*DeviceGetMemoryInfo_v2)(device, struct memory_v2 *);
	int (*DeviceGetUtilizationRates)(device, struct utilization *);
	int (*DeviceGetTemperature)(device, int, unsigned *);
	int (*DeviceGetPowerUsage)(device, unsigned *);
	int (*DeviceGetEnforcedPowerLimit)(device, unsigned *);
	int (*DeviceGetClockInfo)(device, int, unsigned *);
	int (*DeviceGetFanSpeed)(device, unsigned *);
	int (*DeviceGetEccMode)(device, int *, int *);
	int (*DeviceGetTotalEccErrors)(device, int, int, unsigned long long *);
	int (*DeviceGetMigMode)(device, unsigned *, unsigned *);
	int (*DeviceGetVirtualizationMode)(device, int *);
	int (*DeviceGetComputeRunningProcesses_v3)(device, unsigned *, void *);
	int (*DeviceGetNvLinkState)(device, unsigned, int *);
	int (*DeviceGetNvLinkRemotePciInfo_v2)(device, unsigned, struct pci_info *);
};

#define SYMBOL(name)                                                                               \
	{                                                                                          \
		"nvml" #name, offsetof(struct calls, name)                                         \
	}
static const struct {
	const char *name;
	size_t offset;
} symbols[] = {
	SYMBOL(Init_v2),
	SYMBOL(Shutdown),
	SYMBOL(ErrorString),
	SYMBOL(SystemGetDriverVersion),
	SYMBOL(SystemGetNVMLVersion),
	SYMBOL(DeviceGetHandleByPciBusId_v2),
	SYMBOL(DeviceGetUUID),
	SYMBOL(DeviceGetMemoryInfo),
	SYMBOL(DeviceGetMemoryInfo_v2),
	SYMBOL(DeviceGetUtilizationRates),
	SYMBOL(DeviceGetTemperature),
	SYMBOL(DeviceGetPowerUsage),
	SYMBOL(DeviceGetEnforcedPowerLimit),
	SYMBOL(DeviceGetClockInfo),
	SYMBOL(DeviceGetFanSpeed),
	SYMBOL(DeviceGetEccMode),
	SYMBOL(DeviceGetTotalEccErrors),
	SYMBOL(DeviceGetMigMode),
	SYMBOL(DeviceGetVirtualizationMode),
	SYMBOL(DeviceGetComputeRunningProcesses_v3),
	SYMBOL(DeviceGetNvLinkState),
	SYMBOL(DeviceGetNvLinkRemotePciInfo_v2),
};

struct nvml {
	struct calls f;
	struct arena *arena;
	struct reading *ret;
};

/* It has the function, and that answers with success. */
#define GOOD(n, name, ...) ((n)->f.name && (n)->f.name(__VA_ARGS__) == NVML_SUCCESS)

static void find_symbols(void *library, struct calls *f)
{
	for (size_t i = 0; i < ARRAY_LEN(symbols); i++) {
		void *at = dlsym(library, symbols[i].name);

		memcpy((char *)f + symbols[i].offset, &at, sizeof(at));
	}
}

/* Printable, and no longer than is told to others. */
static const char *plain(struct nvml *n, const char *s, size_t max)
{
	char *copy = arena_strndup(n->arena, s, strnlen(s, max));

	for (char *p = copy; *p; p++) {
		*p = *p < ' ' || *p > '~' ? '?' : *p;
	}
	return copy;
}

static const char *words_of(struct nvml *n, const char *what, int error)
{
	const char *words = n->f.ErrorString ? n->f.ErrorString(error) : NULL;

	return arena_printf(n->arena, "%s: %s (NVML error %d)", what,
			    words ? plain(n, words, 200) : "it says no", error);
}

/* --- a card -------------------------------------------------------------------------------- */

static void set(struct reading_card *c, enum reading_value value, unsigned long long number)
{
	c->values[value] =
		(struct opt_int){(int64_t)MIN(number, (unsigned long long)INT64_MAX), true};
}

static void read_memory(struct nvml *n, device d, struct reading_card *c)
{
	struct memory_v2 two = {.version = MEMORY_V2};
	struct memory one;

	if (GOOD(n, DeviceGetMemoryInfo_v2, d, &two)) {
		set(c, READING_MEMORY_TOTAL, two.total);
		set(c, READING_MEMORY_USED, two.used);
	} else if (GOOD(n, DeviceGetMemoryInfo, d, &one)) {
		set(c, READING_MEMORY_TOTAL, one.total);
		set(c, READING_MEMORY_USED, one.used);
	}
}

static void read_load(struct nvml *n, device d, struct reading_card *c)
{
	struct utilization busy;
	unsigned number;

	if (GOOD(n, DeviceGetUtilizationRates, d, &busy)) {
		set(c, READING_GPU_BUSY, busy.gpu);
		set(c, READING_MEMORY_BUSY, busy.memory);
	}
	if (GOOD(n, DeviceGetTemperature, d, CORE, &number)) {
		set(c, READING_TEMPERATURE, number);
	}
	if (GOOD(n, DeviceGetPowerUsage, d, &number)) {
		set(c, READING_POWER, number);
	}
	if (GOOD(n, DeviceGetEnforcedPowerLimit, d, &number)) {
		set(c, READING_POWER_LIMIT, number);
	}
	if (GOOD(n, DeviceGetClockInfo, d, CLOCK_SM, &number)) {
		set(c, READING_SM_CLOCK, number);
	}
	if (GOOD(n, DeviceGetClockInfo, d, CLOCK_MEMORY, &number)) {
		set(c, READING_MEMORY_CLOCK, number);
	}
	if (GOOD(n, DeviceGetFanSpeed, d, &number)) {
		set(c, READING_FAN, number);
	}
}

static void read_modes(struct nvml *n, device d, struct reading_card *c)
{
	unsigned long long errors;
	unsigned number, later;
	int mode, next;

	if (GOOD(n, DeviceGetEccMode, d, &mode, &next)) {
		set(c, READING_ECC, mode != 0);
	}
	if (GOOD(n, DeviceGetTotalEccErrors, d, CORRECTED, VOLATILE, &errors)) {
		set(c, READING_ECC_CORRECTED, errors);
	}
	if (GOOD(n, DeviceGetTotalEccErrors, d, UNCORRECTED, VOLATILE, &errors)) {
		set(c, READING_ECC_UNCORRECTED, errors);
	}
	if (GOOD(n, DeviceGetMigMode, d, &number, &later)) {
		set(c, READING_MIG, number);
	}
	if (GOOD(n, DeviceGetVirtualizationMode, d, &mode) && mode >= 0) {
		set(c, READING_VIRTUALIZATION, (unsigned)mode);
	}
}

/* With no room it only counts. */
static void read_processes(struct nvml *n, device d, struct reading_card *c)
{
	unsigned count = 0;
	int rc = n->f.DeviceGetComputeRunningProcesses_v3
			 ? n->f.DeviceGetComputeRunningProcesses_v3(d, &count, NULL)
			 : -1;

	if (rc == NVML_SUCCESS || rc == NVML_INSUFFICIENT_SIZE) {
		set(c, READING_PROCESSES, count);
	}
}

/* Of switches that a virtual machine does not see the bus is all ones. */
static bool peer_address(const struct pci_info *p, uint64_t *ret)
{
	*ret = (uint64_t)p->domain << 16 | p->bus << 8 | p->device << 3;
	return p->domain < UINT32_MAX && p->bus <= 0xff && p->device <= 0x1f;
}

static void add_lane(struct reading_card *c, uint64_t at)
{
	list_each(p, &c->peers) {
		if (p->at == at) {
			p->lanes++;
			return;
		}
	}
	c->peers.items[c->peers.n++] = (struct reading_peer){at, 1};
}

static void read_links(struct nvml *n, device d, struct reading_card *c)
{
	struct pci_info far;
	uint64_t at;
	int up;

	c->peers.items = arena_array(n->arena, struct reading_peer, READING_MAX_PEERS);
	for (unsigned i = 0; i < READING_MAX_PEERS; i++) {
		if (GOOD(n, DeviceGetNvLinkState, d, i, &up) && up &&
		    GOOD(n, DeviceGetNvLinkRemotePciInfo_v2, d, i, &far) &&
		    peer_address(&far, &at)) {
			add_lane(c, at);
		}
	}
}

static void read_card(struct nvml *n, struct reading_card *c)
{
	char text[PCIFN_TEXT_MAX], uuid[READING_MAX_TEXT] = "";
	device d;
	int rc;

	c->trouble = c->uuid = "";
	if (!n->f.DeviceGetHandleByPciBusId_v2) {
		c->trouble = "the library is too old to be asked for a card by its address";
		return;
	}
	rc = n->f.DeviceGetHandleByPciBusId_v2(pcifn_text(c->at, text), &d);
	if (rc) {
		c->trouble = words_of(n, "it does not show this card", rc);
		return;
	}
	if (GOOD(n, DeviceGetUUID, d, uuid, sizeof(uuid))) {
		c->uuid = plain(n, uuid, sizeof(uuid));
	}
	read_memory(n, d, c);
	read_load(n, d, c);
	read_modes(n, d, c);
	read_processes(n, d, c);
	read_links(n, d, c);
}

/* --- the library --------------------------------------------------------------------------- */

/* NVML puts the number of its CUDA before the driver's: "13.580.65.06". */
static const char *driver_part(const char *version)
{
	const char *dot = strchr(version, '.');

	return dot && dot - version <= 2 && strchr(dot + 1, '.') ? dot + 1 : version;
}

/* Needs nothing but the library, so it is known of one that does not fit too. */
static void read_library_version(struct nvml *n)
{
	char version[READING_MAX_TEXT] = "";

	if (GOOD(n, SystemGetNVMLVersion, version, sizeof(version))) {
		n->ret->library = driver_part(plain(n, version, sizeof(version)));
	}
}

static void fail(struct nvml *n, enum reading_state state, const char *why)
{
	n->ret->state = state;
	n->ret->why = why;
}

static enum reading_state state_of(int error)
{
	return error == NVML_LIB_RM_VERSION_MISMATCH ? READING_MISMATCH
	       : error == NVML_LIBRARY_NOT_FOUND     ? READING_ABSENT
						     : READING_REFUSED;
}

static void read_all(struct nvml *n, const struct reading_question *q)
{
	char version[READING_MAX_TEXT] = "";
	int rc;

	read_library_version(n);
	if (!n->f.Init_v2 || !n->f.Shutdown) {
		fail(n, READING_REFUSED,
		     "it is not NVML, or older than all drivers that are in use");
		return;
	}
	rc = n->f.Init_v2();
	if (rc) {
		fail(n, state_of(rc), words_of(n, "it does not begin", rc));
		return;
	}
	if (GOOD(n, SystemGetDriverVersion, version, sizeof(version))) {
		n->ret->driver = plain(n, version, sizeof(version));
	}
	n->ret->state = READING_DONE;
	n->ret->cards.items = arena_array(n->arena, struct reading_card, q->n);
	list_each(at, q) {
		struct reading_card *c = &n->ret->cards.items[n->ret->cards.n++];

		*c = (struct reading_card){.at = *at};
		read_card(n, c);
	}
	n->f.Shutdown();
}

void nvml_read(const char *library, const struct reading_question *q, struct arena *a,
	       struct reading *ret)
{
	struct nvml n = {.arena = a, .ret = ret};
	void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	const char *why;

	*ret = (struct reading){.why = "", .library = "", .driver = ""};
	if (!handle) {
		why = dlerror();
		fail(&n, READING_ABSENT, plain(&n, why ? why : library, READING_MAX_WHY));
		return;
	}
	find_symbols(handle, &n.f);
	read_all(&n, q);
	dlclose(handle);
}

/* What a foreign library does needs none of our rights: not to see other processes, and not to load
 * modules or make nodes, for which it would start a program of its own. */
static int drop_rights(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &head, none) < 0
		       ? -1
		       : 0;
}

int nvml_run(void *ctx, int out)
{
	const struct nvml_job *job = ctx;
	struct reading reading;
	struct buf line;
	struct arena a;

	prctl(PR_SET_NAME, NVML_PROCESS);
	if (drop_rights() < 0) {
		return 1;
	}
	arena_init(&a, 64 * MiB); /* the child ends with it */
	buf_init(&line, 2 * EYES_MAX_LINE);
	nvml_read(job->library, job->question, &a, &reading);
	if (reading_write(&reading, &line) < 0) {
		return 2;
	}
	return process_say(out, line.bytes, line.len) < 0 ? 3 : 0;
}
