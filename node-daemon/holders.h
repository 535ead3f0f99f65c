/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holders.h: what shows that a process holds a GPU. Pure: texts of /proc and /sys in, facts out; users.h
 * reads them.
 *
 * A process holds a device by a descriptor of one of its nodes, or by memory that it mapped through
 * one and closed. Nodes are told apart by their numbers (st_rdev), never by their names: a container
 * has its own /dev. A descriptor of a vfio device has no number; the node of its group or the character device it
 * was opened by does, and from Linux 6.18 on its fdinfo names the device. Where a text does not say
 * it for certain the answer is doubt, and what is in doubt counts as held.
 */
#pragma once

#include "base/arena.h"
#include "json/type.h"
#include "node-daemon/pcifn.h"

enum {
	HOLDERS_MAX_NODES = 256, /* of one unit */
	HOLDERS_VFIO_MAJORS = 2,
};

/* Number of a node, as numbers compare. */
static inline uint64_t holders_number(uint32_t major, uint32_t minor)
{
	return (uint64_t)major << 32 | minor;
}

/* Where the nodes by which a driver's devices are used are found; bits. 0: of that driver nobody
 * can say. */
enum {
	HOLDERS_BELOW = 1, /* the files `dev` below the device in /sys: drm, sound, i2c, vfio-dev */
	HOLDERS_GROUP = 2, /* the node of its IOMMU group */
	HOLDERS_NVIDIA = 4, /* the minor that /proc/driver/nvidia tells */
	HOLDERS_USB = 8,    /* no nodes: what is plugged into it */
	HOLDERS_DRM = 16,   /* there must be some of DRM below it */
};
unsigned holders_driver(const char *driver);

/* --- texts --------------------------------------------------------------------------------- */

/* "116:5". 0 or -1. */
int holders_dev(const char *text, uint64_t *ret);
/* /proc/driver/nvidia/gpus/ADDRESS/information, of which "Device Minor: 0" counts. 0 or -1. */
int holders_nvidia_minor(const char *information, uint32_t *ret);
/* /proc/devices: the major of NVIDIA's nodes. 0 or -1. */
int holders_nvidia_major(const char *devices, uint32_t *ret);
/* An entry of usbN in /sys that is a device plugged in: "1-2", and not "1-0:1.0" or "power". */
bool holders_is_usb_device(const char *name);
/* What a link in /proc/PID/fd, or a line of maps, has for a device of vfio that was got from its group. */
bool holders_is_vfio_device(const char *link);
/* A path, of /sys or of fdinfo's vfio-device-syspath, goes through that function. */
bool holders_path_has(const char *path, uint64_t address);
/* The value of vfio-device-syspath in a text of /proc/PID/fdinfo, in the arena; NULL: it has none. */
const char *holders_syspath(const char *fdinfo, struct arena *a);

/* A line of /proc/PID/maps. */
struct holders_map {
	bool shared;
	uint64_t inode;
	const char *path; /* as the line has it, in the line; "": none */
	bool deleted;
};
/* 0, or -1: it is none. Cuts the line. */
int holders_map(char *line, struct holders_map *ret);
/* Memory of a device may be behind it. Its drivers share what they map; of what is not shared
 * only a name may tell. */
bool holders_map_matters(const struct holders_map *m);
/* Somebody who finds no such file any more must be in doubt. */
bool holders_is_node_name(const char *path);

/* --- a unit -------------------------------------------------------------------------------- */

struct holders_unit {
	uint64_t id;
	LIST(uint64_t) functions; /* that have a driver */
	uint64_t nodes[HOLDERS_MAX_NODES];
	size_t n_nodes;
	uint32_t majors[HOLDERS_VFIO_MAJORS]; /* of those that are vfio's: groups, devices */
	size_t n_majors;
	const char *doubt; /* why nobody can say, "": nothing is in doubt */
	const char *held;  /* by whom, "": by nobody that was seen */
};

/* One more, which counts once; too many are in doubt. vfio: it is one of vfio's. */
void holders_add(struct holders_unit *u, uint64_t number, bool vfio);
/* The first doubt stays. */
void holders_doubt(struct holders_unit *u, const char *why);

/* What one process has, added one by one. */
struct holders_process {
	const char *name;   /* "process 123 (Xorg)" */
	const char *remedy; /* "" or ": what to do", behind the name */
	bool nameless;	    /* a device of vfio that no text names */
	bool named;	    /* a node of vfio: by which nameless ones were got */
};
void holders_process(const char *pid, const char *comm, struct arena *a,
		     struct holders_process *ret);
/* It has a node of that number. */
void holders_node(struct holders_process *p, uint64_t number, struct holders_unit *units, size_t n,
		  struct arena *a);
/* It has a device of vfio, which syspath names; NULL: nothing does. */
void holders_vfio(struct holders_process *p, const char *syspath, struct holders_unit *units,
		  size_t n, struct arena *a);
/* Nothing more of it comes. */
void holders_process_end(struct holders_process *p, struct holders_unit *units, size_t n,
			 struct arena *a);
