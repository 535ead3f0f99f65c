/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_io.h: the device plugin (plugin.h) on sockets: watches the kubelet's folder, serves one
 * socket a resource, registers. RIM. Nothing is polled.
 *
 * Which devices there are it is told by plugin_io_offers, and who gets them it asks its owner, who
 * answers each call himself (grpc.h, dpapi.h), now or later, but in any case: the kubelet waits for
 * Allocate without end, and starts no pod meanwhile. Calls that are open when it is destroyed are
 * gone without a word.
 */
#pragma once

#include "node-daemon/grpc_io.h"
#include "node-daemon/plugin.h"

#define PLUGIN_IO_FOLDER "/var/lib/kubelet/device-plugins" /* wherever the kubelet's root is */
#define PLUGIN_IO_REQUEST_MAX (1 * MiB)
#define PLUGIN_IO_REGISTER_MS 20000 /* the kubelet takes ten seconds to give up dialling back */

struct plugin_io;

struct plugin_io_settings {
	const char *folder;
	void (*allocate)(void *ctx, const char *resource, struct grpc_call *call,
			 const void *message, size_t n);
	/* NULL: there is nothing to prefer, and the kubelet is told so. */
	void (*preferred)(void *ctx, const char *resource, struct grpc_call *call,
			  const void *message, size_t n);
	void (*gone)(void *ctx, struct grpc_call *call); /* of either, unanswered: forget it */
	/* The folder has been removed, and another may stand in its place that we cannot see from
	 * within a mount: start anew. Said once; io is not to be destroyed from there. */
	void (*lost)(void *ctx);
	/* Another kubelet.sock is there: a kubelet has started, so long ago. NULL: nobody asks. */
	void (*kubelet)(void *ctx, int64_t age_ms);
	/* Another plugin may have come or gone, or what the kubelet counts of some: a socket or the
	 * kubelet's checkpoint in its folder is another one. NULL: nobody asks. */
	void (*others)(void *ctx);
	void *ctx;
};

/* NULL with err: the folder is not there, or cannot be watched. */
struct plugin_io *plugin_io_create(struct loop *l, const struct plugin_io_settings *s,
				   struct err *err);
struct plugin_io *plugin_io_destroy(struct plugin_io *io); /* NULL */
void plugin_io_offers(struct plugin_io *io, const struct plugin_offer *offers, size_t n);
/* The names of ours that are another plugin's, in any list. */
void plugin_io_taken(struct plugin_io *io, const char *const *names, size_t n);
/* Sockets in the folder on which somebody else listens; in the arena. */
void plugin_io_others(const struct plugin_io *io, struct arena *a, struct dpapi_ids *ret);
/* Is the folder still there? Looked at whenever anything happens; to be called on a beat besides. */
void plugin_io_check(struct plugin_io *io);
const struct plugin *plugin_io_plugin(const struct plugin_io *io);
