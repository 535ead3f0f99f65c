/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_test.h: a kernel for tests: does steps (steps.h) to a struct machine, as Linux does them to
 * devices (nvidia.md 3.2). It can be told to refuse a step or to hang in one. What a machine does not
 * show, driver_override and the driver that would take a function by itself, is kept here.
 */
#pragma once

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node-daemon/steps.h"

#define KERNEL_FUNCTIONS 64

enum kernel_answer { KERNEL_DONE, KERNEL_NO, KERNEL_HANGS };

struct kernel_function {
	char override[32];
	const char *native; /* the driver of the host, "": none is loaded */
	const char *first;  /* at the start of the machine */
	char first_override[32];
};

struct kernel {
	struct machine *m;
	struct kernel_function functions[KERNEL_FUNCTIONS]; /* as in the machine */
	/* Every such step gets that answer; KERNEL_DONE: no exception. */
	enum kernel_answer exception;
	enum step_verb verb;
	uint64_t at;	  /* 0: wherever */
	struct step hung; /* KERNEL_HANGS: the last that did, at 0: none */
	int writes;	  /* so many steps have changed something, or tried */
};

/* A function that has a driver of the host had it from the host. */
attr_unused static void kernel_boot(struct kernel *k, struct machine *m)
{
	*k = (struct kernel){.m = m};
	for (size_t i = 0; i < m->functions.n && i < KERNEL_FUNCTIONS; i++) {
		const char *driver = m->functions.items[i]->driver;

		k->functions[i].first = driver;
		k->functions[i].native = pcifn_driver_is_vfio(driver) ? "" : driver;
	}
}

/* The machine goes off and on again. */
attr_unused static void kernel_reboot(struct kernel *k)
{
	for (size_t i = 0; i < k->m->functions.n; i++) {
		memcpy(k->functions[i].override, k->functions[i].first_override,
		       sizeof(k->functions[i].override));
		k->m->functions.items[i]->driver = k->functions[i].first;
	}
}

static void kernel_probe(struct kernel *k, size_t i)
{
	struct pci_function *f = k->m->functions.items[i];
	const char *override = k->functions[i].override;

	if (*f->driver) {
		return;
	}
	if (!*override || str_eq(override, k->functions[i].native)) {
		f->driver = k->functions[i].native;
	} else if (str_eq(override, "vfio-pci") && k->m->vfio_pci && f->group >= 0 && !f->vfs.n) {
		f->driver = "vfio-pci";
	}
}

static enum kernel_answer kernel_function_do(struct kernel *k, const struct step *s, size_t i)
{
	struct pci_function *f = k->m->functions.items[i];
	char group[32];

	switch (s->verb) {
	case STEP_OVERRIDE:
		snprintf(k->functions[i].override, sizeof(k->functions[i].override), "%s",
			 s->value);
		return KERNEL_DONE;
	case STEP_UNBIND:
		if (*f->driver && !str_eq(f->driver, s->value)) {
			return KERNEL_NO;
		}
		f->driver = "";
		return KERNEL_DONE;
	case STEP_PROBE:
		kernel_probe(k, i);
		return KERNEL_DONE;
	case STEP_EXPECT_DRIVER:
		return str_eq(f->driver, s->value) ? KERNEL_DONE : KERNEL_NO;
	case STEP_EXPECT_GROUP:
		snprintf(group, sizeof(group), "%" PRId64, f->group);
		return str_eq(group, s->value) ? KERNEL_DONE : KERNEL_NO;
	default:
		return KERNEL_DONE;
	}
}

/* One step; *ret_read: what it read. */
attr_unused static enum kernel_answer kernel_do(struct kernel *k, const struct step *s,
						const char **ret_read)
{
	*ret_read = "";
	if (s->verb == STEP_OVERRIDE || s->verb == STEP_UNBIND || s->verb == STEP_PROBE) {
		k->writes++;
	}
	if (k->exception && k->verb == s->verb && (!k->at || k->at == s->at)) {
		k->hung = k->exception == KERNEL_HANGS ? *s : k->hung;
		return k->exception;
	}
	for (size_t i = 0; i < k->m->functions.n; i++) {
		if (k->m->functions.items[i]->address == s->at) {
			if (s->verb == STEP_READ_OVERRIDE) {
				*ret_read = k->functions[i].override;
			}
			return kernel_function_do(k, s, i);
		}
	}
	return KERNEL_NO;
}

/* What hung goes on: who held the device has let go. */
attr_unused static void kernel_let_go(struct kernel *k)
{
	const struct step hung = k->hung;
	const char *read;

	k->exception = KERNEL_DONE;
	k->hung = (struct step){.value = ""};
	if (hung.at) {
		kernel_do(k, &hung, &read);
	}
}

/* "0000:41:00.0 vfio-pci override=vfio-pci" of each function, a line each. */
attr_unused static void kernel_print(const struct kernel *k, struct buf *out)
{
	char text[PCIFN_TEXT_MAX];

	for (size_t i = 0; i < k->m->functions.n; i++) {
		const struct pci_function *f = k->m->functions.items[i];

		buf_printf(out, "%s %s override=%s\n", pcifn_text(f->address, text),
			   *f->driver ? f->driver : "-",
			   *k->functions[i].override ? k->functions[i].override : "-");
	}
}
