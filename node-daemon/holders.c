/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/holders.h"

#include <string.h>

/* --- drivers ------------------------------------------------------------------------------- */

/* The drivers of GPUs and of what goes along on their boards. */
static const struct {
	const char *driver;
	unsigned where;
} drivers[] = {
	{"nvidia", HOLDERS_BELOW | HOLDERS_NVIDIA}, /* below: nvidia-drm */
	{"nouveau", HOLDERS_BELOW | HOLDERS_DRM},
	{"nova_core", HOLDERS_BELOW},
	{"amdgpu", HOLDERS_BELOW | HOLDERS_DRM},
	{"radeon", HOLDERS_BELOW | HOLDERS_DRM},
	{"i915", HOLDERS_BELOW | HOLDERS_DRM},
	{"xe", HOLDERS_BELOW | HOLDERS_DRM},
	{"bochs-drm", HOLDERS_BELOW | HOLDERS_DRM},
	{"snd_hda_intel", HOLDERS_BELOW},
	{"nvidia-gpu", HOLDERS_BELOW}, /* i2c-nvidia-gpu.c: the UCSI function */
	{"xhci_hcd", HOLDERS_USB},
	{"pci-stub", HOLDERS_BELOW}, /* it has nothing to use */
};

unsigned holders_driver(const char *driver)
{
	if (pcifn_driver_is_vfio(driver)) {
		return HOLDERS_BELOW | HOLDERS_GROUP;
	}
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
		if (str_eq(drivers[i].driver, driver)) {
			return drivers[i].where;
		}
	}
	return 0;
}

/* --- texts --------------------------------------------------------------------------------- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits up to `end`; NULL: there are none, or too many. */
static const char *number(const char *s, char end, uint32_t *ret)
{
	uint64_t n = 0;
	const char *p = s;

	for (; is_digit(*p) && n <= UINT32_MAX; p++) {
		n = n * 10 + (uint64_t)(*p - '0');
	}
	if (p == s || *p != end || n > UINT32_MAX) {
		return NULL;
	}
	*ret = (uint32_t)n;
	return p;
}

int holders_dev(const char *text, uint64_t *ret)
{
	uint32_t major, minor;
	const char *p = number(text, ':', &major);

	if (!p || !number(p + 1, '\0', &minor)) {
		return -1;
	}
	*ret = holders_number(major, minor);
	return 0;
}

static const char *next_line(const char *line)
{
	const char *end = strchr(line, '\n');

	return end ? end + 1 : NULL;
}

/* The text behind the key and white space of the line that begins with it. */
static const char *value_of(const char *text, const char *key)
{
	for (const char *line = text; line; line = next_line(line)) {
		if (str_starts(line, key)) {
			line += strlen(key);
			return line + strspn(line, " \t");
		}
	}
	return NULL;
}

int holders_nvidia_minor(const char *information, uint32_t *ret)
{
	const char *value = value_of(information, "Device Minor:");

	return value && (number(value, '\n', ret) || number(value, '\0', ret)) ? 0 : -1;
}

static bool line_is(const char *s, const char *text)
{
	size_t n = strlen(text);

	return strncmp(s, text, n) == 0 && (s[n] == '\n' || !s[n]);
}

/* "Character devices:", "195 nvidia", ..., "Block devices:" (fs/proc/devices.c) */
int holders_nvidia_major(const char *devices, uint32_t *ret)
{
	for (const char *line = devices; line; line = next_line(line)) {
		const char *s = line + strspn(line, " ");
		uint32_t major;

		if (str_starts(line, "Block devices")) {
			break;
		}
		s = number(s, ' ', &major);
		if (s && (line_is(s + 1, "nvidia") || line_is(s + 1, "nvidia-frontend"))) {
			*ret = major;
			return 0;
		}
	}
	return -1;
}

bool holders_is_usb_device(const char *name)
{
	return is_digit(*name) && strchr(name, '-') && !strchr(name, ':');
}

bool holders_is_vfio_device(const char *link)
{
	return str_eq(link, "anon_inode:[vfio-device]");
}

bool holders_path_has(const char *path, uint64_t address)
{
	char text[PCIFN_TEXT_MAX];
	size_t n;

	pcifn_text(address, text);
	n = strlen(text);
	for (const char *p = path; (p = strchr(p, '/')); p++) {
		if (strncmp(p + 1, text, n) == 0 && (p[1 + n] == '/' || !p[1 + n])) {
			return true;
		}
	}
	return false;
}

/* Documentation/filesystems/proc.rst, "VFIO Device files" */
const char *holders_syspath(const char *fdinfo, struct arena *a)
{
	const char *value = value_of(fdinfo, "vfio-device-syspath:");

	return value ? arena_strndup(a, value, strcspn(value, "\n")) : NULL;
}

/* Words end at a space. The rest behind it, or NULL. */
static char *word(char *s, char **ret)
{
	char *end = s ? strchr(s, ' ') : NULL;

	*ret = s;
	if (!end) {
		return NULL;
	}
	*end = '\0';
	return end + 1;
}

/* 7f1c-7f1d rw-s 00000000 00:06 338      /dev/nvidia0 (deleted) */
int holders_map(char *line, struct holders_map *ret)
{
	static const char gone[] = " (deleted)";
	char *range, *rights, *offset, *dev, *inode, *rest = line;
	int64_t n;

	rest = word(rest, &range);
	rest = word(rest, &rights);
	rest = word(rest, &offset);
	rest = word(rest, &dev);
	if (!rest || !strchr(range, '-') || strlen(rights) != 4) {
		return -1;
	}
	rest = word(rest, &inode);
	if (parse_int(inode, 0, INT64_MAX, &n) < 0) {
		return -1;
	}
	rest += rest ? strspn(rest, " ") : 0;
	*ret = (struct holders_map){rights[3] == 's', (uint64_t)n, rest ? rest : "", false};
	if (rest && str_ends(rest, gone)) {
		rest[strlen(rest) - strlen(gone)] = '\0';
		ret->deleted = true;
	}
	return 0;
}

bool holders_is_node_name(const char *path)
{
	static const char *const names[] = {"nvidia", "renderD", "card",    "vfio",
					    "fb",     "pcmC",	 "controlC"};
	const char *name = strrchr(path, '/');

	for (size_t i = 0; name && i < ARRAY_LEN(names); i++) {
		if (str_starts(name + 1, names[i]) && is_digit(name[1 + strlen(names[i])])) {
			return true;
		}
	}
	return false;
}

bool holders_map_matters(const struct holders_map *m)
{
	return holders_is_vfio_device(m->path) ||
	       (*m->path == '/' && (m->shared || holders_is_node_name(m->path)));
}

/* --- a unit -------------------------------------------------------------------------------- */

void holders_doubt(struct holders_unit *u, const char *why)
{
	if (!*u->doubt) {
		u->doubt = why;
	}
}

static bool has(const struct holders_unit *u, uint64_t number)
{
	for (size_t i = 0; i < u->n_nodes; i++) {
		if (u->nodes[i] == number) {
			return true;
		}
	}
	return false;
}

static bool has_major(const struct holders_unit *u, uint64_t number)
{
	for (size_t i = 0; i < u->n_majors; i++) {
		if (u->majors[i] == number >> 32) {
			return true;
		}
	}
	return false;
}

void holders_add(struct holders_unit *u, uint64_t number, bool vfio)
{
	if (vfio && !has_major(u, number) && u->n_majors < HOLDERS_VFIO_MAJORS) {
		u->majors[u->n_majors++] = (uint32_t)(number >> 32);
	}
	if (has(u, number)) {
		return;
	}
	if (u->n_nodes == HOLDERS_MAX_NODES) {
		holders_doubt(u, "it has more device nodes than are looked at");
		return;
	}
	u->nodes[u->n_nodes++] = number;
}

/* --- a process ----------------------------------------------------------------------------- */

/* Services that hold cards on purpose; comm has 15 characters. None of them is ended by us. */
static const struct {
	const char *comm, *remedy;
} services[] = {
	{"nvidia-persiste",
	 ", which keeps the card awake: nvidia-smi -pm 0 for this card makes it let go"},
	{"nv-hostengine",
	 ", which watches the card for DCGM: stop it, DCGM 4.5 and later let go by themselves"},
	{"dcgm-exporter",
	 ", which watches the card for DCGM: stop it, DCGM 4.5 and later let go by themselves"},
	{"vmgpu-nvml",
	 ", which read the card for us and hangs in NVIDIA's driver: the kernel log says more"},
	{"Xorg", ", a display server: stop it, or keep the card out of its configuration"},
	{"Xwayland", ", a display server: stop it, or keep the card out of its configuration"},
	{"gnome-shell", ", a display server: stop it, or keep the card out of its configuration"},
};

void holders_process(const char *pid, const char *comm, struct arena *a,
		     struct holders_process *ret)
{
	*ret = (struct holders_process){.remedy = ""};
	ret->name = *comm ? arena_printf(a, "process %.16s (%.32s)", pid, comm)
			  : arena_printf(a, "process %.16s", pid);
	for (size_t i = 0; i < ARRAY_LEN(services); i++) {
		if (str_eq(comm, services[i].comm)) {
			ret->remedy = services[i].remedy;
		}
	}
}

static void hold(struct holders_process *p, struct holders_unit *u, struct arena *a)
{
	if (!*u->held) {
		u->held = arena_printf(a, "%s%s", p->name, p->remedy);
	}
}

void holders_node(struct holders_process *p, uint64_t number, struct holders_unit *units, size_t n,
		  struct arena *a)
{
	for (size_t i = 0; i < n; i++) {
		if (has(&units[i], number)) {
			hold(p, &units[i], a);
		}
		p->named |= has_major(&units[i], number);
	}
}

void holders_vfio(struct holders_process *p, const char *syspath, struct holders_unit *units,
		  size_t n, struct arena *a)
{
	p->nameless |= !syspath;
	for (size_t i = 0; syspath && i < n; i++) {
		list_each(f, &units[i].functions) {
			if (holders_path_has(syspath, *f)) {
				hold(p, &units[i], a);
			}
		}
	}
}

/* Who has the device has, or had, its group: who shows no group at all may have that of any unit. */
void holders_process_end(struct holders_process *p, struct holders_unit *units, size_t n,
			 struct arena *a)
{
	for (size_t i = 0; i < n && p->nameless && !p->named; i++) {
		if (units[i].n_majors && !*units[i].held) {
			holders_doubt(
				&units[i],
				arena_printf(a,
					     "%s has a vfio device open, and the kernel does not "
					     "say which",
					     p->name));
		}
	}
}
