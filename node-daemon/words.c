/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/words.h"

#include <malloc.h>
#include <pci/pci.h>
#include <setjmp.h>
#include <stdlib.h>

#define WORDS_MAX 256

static _Thread_local jmp_buf out;

/* libpci's handler of errors must not return; the only one that can come here is a line of the file that it does not understand. */
static __attribute__((noreturn)) void failed(attr_unused char *format, ...)
{
	longjmp(out, 1);
}

static void silent(attr_unused char *format, ...)
{
}

static const char *words(struct machine *m, const char *s)
{
	return s ? arena_strdup(&m->arena, s) : "";
}

static void fill(struct machine *m, struct pci_access *pci)
{
	const int flags = PCI_LOOKUP_NO_NUMBERS | PCI_LOOKUP_NO_HWDB;
	char text[WORDS_MAX];

	list_each(item, &m->functions) {
		struct pci_function *f = *item;
		int vendor = f->ids.vendor, device = f->ids.device;

		f->vendor_words = words(m, pci_lookup_name(pci, text, sizeof(text), flags | PCI_LOOKUP_VENDOR, vendor));
		f->device_words = words(m, pci_lookup_name(pci, text, sizeof(text), flags | PCI_LOOKUP_DEVICE, vendor, device));
		f->words = *f->device_words ? arena_printf(&m->arena, "%s %s", f->vendor_words, f->device_words) : f->vendor_words;
	}
}

void words_fill(struct machine *m, const char *pci_ids)
{
	static bool broken; /* what libpci leaves open when it fails is lost: not a second time */
	struct pci_access *pci;

	if (!m->functions.n || broken) {
		return;
	}
	pci = pci_alloc();
	pci->error = failed;
	pci->warning = silent;
	pci->debug = silent;
	pci->id_lookup_mode = 0; /* never ask the network */
	pci_set_name_list_path(pci, (char *)(uintptr_t)pci_ids, 0);
	if (setjmp(out) == 0) {
		fill(m, pci);
		pci_free_name_list(pci);
		free(pci); /* pci_cleanup would end an access method that was never begun */
	} else {
		broken = true;
	}
	malloc_trim(0);
}
