/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokens.h: the resource RESOURCE_COMPANION, by which a virtual machine says that the audio functions
 * of its GPUs shall come along. Pure.
 *
 * Its devices are tokens: one for each unit that is listed and has such a function, and none stands
 * for a certain one. Who asks for as many as for GPUs gets the functions of the GPUs that it got: the
 * Allocate of the GPU names them (grant.h), and that of the token gives nothing. So the pair is never
 * split, whatever tokens the kubelet chooses, and none is in use or clean or dirty.
 */
#pragma once

#include "node-daemon/offers.h"

#define TOKENS_ID "companion-" /* before the unit's own */

/* Adds their list, if there is any. */
void tokens_offer(struct offers *to, struct arena *a);
bool tokens_are(const char *resource);
