/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dpapi.h: the messages of the kubelet's two APIs, device plugins (v1beta1) and pod resources (v1),
 * as our structs. Pure. deviceplugin.proto and podresources.proto are the letter of it; nobody else
 * sees what protobuf-c makes of them.
 *
 * Writing cannot fail but for the maximum of the buffer. Reading skips what it does not know; what
 * is no such message, or would take more memory than DPAPI_READ_MAX, is an error with a sentence.
 * What was read lies in the arena, which must have room for DPAPI_ARENA_MAX. Lists are in the order of
 * the message.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "json/type.h"

#define DPAPI_VERSION "v1beta1"
#define DPAPI_REGISTER "/v1beta1.Registration/Register"
#define DPAPI_OPTIONS "/v1beta1.DevicePlugin/GetDevicePluginOptions"
#define DPAPI_LIST_AND_WATCH "/v1beta1.DevicePlugin/ListAndWatch"
#define DPAPI_PREFERRED "/v1beta1.DevicePlugin/GetPreferredAllocation"
#define DPAPI_ALLOCATE "/v1beta1.DevicePlugin/Allocate"
#define DPAPI_PRE_START "/v1beta1.DevicePlugin/PreStartContainer"
#define DPAPI_PODS "/v1.PodResourcesLister/List"
#define DPAPI_ALLOCATABLE "/v1.PodResourcesLister/GetAllocatableResources"

#define DPAPI_READ_MAX (16 * MiB)	     /* of what protobuf-c makes of a message */
#define DPAPI_ARENA_MAX (8 * DPAPI_READ_MAX) /* an id of one byte becomes a struct dpapi_hold */

LIST_OF(dpapi_ids, const char *);

struct dpapi_device {
	const char *id;
	bool healthy;
	int64_t numa; /* -1: not known, then the kubelet is told of no topology */
};

struct dpapi_variable {
	const char *name, *value;
};

struct dpapi_file {
	const char *path; /* the same in the container as on the host */
	const char *permissions;
};

/* What one container gets. */
struct dpapi_grant {
	LIST(struct dpapi_variable) variables;
	LIST(struct dpapi_file) files;
};

/* What one container would like best. */
struct dpapi_wish {
	struct dpapi_ids available, must;
	int64_t size;
};

/* A device that a container of a pod has. */
struct dpapi_hold {
	const char *ns, *pod, *container, *resource, *id;
};

LIST_OF(dpapi_asks, struct dpapi_ids); /* one a container */
LIST_OF(dpapi_wishes, struct dpapi_wish);
LIST_OF(dpapi_holds, struct dpapi_hold);

struct arena;

/* To the kubelet; endpoint: a file beside its socket. prefers: GetPreferredAllocation is served. */
void dpapi_write_register(struct buf *to, const char *endpoint, const char *resource, bool prefers);

/* Answers to the kubelet. The empty answer of PreStartContainer is no bytes at all. */
void dpapi_write_options(struct buf *to, bool prefers);
void dpapi_write_devices(struct buf *to, const struct dpapi_device *devices, size_t n);
void dpapi_write_preferred(struct buf *to, const struct dpapi_ids *containers, size_t n);
void dpapi_write_grants(struct buf *to, const struct dpapi_grant *containers, size_t n);

/* Its questions, and its answers. 0, or -1 with err. */
int dpapi_read_allocate(const void *bytes, size_t n, struct arena *a, struct dpapi_asks *ret,
			struct err *err);
int dpapi_read_preferred(const void *bytes, size_t n, struct arena *a, struct dpapi_wishes *ret,
			 struct err *err);
/* own: NAMESPACE/NAME of a pod that must be among them, or it is no list; NULL: none must. */
int dpapi_read_pods(const void *bytes, size_t n, const char *own, struct arena *a,
		    struct dpapi_holds *ret, struct err *err);
/* ns, pod and container are NULL. */
int dpapi_read_allocatable(const void *bytes, size_t n, struct arena *a, struct dpapi_holds *ret,
			   struct err *err);
