/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvml.h: NVIDIA's management library, libnvidia-ml, if there is one. RIM.
 *
 * It is opened when it is needed, never linked; what it must be called by was written here from its
 * public interface. A function that it lacks is a reading less, no trouble. It may hang, and it keeps
 * cards open as long as it is in use, which nobody could then take from their driver: so it is only
 * used in a child that ends with it, at a time when nobody wants to know who uses a card (reader.h).
 */
#pragma once

#include "node-daemon/reading.h"

#define NVML_LIBRARY "libnvidia-ml.so.1" /* where the system's loader finds it */
#define NVML_PROCESS "vmgpu-nvml"	 /* what who looks for holders finds, if it hangs */

/* All lies in the arena. */
void nvml_read(const char *library, const struct reading_question *q, struct arena *a,
	       struct reading *ret);

/* The same as process_spec.run, without any capability: reads, and writes the answer's line to out. 0: it did. */
struct nvml_job {
	const char *library;
	const struct reading_question *question;
};
int nvml_run(void *job, int out);
