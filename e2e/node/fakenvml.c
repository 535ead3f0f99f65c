/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fakenvml.c: a libnvidia-ml.so for tests, which says what the file named by $FAKENVML tells it. A line each:
 *
 *	library 12.550.54.15		versions of itself, and of the kernel's driver
 *	driver 550.54.15
 *	open /dev/nvidia0		what it keeps open from Init to Shutdown
 *	fail Init_v2 18			that function answers with that error
 *	hang DeviceGetUUID		never answers
 *	die DeviceGetUUID		ends the process
 *	card 0000:41:00.0		the next lines are of this card: a key and a number each, which the
 *	temperature 41			function beside the key below asks for; what has none is not supported
 *	uuid GPU-1
 *	link 0000:42:00.0		its next NVLink leads there; "link down": it is down
 *
 * With -DOLD it lacks the functions that were added with driver 450 and later.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, UNKNOWN = 999 };
enum { MAX_LINES = 512, MAX_LINE = 128 };

#define PUBLIC __attribute__((visibility("default")))

static char lines[MAX_LINES][MAX_LINE];
static int n_lines = -1, opened = -1, begun;

static void load(void)
{
	const char *path = getenv("FAKENVML");
	FILE *f = path ? fopen(path, "re") : NULL;

	if (n_lines >= 0) {
		return;
	}
	n_lines = 0;
	while (f && n_lines < MAX_LINES && fgets(lines[n_lines], MAX_LINE, f)) {
		lines[n_lines][strcspn(lines[n_lines], "\n")] = '\0';
		n_lines++;
	}
	if (f) {
		fclose(f);
	}
}

/* The text behind the key and a space. */
static const char *value(const char *line, const char *key)
{
	size_t n = strlen(key);

	return strncmp(line, key, n) == 0 && line[n] == ' ' ? line + n + 1 : NULL;
}

/* Before the first card. */
static const char *of_all(const char *key)
{
	load();
	for (int i = 0; i < n_lines && !value(lines[i], "card"); i++) {
		if (value(lines[i], key)) {
			return value(lines[i], key);
		}
	}
	return NULL;
}

/* A card is the line that begins it. */
static const char *of_card(char (*card)[MAX_LINE], const char *key, int skip)
{
	for (char(*l)[MAX_LINE] = card + 1; l < lines + n_lines && !value(*l, "card"); l++) {
		if (value(*l, key) && skip-- == 0) {
			return value(*l, key);
		}
	}
	return NULL;
}

/* What the script says of a function: 0, or the error that it answers with. */
static int enter(const char *function)
{
	load();
	for (int i = 0; i < n_lines; i++) {
		const char *what;

		if ((what = value(lines[i], "hang")) && strcmp(what, function) == 0) {
			for (;;) {
				pause();
			}
		}
		if ((what = value(lines[i], "die")) && strcmp(what, function) == 0) {
			_exit(77);
		}
		if ((what = value(lines[i], "fail")) && (what = value(what, function))) {
			return (int)strtol(what, NULL, 10);
		}
	}
	return SUCCESS;
}
#define ENTER(function)                                                                            \
	do {                                                                                       \
		int error_ = enter(function);                                                      \
		if (error_) {                                                                      \
			return error_;                                                             \
		}                                                                                  \
	} while (0)

static int text(const char *s, char *to, unsigned size)
{
	if (!s) {
		return NOT_SUPPORTED;
	}
	if (strlen(s) >= size) {
		return INSUFFICIENT_SIZE;
	}
	memcpy(to, s, strlen(s) + 1);
	return SUCCESS;
}

static int number(void *card, const char *key, unsigned long long *ret)
{
	const char *s = of_card(card, key, 0);

	if (!s) {
		return NOT_SUPPORTED;
	}
	*ret = strtoull(s, NULL, 10);
	return SUCCESS;
}

static int small(void *card, const char *key, unsigned *ret)
{
	unsigned long long n;
	int rc = number(card, key, &n);

	*ret = rc ? *ret : (unsigned)n;
	return rc;
}

/* --- as NVIDIA's has them ------------------------------------------------------------------- */

PUBLIC int nvmlInit_v2(void)
{
	const char *path = of_all("open");

	if (path) {
		opened = open(path, O_RDONLY | O_CLOEXEC);
	}
	ENTER("Init_v2");
	begun++;
	return SUCCESS;
}

PUBLIC int nvmlShutdown(void)
{
	ENTER("Shutdown");
	begun--;
	if (opened >= 0) {
		close(opened);
	}
	opened = -1;
	return SUCCESS;
}

PUBLIC const char *nvmlErrorString(int error)
{
	return error == 18   ? "Driver/library version mismatch"
	       : error == 15 ? "GPU is lost"
	       : error == 9  ? "Driver Not Loaded"
			     : "Unknown Error";
}

PUBLIC int nvmlSystemGetDriverVersion(char *to, unsigned size)
{
	ENTER("SystemGetDriverVersion");
	return begun ? text(of_all("driver"), to, size) : 1;
}

PUBLIC int nvmlSystemGetNVMLVersion(char *to, unsigned size)
{
	ENTER("SystemGetNVMLVersion");
	return text(of_all("library"), to, size);
}

/* Domains have eight digits here, four in the kernel; either is taken. */
PUBLIC int nvmlDeviceGetHandleByPciBusId_v2(const char *id, void **ret)
{
	ENTER("DeviceGetHandleByPciBusId_v2");
	for (int i = 0; i < n_lines; i++) {
		const char *at = value(lines[i], "card");

		if (at && (strcmp(at, id) == 0 || (strncmp(id, "0000", 4) == 0 && strcmp(at, id + 4) == 0))) {
			*ret = lines[i];
			return SUCCESS;
		}
	}
	return NOT_FOUND;
}

PUBLIC int nvmlDeviceGetUUID(void *card, char *to, unsigned size)
{
	ENTER("DeviceGetUUID");
	return text(of_card(card, "uuid", 0), to, size);
}

PUBLIC int nvmlDeviceGetMemoryInfo(void *card, unsigned long long *ret)
{
	ENTER("DeviceGetMemoryInfo");
	if (number(card, "memory", &ret[0]) || number(card, "used", &ret[2])) {
		return NOT_SUPPORTED;
	}
	ret[2] += 1000; /* here it counts what is reserved */
	ret[1] = ret[0] - ret[2];
	return SUCCESS;
}

PUBLIC int nvmlDeviceGetUtilizationRates(void *card, unsigned *ret)
{
	ENTER("DeviceGetUtilizationRates");
	return small(card, "busy", &ret[0]) || small(card, "memory-busy", &ret[1]) ? NOT_SUPPORTED : SUCCESS;
}

PUBLIC int nvmlDeviceGetTemperature(void *card, int sensor, unsigned *ret)
{
	ENTER("DeviceGetTemperature");
	return sensor ? INVALID : small(card, "temperature", ret);
}

PUBLIC int nvmlDeviceGetPowerUsage(void *card, unsigned *ret)
{
	ENTER("DeviceGetPowerUsage");
	return small(card, "power", ret);
}

PUBLIC int nvmlDeviceGetEnforcedPowerLimit(void *card, unsigned *ret)
{
	return small(card, "power-limit", ret);
}

PUBLIC int nvmlDeviceGetClockInfo(void *card, int clock, unsigned *ret)
{
	return clock == 1 ? small(card, "sm-clock", ret) : clock == 2 ? small(card, "memory-clock", ret) : INVALID;
}

PUBLIC int nvmlDeviceGetFanSpeed(void *card, unsigned *ret)
{
	return small(card, "fan", ret);
}

PUBLIC int nvmlDeviceGetEccMode(void *card, unsigned *ret, unsigned *later)
{
	*later = 0;
	return small(card, "ecc", ret);
}

PUBLIC int nvmlDeviceGetTotalEccErrors(void *card, int kind, int counter, unsigned long long *ret)
{
	return counter ? INVALID : number(card, kind ? "uncorrected" : "corrected", ret);
}

PUBLIC int nvmlDeviceGetVirtualizationMode(void *card, unsigned *ret)
{
	return small(card, "virtualization", ret);
}

#ifndef OLD
struct memory_v2 {
	unsigned version;
	unsigned long long total, reserved, free, used;
};

PUBLIC int nvmlDeviceGetMemoryInfo_v2(void *card, struct memory_v2 *ret)
{
	ENTER("DeviceGetMemoryInfo_v2");
	if (ret->version != (sizeof(*ret) | 2 << 24)) {
		return 25; /* NVML_ERROR_ARGUMENT_VERSION_MISMATCH */
	}
	return number(card, "memory", &ret->total) || number(card, "used", &ret->used) ? NOT_SUPPORTED : SUCCESS;
}

PUBLIC int nvmlDeviceGetMigMode(void *card, unsigned *ret, unsigned *later)
{
	*later = 0;
	return small(card, "mig", ret);
}

PUBLIC int nvmlDeviceGetComputeRunningProcesses_v3(void *card, unsigned *count, void *ret)
{
	unsigned room = *count;
	int rc = small(card, "processes", count);

	(void)ret;
	return rc ? rc : *count > room ? INSUFFICIENT_SIZE : SUCCESS;
}

PUBLIC int nvmlDeviceGetNvLinkState(void *card, unsigned link, int *ret)
{
	const char *to = of_card(card, "link", (int)link);

	ENTER("DeviceGetNvLinkState");
	*ret = to && strcmp(to, "down") != 0;
	return to ? SUCCESS : INVALID;
}

struct pci_info {
	char legacy[16];
	unsigned domain, bus, device, ids, subsystem;
	char bus_id[32];
};

PUBLIC int nvmlDeviceGetNvLinkRemotePciInfo_v2(void *card, unsigned link, struct pci_info *ret)
{
	const char *to = of_card(card, "link", (int)link);

	memset(ret, 0, sizeof(*ret));
	return to && sscanf(to, "%x:%x:%x", &ret->domain, &ret->bus, &ret->device) == 3 ? SUCCESS : INVALID;
}
#endif
