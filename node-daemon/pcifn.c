/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/pcifn.h"

#include <stdio.h>
#include <string.h>

/* --- text ---------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* Hex digits from *s on, between least and most of them, then `end`, which may look like one. Moves
 * *s behind it. */
static int hex_until(const char **s, size_t least, size_t most, char end, uint32_t *ret)
{
	uint32_t value = 0;
	size_t n = 0;

	for (int digit; n < most && (digit = hex_digit(**s)) >= 0; n++, (*s)++) {
		value = value << 4 | (uint32_t)digit;
	}
	if (n < least || **s != end) {
		return -1;
	}
	*s += end != 0;
	*ret = value;
	return 0;
}

int pcifn_parse(const char *s, uint64_t *ret)
{
	uint32_t domain, bus, device, function;

	if (hex_until(&s, 4, 8, ':', &domain) < 0 || hex_until(&s, 2, 2, ':', &bus) < 0 ||
	    hex_until(&s, 2, 2, '.', &device) < 0 || hex_until(&s, 1, 1, 0, &function) < 0 ||
	    device > 31 || function > 7) {
		return -1;
	}
	*ret = (uint64_t)domain << 16 | bus << 8 | device << 3 | function;
	return 0;
}

const char *pcifn_text(uint64_t address, char text[PCIFN_TEXT_MAX])
{
	snprintf(text, PCIFN_TEXT_MAX, "%04x:%02x:%02x.%x", (unsigned)(address >> 16),
		 (unsigned)(address >> 8 & 0xff), (unsigned)(address >> 3 & 31),
		 (unsigned)(address & 7));
	return text;
}

int pcifn_hex(const char *s, size_t digits, uint32_t *ret)
{
	s += str_starts(s, "0x") ? 2 : 0;
	return hex_until(&s, 1, digits, 0, ret);
}

int pcifn_modalias(const char *s, struct pci_ids *ret)
{
	uint32_t v, d, sv, sd, base, sub, interface;

	if (!str_starts(s, "pci:v")) {
		return -1;
	}
	s += strlen("pci:v");
	if (hex_until(&s, 8, 8, 'd', &v) < 0 || hex_until(&s, 8, 8, 's', &d) < 0 || *s++ != 'v' ||
	    hex_until(&s, 8, 8, 's', &sv) < 0 || *s++ != 'd' || hex_until(&s, 8, 8, 'b', &sd) < 0 ||
	    *s++ != 'c' || hex_until(&s, 2, 2, 's', &base) < 0 || *s++ != 'c' ||
	    hex_until(&s, 2, 2, 'i', &sub) < 0 || hex_until(&s, 2, 2, 0, &interface) < 0 ||
	    (v | d | sv | sd) > UINT16_MAX) {
		return -1;
	}
	*ret = (struct pci_ids){
		.vendor = (uint16_t)v,
		.device = (uint16_t)d,
		.sub_vendor = (uint16_t)sv,
		.sub_device = (uint16_t)sd,
		.class_code = base << 16 | sub << 8 | interface,
	};
	return 0;
}

/* --- what it is ---------------------------------------------------------------------------- */

/* Display adapters that are no GPU: management controllers of servers, and what hypervisors show to
 * a guest. */
static const uint16_t console_vendors[] = {
	0x1a03, /* ASPEED */
	0x102b, /* Matrox */
	0x19e5, /* Huawei iBMC (its accelerators have class 12) */
	0x1013, /* Cirrus Logic, QEMU */
	0x1234, /* Bochs, QEMU */
	0x1b36, /* QXL, QEMU */
	0x1af4, /* virtio */
	0x15ad, /* VMware */
	0x80ee, /* VirtualBox */
	0x1414, /* Hyper-V */
};

bool pcifn_is_gpu(const struct pci_ids *ids)
{
	uint32_t base = ids->class_code >> 16;

	for (size_t i = 0; i < ARRAY_LEN(console_vendors) && base == 0x03; i++) {
		if (ids->vendor == console_vendors[i]) {
			return false;
		}
	}
	return base == 0x03 || base == 0x12;
}

static bool is_nvswitch(const struct pci_ids *ids)
{
	return ids->vendor == PCIFN_NVIDIA && ids->class_code >> 8 == 0x0680;
}

bool pcifn_is_bridge(const struct pci_ids *ids)
{
	return ids->class_code >> 16 == 0x06 && !is_nvswitch(ids);
}

const char *pcifn_role(const struct pci_ids *ids)
{
	switch (ids->class_code >> 8) {
	case 0x0401: /* older boards: multimedia audio controller */
	case 0x0403:
		return "audio";
	case 0x0c03:
		return "usb";
	case 0x0c80: /* the UCSI function of NVIDIA's boards (serial bus, other) */
		return "ucsi";
	}
	return pcifn_is_gpu(ids) ? "gpu" : is_nvswitch(ids) ? "nvswitch" : "other";
}

bool pcifn_is_companion(const struct pci_ids *ids)
{
	uint32_t kind = ids->class_code >> 8;

	return kind == 0x0403 || kind == 0x0401 || kind == 0x0c03 || kind == 0x0c80;
}

const char *pcifn_class_words(uint32_t class_code)
{
	static const struct {
		uint32_t code, mask;
		const char *words;
	} classes[] = {
		{0x010800, 0xffff00, "NVMe disk"},
		{0x010000, 0xff0000, "disk controller"},
		{0x020000, 0xff0000, "network controller"},
		{0x030000, 0xff0000, "display controller"},
		{0x040300, 0xffff00, "audio function"},
		{0x040000, 0xff0000, "multimedia controller"},
		{0x060000, 0xff0000, "bridge"},
		{0x0c0300, 0xffff00, "USB controller"},
		{0x0c8000, 0xffff00, "serial bus controller"},
		{0x120000, 0xff0000, "accelerator"},
	};

	for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
		if ((class_code & classes[i].mask) == classes[i].code) {
			return classes[i].words;
		}
	}
	return "device";
}

/* Variant drivers spell their name with - or _ (xe-vfio-pci, nvgrace_gpu_vfio_pci): nvidia.md 3.2.
 */
bool pcifn_driver_is_vfio(const char *driver)
{
	return str_eq(driver, "vfio-pci") || str_ends(driver, "-vfio-pci") ||
	       str_ends(driver, "_vfio_pci");
}

bool pcifn_driver_is_harmless(const char *driver)
{
	return str_eq(driver, "pcieport") || str_eq(driver, "pci-stub");
}
