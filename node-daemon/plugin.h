/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin.h: what we serve the kubelet as, over time: a step machine that decides when to listen, to
 * register, to send a list and to leave. Pure: no socket, no clock, and no word about which devices
 * there are (offers) or who gets them (Allocate).
 *
 * Each resource has a socket of its own, since ListAndWatch says no name, and a list, which is sent
 * whole, and only when it has changed: the kubelet writes a checkpoint for each. The rim tells what
 * happened (plugin_kubelet, plugin_opened, ...), then carries out what plugin_next hands it until
 * that is PLUGIN_WAIT, and comes back at ret_wake at the latest.
 *
 * One rule shapes it (kubelet 1.36, plugin/v1beta1/handler.go:runClient): when any ListAndWatch of a
 * resource ends, the kubelet disconnects whoever has that resource's name by then, a newer
 * registration included. So we register only when the kubelet has no connection to us any more:
 * that it has closed the old one is the proof that it is done with it.
 *
 * The same is so where another plugin has taken a name of ours (rivals.h): the kubelet takes its lists
 * and ours for one, gives Allocate to the newer, and disconnects that when our stream ends. So while a
 * name is taken we neither register it nor say another word on a stream that is open; when it is free
 * again that stream is ended, and the name registered anew.
 *
 * Nothing is polled: while the kubelet is away, and while it listens to us, there is no wake-up. A
 * resource that is offered no more gets an empty list and is served until the kubelet leaves; then
 * it is gone here. It must still answer Allocate meanwhile.
 */
#pragma once

#include "node-daemon/dpapi.h"
#include "node-daemon/grpc_word.h"

#define PLUGIN_RESOURCES_MAX 256 /* of devices, and one of tokens */
#define PLUGIN_SOCKETS "vmgpu-"	 /* all of ours begin so */
/* What failed is tried again at once, then after these, doubled each time, up to the maximum. */
#define PLUGIN_CONNECT_MS 1 /* nobody answered: a socket is there a moment before it is served */
#define PLUGIN_RETRY_MS 100 /* all else */
#define PLUGIN_RETRY_MAX_MS 5000
#define PLUGIN_REFUSED_MAX_MS 60000 /* the kubelet said no */
#define PLUGIN_CUT_MS 100	    /* to a kubelet whose connection we had to cut */
#define PLUGIN_STEADY_MS 10000	    /* a stream that lived so long was none that failed */
#define PLUGIN_WATCH_MS 10000	    /* from Register to ListAndWatch, at most */
#define PLUGIN_LEAVE_MS 2000	    /* until the kubelet has closed what it is done with, at most */

struct plugin;

struct plugin_resource {
	const char *name;   /* nvidia.com/AD102GL_L40S */
	const char *socket; /* file name in the folder of kubelet.sock */
	const char *why;    /* the last attempt failed: a sentence; NULL: it did not */
	bool listed;	    /* the kubelet has it from us: its stream is open */
	void *rim;	    /* the rim's own; NULL at first */
};

struct plugin_offer {
	const char *resource;
	LIST(struct dpapi_device) devices;
};

enum plugin_do {
	PLUGIN_WAIT,
	PLUGIN_LISTEN,	 /* on its socket; one that there is goes first, with its connections */
	PLUGIN_REGISTER, /* at kubelet.sock */
	PLUGIN_SEND,	 /* the list, on its stream */
	PLUGIN_END,	 /* its stream, OK; the connection stays */
	PLUGIN_UNLISTEN, /* and forget it: it is gone with the next call of plugin_next */
};

struct plugin_work {
	enum plugin_do what;
	struct plugin_resource *resource;
	const char *list; /* SEND: a DeviceList, lent */
	size_t n;
};

struct plugin *plugin_create(void);
struct plugin *plugin_destroy(struct plugin *p); /* NULL */

/* All that is offered now, in any order; two of one name are a mistake, the second is left out. */
void plugin_offers(struct plugin *p, const struct plugin_offer *offers, size_t n);

/* The names that are another plugin's now, those that are not offered included; copied. */
void plugin_taken(struct plugin *p, const char *const *names, size_t n);

/* kubelet.sock: a number that tells this file from any that had the name before, 0: it is not
 * there. */
void plugin_kubelet(struct plugin *p, uint64_t id);
/* The file of our socket is not there any more, or not ours. */
void plugin_file_gone(struct plugin_resource *r);
/* How LISTEN and REGISTER ended; text is copied. */
void plugin_listened(struct plugin_resource *r, bool good, const char *text, int64_t now);
void plugin_registered(struct plugin_resource *r, enum grpc_code code, const char *text,
		       int64_t now);
/* ListAndWatch: of two that are open the newer counts, the end of the older is not told here. */
void plugin_opened(struct plugin_resource *r, int64_t now);
void plugin_closed(struct plugin_resource *r, int64_t now);
/* Connections to the resource's socket, whenever their number changes. */
void plugin_connections(struct plugin_resource *r, size_t n);

/* The next thing to do; ret_wake: when to ask again though nothing happened, INT64_MAX: never. */
void plugin_next(struct plugin *p, int64_t now, struct plugin_work *ret, int64_t *ret_wake);

/* For the report: NULL to begin; the next one, or NULL. */
const struct plugin_resource *plugin_each(const struct plugin *p,
					  const struct plugin_resource *after);
