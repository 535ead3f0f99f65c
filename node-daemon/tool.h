/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tool.h: asks for what only a vendor's own program can do. RIM; for the child that writes (write.h),
 * since it waits.
 *
 * NVIDIA's driver refuses plain writes to sriov_numvfs; its sriov-manage does it, which comes with the
 * driver. So it runs where the driver's image is, in a container of its own, and is asked through a
 * unix socket in a folder that both containers have:
 *
 *	asked	sriov-manage -e 0000:41:00.0\n		then the writing side is closed
 *	answer	0 \n, or 1 Cannot obtain unbindLock\n	the exit status and its last words
 *
 * What it says decides nothing: it has said 0 having failed (gpu-driver-container#29). sriov_numvfs is
 * read back at once, and the kernel's links are looked at afterwards.
 */
#pragma once

#include "base/err.h"

#define TOOL_ENABLE "sriov-manage -e"
#define TOOL_DISABLE "sriov-manage -d"
#define TOOL_WAIT_MS 60000
#define TOOL_ANSWER_MAX ((size_t)1024) /* what is longer is cut */

struct tool_answer {
	int64_t status;
	char words[TOOL_ANSWER_MAX]; /* printable ASCII, "": none */
};

/* Pure: the bytes of an answer. -1: they are none. */
int tool_hear(const char *bytes, size_t n, struct tool_answer *ret, struct err *err);
/* path: of the socket. -1: nobody answers, not in ms, or not in these words. */
int tool_ask(const char *path, const char *request, int64_t ms, struct tool_answer *ret,
	     struct err *err);
