/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_io.h: gRPC (grpc.h) on unix sockets of the loop: serve one by name in a folder, ask one. RIM.
 *
 * Names are relative to a folder's descriptor, so that a path may be as long as it likes and a
 * folder that was replaced is noticed by nobody's accident. The file of a socket is ours alone
 * (0600) before anybody can connect, and stands under its name only when it is listened to.
 *
 * Serving goes on while an own question is open: the kubelet answers Register only after it has
 * asked us. What is not there yet, or refuses, is an error at once: whoever asks tries again.
 */
#pragma once

#include "base/loop.h"
#include "node-daemon/grpc.h"

#define GRPC_CONNECTIONS 16 /* of one listener; the oldest without a call makes room */

struct grpc_listener;
struct grpc_ask;

struct grpc_served {
	const struct grpc_method *methods;
	void *ctx;
	size_t max_message;
	/* So many connections are open now; only to be noted, nothing here may be called. NULL:
	 * nobody asks. */
	void (*connections)(void *ctx, size_t n);
};

/* name: of the file, without a slash. NULL with err, also where another program listens there. */
struct grpc_listener *grpc_listen(struct loop *l, int folder, const char *name,
				  const struct grpc_served *s, struct err *err);
/* Takes the file away if it is still ours, closes all connections; nobody is called any more. NULL.
 * Before the loop's end. */
struct grpc_listener *grpc_unlisten(struct grpc_listener *l);
/* Closes its connections, and who waits for an answer to a call is told that it is gone. */
void grpc_break(struct grpc_listener *l);
/* The file under the name is still its own: nobody has removed or replaced it. */
bool grpc_listening(const struct grpc_listener *l);

/* Connects, asks, closes. q is copied but for its strings, which are used at once. NULL with err,
 * and then done is not called. The handle is gone when done is called. */
struct grpc_ask *grpc_ask(struct loop *l, int folder, const char *name,
			  const struct grpc_question *q, struct err *err);
struct grpc_ask *grpc_unask(struct grpc_ask *a); /* done is not called; NULL */
