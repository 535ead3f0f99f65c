/* SPDX-License-Identifier: Apache-2.0 */
/* start_failure.h: why KubeVirt could not start a VM, in a sentence. Pure. */
#pragma once

#include "api/kubevirt.h"

/* KubeVirt's words, and how often it tried in vain; NULL: it names no failure. */
const char *start_failure_words(const struct kv_vm *vm, struct arena *a);
