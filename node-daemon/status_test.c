/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon reports is what the CRD publishes: a field that is not there would be dropped. */
#include "node-daemon/status.h"

#include "api/crd_test.h"

static void report(void)
{
	agree("crds/vmgpu.io_gpunodes.yaml", "status", &status_type, false);
}

TESTS({"GPUNode: the daemon's table and the CRD agree", report})
