/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/modules.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/test.h"

static char folder[] = "/tmp/modules_test.XXXXXX";
static int dir = -1;

/* A machine with vfio loaded, and a modprobe that notes what it is asked for and does not know "absent". */
static void machine(void)
{
	auto_free char *path = NULL;
	FILE *f;

	if (dir >= 0) {
		unlinkat(dir, "asked", 0);
		return;
	}
	ok(mkdtemp(folder));
	dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ok(mkdirat(dir, "module", 0755) == 0 && mkdirat(dir, "module/vfio_pci", 0755) == 0);
	path = xprintf("%s/modprobe", folder);
	f = fopen(path, "w");
	fprintf(f, "#!/bin/sh\necho \"$*\" >>%s/asked\n[ \"$2\" != absent ]\n", folder);
	fclose(f);
	chmod(path, 0755);
	setenv("PATH", folder, 1);
}

static const char *asked(void)
{
	static char text[256];
	int fd = openat(dir, "asked", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = '\0';
	if (fd >= 0) {
		close(fd);
	}
	return text;
}

static size_t load(char *a, char *b)
{
	machine();
	return modules_load(dir, (char *[]){a, b}, 2);
}

static void not_loaded_is_asked_for(void)
{
	is_int(load("vfio_iommu_type1", "mdev"), 2);
	is_str(asked(), "-- vfio_iommu_type1\n-- mdev\n");
}

static void loaded_is_left(void)
{
	is_int(load("vfio-pci", "vfio_pci"), 2);
	is_str(asked(), "");
}

static void failure_does_not_end_it(void)
{
	is_int(load("absent", "mdev"), 1);
	is_str(asked(), "-- absent\n-- mdev\n");
}

static void without_modprobe_it_goes_on(void)
{
	machine();
	setenv("PATH", "/nowhere", 1);
	is_int(load("mdev", "vfio-pci"), 1);
	setenv("PATH", folder, 1);
}

static void cleans_up(void)
{
	machine();
	unlinkat(dir, "modprobe", 0);
	unlinkat(dir, "module/vfio_pci", AT_REMOVEDIR);
	unlinkat(dir, "module", AT_REMOVEDIR);
	is_int(rmdir(folder), 0);
}

TESTS({"a module that is not loaded is asked of modprobe by name", not_loaded_is_asked_for},
      {"what is loaded is left, a dash is an underscore there", loaded_is_left},
      {"one that cannot be loaded is counted out, the next is loaded all the same",
       failure_does_not_end_it},
      {"a machine without modprobe is one of those", without_modprobe_it_goes_on},
      {"nothing is left in /tmp", cleans_up})
