/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.h: whole small files, with a maximum, and sentences that name the file when that fails. RIM.
 *
 * Only regular files unless FILE_ANY is given: opening a FIFO or a terminal by mistake must not
 * stop the loop.
 */
#pragma once

#include "base/err.h"

enum { FILE_ANY = 1 }; /* also a pipe: `--kubeconfig <(command)`; reading it may block */

/* The content, 0-terminated, in *ret (the caller frees it); ret_n may be NULL. Bytes 0 in it are an
 * error: these are text files. */
int file_read(const char *path, size_t max, unsigned flags, char **ret, size_t *ret_n,
	      struct err *err);
