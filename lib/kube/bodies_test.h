/* SPDX-License-Identifier: Apache-2.0 */
/* bodies_test.h: what an API server says of the kind of thing_test.h, in lists and in streams. */
#pragma once

#define ITEM(name, rv, color)                                                                      \
	"{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"n\",\"uid\":\"u-" name               \
	"\",\"resourceVersion\":\"" rv "\"},\"color\":\"" color "\"}"
#define EVENT(type, name, rv, color)                                                               \
	"{\"type\":\"" type "\",\"object\":" ITEM(name, rv, color) "}\n"
#define BOOKMARK(rv)                                                                               \
	"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" rv "\"}}}\n"
#define END(rv)                                                                                    \
	"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" rv               \
	"\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define STATUS(code, reason, message, details)                                                     \
	"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","       \
	"\"message\":\"" message "\",\"reason\":\"" reason "\",\"details\":{" details              \
	"},\"code\":" code "}"
#define ERROR(code, reason, message, details)                                                      \
	"{\"type\":\"ERROR\",\"object\":" STATUS(code, reason, message, details) "}\n"
#define GONE STATUS("410", "Expired", "too old resource version: 5 (9)", "")
#define TOO_LARGE                                                                                  \
	STATUS("504", "Timeout", "Too large resource version: 5, current: 3",                      \
	       "\"causes\":[{\"reason\":\"ResourceVersionTooLarge\","                              \
	       "\"message\":\"Too large resource version\"}],\"retryAfterSeconds\":1")
#define LIST_OF_(rv, cont, items)                                                                  \
	"{\"kind\":\"ThingList\",\"metadata\":{\"resourceVersion\":\"" rv                          \
	"\",\"continue\":\"" cont "\"},\"items\":[" items "]}"
