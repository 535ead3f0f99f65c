/* SPDX-License-Identifier: Apache-2.0 */
/*
 * podres.h: asks the kubelet which pod has which device, and which devices there are to be had, ours
 * and others' (its pod-resources socket). RIM.
 *
 * Nothing is kept between two questions, neither a connection nor a list: questions are rare, the
 * kubelet may have been replaced meanwhile, and its folder, too. The kubelet serves 100 of them a
 * second to all who ask (1.36, apis/podresources: DefaultQPS) and answers those beyond with an
 * error, which is one here as well: nobody takes it for an empty list.
 */
#pragma once

#include "base/loop.h"
#include "node-daemon/dpapi.h"

#define PODRES_FOLDER "/var/lib/kubelet/pod-resources"
#define PODRES_SOCKET "kubelet.sock"
#define PODRES_TIMEOUT_MS 5000
#define PODRES_ANSWER_MAX (16 * MiB) /* the kubelet sends no larger one */

struct podres;

/* holds: lent; NULL: there is no list, and why is the sentence. */
typedef void podres_fn(void *ctx, const struct dpapi_holds *holds, const char *why);

/*
 * own: the pod that we run in, NAMESPACE/NAME: a kubelet that was started while the API server is away
 * lists none of its pods, and ours neither, so a list without it is none. NULL, "": we run in none. Both
 * are kept as pointers.
 */
struct podres *podres_create(struct loop *l, const char *folder, const char *own);
struct podres *podres_destroy(struct podres *p); /* done is not called any more; NULL */

/* done is called once, later, never from here; it may ask again. One question at a time: false while
 * one is open, and then done is not called. */
bool podres_ask(struct podres *p, podres_fn *done, void *ctx);
/* The same of all devices that are healthy, by resource; pods are NULL (dpapi_read_allocatable). */
bool podres_ask_allocatable(struct podres *p, podres_fn *done, void *ctx);
/* Since when the kubelet listens that is there now: it makes its socket when it starts, and tells of
 * pods before it knows them. -1: it is not there. */
int64_t podres_age_ms(const struct podres *p);
