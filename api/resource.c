/* SPDX-License-Identifier: Apache-2.0 */
#include "api/resource.h"

#include <string.h>

/* k8s.io/apimachinery/pkg/util/validation, IsQualifiedName, of the name behind what quotas call it
 * (pkg/apis/core/v1/helper, IsExtendedResourceName). */
#define QUOTA "requests."
#define PREFIX_MAX (253 - (sizeof(QUOTA) - 1))
#define NAME_MAX 63

static bool is_lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_letter(char c)
{
	return is_lower(c) || (c >= 'A' && c <= 'Z');
}

/* Of a DNS name: labels of lower-case letters, digits and '-', parted by dots. */
static bool is_prefix(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool begins = !i || s[i - 1] == '.', ends = i + 1 == n || s[i + 1] == '.';

		if (s[i] == '.' ? begins || ends
				: !is_lower(s[i]) && (s[i] != '-' || begins || ends)) {
			return false;
		}
	}
	return n > 0;
}

static bool is_name(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool edge = !i || i + 1 == n;

		if (!is_letter(s[i]) && (edge || !strchr("-_.", s[i]))) {
			return false;
		}
	}
	return n > 0;
}

const char *resource_name_refusal(const char *name)
{
	const char *slash = strchr(name, '/');
	size_t prefix = slash ? (size_t)(slash - name) : 0, n = slash ? strlen(slash + 1) : 0;

	if (!slash) {
		return "has no domain before a /, as in nvidia.com/L40S";
	}
	if (strstr(name, "kubernetes.io/") || str_starts(name, QUOTA)) {
		return "is in a domain that Kubernetes keeps for itself";
	}
	if (prefix > PREFIX_MAX || n > NAME_MAX) {
		return "is too long: 244 characters before the / and 63 behind it are the most";
	}
	if (!is_prefix(name, prefix)) {
		return "has before its / no domain of small letters, digits, - and .";
	}
	if (!is_name(slash + 1, n)) {
		return "has behind its / other things than letters, digits, -, _ and ., or does not "
		       "begin and end with a letter or digit";
	}
	return NULL;
}

/* KubeVirt, pkg/util, ResourceNameToEnvVar. */
static char *variable(const char *kind, const char *name, struct arena *a)
{
	char *ret = arena_printf(a, "%s_%s", kind, name);

	for (char *p = ret; *p; p++) {
		if (*p >= 'a' && *p <= 'z') {
			*p = (char)(*p - 'a' + 'A');
		} else if (*p == '/' || *p == '.') {
			*p = '_';
		}
	}
	return ret;
}

char *resource_pci_variable(const char *name, struct arena *a)
{
	return variable("PCI_RESOURCE", name, a);
}

char *resource_mdev_variable(const char *name, struct arena *a)
{
	return variable("MDEV_PCI_RESOURCE", name, a);
}

const char *resource_of_profile(const char *card, const char *profile, struct arena *a)
{
	char *ret = arena_printf(a, "%.*s/%s", (int)strcspn(card, "/"), card, profile);

	for (char *p = ret; *p; p++) {
		if (*p == ' ' || *p == '\t') {
			*p = '_';
		}
	}
	return ret;
}
