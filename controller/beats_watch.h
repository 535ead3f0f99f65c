/* SPDX-License-Identifier: Apache-2.0 */
/*
 * beats_watch.h: brings what the watch of the beats shows to beats.h, and wakes the nodes whose state
 * it changes. RIM. No request is made for it: the watch stands, and a timer.
 */
#pragma once

#include "controller/beats.h"
#include "kube/runtime.h"

struct beats_watch;

/* Before runtime_start; b, lent, is what plans see (options.h). */
struct beats_watch *beats_watch_create(struct loop *l, struct runtime *r, struct beats *b);
struct beats_watch *beats_watch_destroy(struct beats_watch *w); /* after the loop; NULL */
