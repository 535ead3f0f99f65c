/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quantity.h: Kubernetes' quantities ("5Gi", "500m", "1.5", "1e3") as numbers, for comparing; what
 * users wrote is passed on as they wrote it. Grammar: k8s.io/apimachinery/pkg/api/resource.
 */
#pragma once

#include "base/base.h"

/* 0, or -1 when s is no quantity. Exact up to 2^64 units. */
int quantity_parse(const char *s, long double *ret);
/* <0, 0, >0; what is no quantity counts as 0. */
int quantity_compare(const char *a, const char *b);
