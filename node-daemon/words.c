/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/words.h"

#include <malloc.h>
#include <pci/pci.h>
#include <setjmp.h>
#include <stdlib.h>

#define WORDS_MAX 256
#define KNOWN_MAX 1024 /* ids; a machine that shows more is lying */

struct words_known {
	uint16_t vendor, device;
	char *vendor_words, *device_words;
};

void words_finish(struct words *w)
{
	for (size_t i = 0; i < w->n; i++) {
		free(w->known[i].vendor_words);
		free(w->known[i].device_words);
	}
	free(take(w->known));
	w->n = w->size = 0;
}

static const struct words_known *find(const struct words *w, const struct pci_ids *ids)
{
	for (size_t i = 0; i < w->n; i++) {
		if (w->known[i].vendor == ids->vendor && w->known[i].device == ids->device) {
			return &w->known[i];
		}
	}
	return NULL;
}

/* --- libpci -------------------------------------------------------------------------------- */

static _Thread_local jmp_buf out;

/* libpci's handler of errors must not return; the only one that can come here is a line of the file
 * that it does not understand. */
static __attribute__((noreturn)) void failed(attr_unused char *format, ...)
{
	longjmp(out, 1);
}

static void silent(attr_unused char *format, ...)
{
}

static char *words(const char *s)
{
	return xstrdup(s ? s : "");
}

static void learn(struct words *w, struct pci_access *pci, const struct pci_ids *ids)
{
	const int flags = PCI_LOOKUP_NO_NUMBERS | PCI_LOOKUP_NO_HWDB;
	int vendor = ids->vendor, device = ids->device;
	char text[WORDS_MAX];
	struct words_known *k;

	if (find(w, ids) || w->n == KNOWN_MAX) {
		return;
	}
	if (w->n == w->size) {
		w->size = w->size * 2 + 16;
		w->known = xrealloc(w->known, w->size * sizeof(*w->known));
	}
	k = &w->known[w->n];
	*k = (struct words_known){ids->vendor, ids->device, NULL, NULL};
	k->vendor_words =
		words(pci_lookup_name(pci, text, sizeof(text), flags | PCI_LOOKUP_VENDOR, vendor));
	k->device_words = words(pci_lookup_name(pci, text, sizeof(text), flags | PCI_LOOKUP_DEVICE,
						vendor, device));
	w->n++;
}

static void load(struct words *w, const struct machine *m)
{
	struct pci_access *pci = pci_alloc();

	pci->error = failed;
	pci->warning = silent;
	pci->debug = silent;
	pci->id_lookup_mode = 0; /* never ask the network */
	pci_set_name_list_path(pci, (char *)(uintptr_t)w->path, 0);
	if (setjmp(out) == 0) {
		list_each(item, &m->functions) {
			learn(w, pci, &(*item)->ids);
		}
	} else {
		w->broken = true;
	}
	pci_cleanup(pci);
	malloc_trim(0);
}

void words_fill(struct words *w, struct machine *m)
{
	bool all = true;

	list_each(item, &m->functions) {
		all &= find(w, &(*item)->ids) != NULL;
	}
	if (!all && !w->broken) {
		load(w, m);
	}
	list_each(item, &m->functions) {
		struct pci_function *f = *item;
		const struct words_known *k = find(w, &f->ids);

		if (k) {
			f->vendor_words = arena_strdup(&m->arena, k->vendor_words);
			f->device_words = arena_strdup(&m->arena, k->device_words);
			f->words = *k->device_words ? arena_printf(&m->arena, "%s %s",
								   k->vendor_words, k->device_words)
						    : f->vendor_words;
		}
	}
}
