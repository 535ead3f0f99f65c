/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pcifn.h: PCI addresses and identities, and what they say of a function. Pure.
 *
 * An address is one number, domain << 16 | bus << 8 | device << 3 | function, so that order and
 * equality are those of numbers. Domains have up to 32 bits in sysfs (behind Intel VMD they start
 * at 10000), never assume 0000.
 */
#pragma once

#include "base/base.h"

#define PCIFN_TEXT_MAX 20
#define PCIFN_NVIDIA 0x10de /* vendor */

struct pci_ids {
	uint16_t vendor, device, sub_vendor, sub_device;
	uint32_t class_code; /* six hex digits: base class, subclass, interface */
};

/* "0000:41:00.0", as sysfs writes it and nothing else. 0 or -1. */
int pcifn_parse(const char *s, uint64_t *ret);
/* The opposite; returns text. */
const char *pcifn_text(uint64_t address, char text[PCIFN_TEXT_MAX]);

/* Functions of one slot differ only in their last three bits. */
static inline uint64_t pcifn_slot(uint64_t address)
{
	return address >> 3;
}

/* "0x10de" or "10de", at most `digits` of them. 0 or -1. */
int pcifn_hex(const char *s, size_t digits, uint32_t *ret);
/* The file modalias: pci:v000010DEd000026B9sv000010DEsd00001851bc03sc02i00. 0 or -1. */
int pcifn_modalias(const char *s, struct pci_ids *ret);

/*
 * A GPU: display class (03) or processing accelerator (12), but not the adapters of management
 * controllers and of virtual machines, which only show a console.
 */
bool pcifn_is_gpu(const struct pci_ids *ids);
/* Bridges and ports. NVSwitch has a bridge's class, but is none. */
bool pcifn_is_bridge(const struct pci_ids *ids);
/* gpu, audio, usb, ucsi, nvswitch, other: what the function is in a unit. */
const char *pcifn_role(const struct pci_ids *ids);
/* Functions that sit on a GPU's board: audio, USB, UCSI. */
bool pcifn_is_companion(const struct pci_ids *ids);
/* "network controller", "NVMe disk", ...: for sentences. */
const char *pcifn_class_words(uint32_t class_code);

/* vfio-pci, or a driver made from it (nvgrace_gpu_vfio_pci, xe-vfio-pci): user space owns the
 * device. */
bool pcifn_driver_is_vfio(const char *driver);
/* Drivers that do no DMA on behalf of the host, so that a group with them stays viable:
 * driver_managed_dma in Linux. */
bool pcifn_driver_is_harmless(const char *driver);
