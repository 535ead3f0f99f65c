/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "node-daemon/scan_inner.h"

#define CDEV_PREFIX "vfio"
#define CDEVS_MAX 4 /* there is one */

/* --- trouble ------------------------------------------------------------------------------- */

const char *scan_why(int rc)
{
	switch (-rc) {
	case EBADMSG:
	case EILSEQ:
		return "not what the kernel writes there";
	case EFBIG:
	case E2BIG:
		return "more than is looked at";
	}
	return strerror(-rc);
}

int scan_note(struct scan *s, int rc)
{
	if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM) {
		s->starved = rc;
	}
	return rc;
}

void scan_trouble(struct scan *s, const char *where, const char *file, int rc)
{
	struct machine *m = s->m;

	scan_note(s, rc);
	if (m->troubles.n == MACHINE_MAX_TROUBLES) {
		return;
	}
	if (!m->troubles.items) {
		m->troubles.items = arena_array(&m->arena, struct trouble, MACHINE_MAX_TROUBLES);
	}
	m->troubles.items[m->troubles.n++] = (struct trouble){
		.where = arena_strdup(&m->arena, where),
		.what = arena_printf(&m->arena, "%s: %s", file, scan_why(rc)),
	};
}

void scan_card_trouble(struct scan *s, struct pci_function *card, uint64_t at, const char *file,
		       int rc)
{
	char text[PCIFN_TEXT_MAX];

	scan_trouble(s, pcifn_text(at, text), file, rc);
	if (str_empty(card->trouble)) {
		card->trouble = arena_printf(&s->m->arena, "%s: %s: %s", text, file, scan_why(rc));
	}
}

void scan_half_seen(struct scan *s, struct pci_function *card, uint64_t at, const char *file,
		    int rc)
{
	scan_card_trouble(s, card, at, file, rc);
	card->half_seen = true;
}

/* --- reading ------------------------------------------------------------------------------- */

/* The file that failed, with its errno in *rc. */
static const char *read_hex(int dir, const char *file, size_t digits, uint32_t *ret, int *rc)
{
	char text[32];
	ssize_t n = sysfs_read(dir, file, text, sizeof(text));

	*rc = n < 0 ? (int)n : pcifn_hex(text, digits, ret) < 0 ? -EBADMSG : 0;
	return *rc < 0 ? file : NULL;
}

/* modalias has all ids in one read; the single files are for a kernel or tree whose modalias is not
 * readable. */
const char *scan_ids(int dir, struct pci_ids *ret, int *rc)
{
	uint32_t class_code, vendor, device, sub_vendor = 0, sub_device = 0;
	const char *file;
	char text[128];
	int ignored;

	*rc = 0;
	if (sysfs_read(dir, "modalias", text, sizeof(text)) > 0 && pcifn_modalias(text, ret) == 0) {
		return NULL;
	}
	if ((file = read_hex(dir, "class", 6, &class_code, rc)) ||
	    (file = read_hex(dir, "vendor", 4, &vendor, rc)) ||
	    (file = read_hex(dir, "device", 4, &device, rc))) {
		return file;
	}
	read_hex(dir, "subsystem_vendor", 4, &sub_vendor, &ignored);
	read_hex(dir, "subsystem_device", 4, &sub_device, &ignored);
	*ret = (struct pci_ids){(uint16_t)vendor, (uint16_t)device, (uint16_t)sub_vendor,
				(uint16_t)sub_device, class_code};
	return NULL;
}

/* The driver's name, "" when none is bound. 0 or -errno. */
int scan_driver(struct scan *s, int dir, const char **ret)
{
	char text[256];
	ssize_t n = sysfs_link_name(dir, "driver", text, sizeof(text));

	*ret = n < 0 ? "" : arena_strdup(&s->m->arena, text);
	return n == -ENOENT ? 0 : n < 0 ? (int)n : 0;
}

int scan_group(int dir, int64_t *ret)
{
	char text[32];
	ssize_t n = sysfs_link_name(dir, "iommu_group", text, sizeof(text));

	*ret = -1;
	if (n < 0) {
		return n == -ENOENT ? 0 : (int)n;
	}
	return parse_int(text, 0, INT32_MAX, ret) < 0 ? -EBADMSG : 0;
}

/*
 * vfio-dev/vfio7: the kernel names the function so wherever vfio has it (drivers/vfio/vfio_main.c),
 * but makes /dev/vfio/devices/vfio7 only where it is built with VFIO_DEVICE_CDEV; then there is a
 * file dev beside it (drivers/base/core.c, device_add). Without an IOMMU it is noiommu-vfio7,
 * which nobody is given.
 */
int scan_cdev(struct scan *s, int dir, int64_t *ret)
{
	const char **names;
	size_t n;
	int64_t number;
	int rc = sysfs_list(dir, "vfio-dev", CDEVS_MAX, &s->m->arena, &names, &n);

	*ret = -1;
	if (rc < 0) {
		return rc == -ENOENT ? 0 : rc;
	}
	for (size_t i = 0; i < n; i++) {
		auto_free char *file = xprintf("vfio-dev/%s/dev", names[i]);

		if (str_starts(names[i], CDEV_PREFIX) &&
		    parse_int(names[i] + strlen(CDEV_PREFIX), 0, INT32_MAX, &number) == 0 &&
		    sysfs_exists(dir, file)) {
			*ret = number;
		}
	}
	return 0;
}
