/* SPDX-License-Identifier: Apache-2.0 */
#include "api/resource.h"

#include "api/gpu_names.h"
#include "base/test.h"

static char *prefix_of(size_t n)
{
	char *s = xmalloc(n + 3);

	for (size_t i = 0; i < n; i++) {
		s[i] = i % 50 == 49 && i + 1 < n ? '.' : 'a';
	}
	memcpy(s + n, "/x", 3);
	return s;
}

static char *name_of(size_t n)
{
	char *s = xprintf("a/%0*d", (int)n, 0);

	return s;
}

/* What k8s.io/kubernetes/pkg/apis/core/v1/helper.IsExtendedResourceName says to each. */
static void names(void)
{
	static const struct {
		const char *name, *refused;
	} rows[] = {
		{"nvidia.com/AD102GL_L40S", NULL},
		{"a/b", NULL},
		{"a-b.c0/1-2_3.4", NULL},
		{"vmgpu.io/companion", NULL},
		{"cpu", "has no domain"},
		{"", "has no domain"},
		{"/x", "before its /"},
		{"nvidia.com/", "behind its /"},
		{"nvidia.com/a/b", "behind its /"},
		{"nvidia.com/GA107_", "behind its /"},
		{"nvidia.com/-a", "behind its /"},
		{"nvidia.com/a b", "behind its /"},
		{"nvidia.com/a\xc3\xa4z", "behind its /"},
		{"NVIDIA.com/a", "before its /"},
		{"nvidia_x.com/a", "before its /"},
		{".com/a", "before its /"},
		{"com./a", "before its /"},
		{"a..b/a", "before its /"},
		{"-a/a", "before its /"},
		{"a-/a", "before its /"},
		{"a.-b/a", "before its /"},
		{"a-.b/a", "before its /"},
		{"kubernetes.io/gpu", "Kubernetes"},
		{"node.kubernetes.io/gpu", "Kubernetes"},
		{"mykubernetes.io/gpu", "Kubernetes"},
		{"kubernetes.io.example/gpu", NULL},
		{"requests.example.com/gpu", "Kubernetes"},
		{"example.requests.com/gpu", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *why = resource_name_refusal(rows[i].name);

		if (rows[i].refused) {
			has(why, rows[i].refused);
		} else {
			is_str(why, NULL);
		}
	}
}

static void lengths(void)
{
	auto_free char *most = prefix_of(244), *more = prefix_of(245), *name = name_of(63),
		       *longer = name_of(64);

	is_str(resource_name_refusal(most), NULL);
	has(resource_name_refusal(more), "too long");
	is_str(resource_name_refusal(name), NULL);
	has(resource_name_refusal(longer), "too long");
}

/* Made for cards that the table of names lacks. */
static void made_names(void)
{
	char name[GPU_NAME_SIZE];

	gpu_names_make(0x10de, "NVIDIA Corporation", 0xffff, "GA107GLM [A2 / ]", name);
	is_str(resource_name_refusal(name), NULL);
	gpu_names_make(0xabcd, "", 0xffff, "", name);
	is_str(resource_name_refusal(name), NULL);
}

static void variables(void)
{
	static const struct {
		const char *name, *variable;
	} rows[] = {
		{"nvidia.com/AD102GL_L40S", "PCI_RESOURCE_NVIDIA_COM_AD102GL_L40S"},
		{"nvidia.com/GRID_T4-1Q", "PCI_RESOURCE_NVIDIA_COM_GRID_T4-1Q"},
		{"a.b/c.d_e", "PCI_RESOURCE_A_B_C_D_E"},
		{"xz-09.io/AZaz", "PCI_RESOURCE_XZ-09_IO_AZAZ"},
	};
	struct arena a;

	arena_init(&a, MiB);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_str(resource_pci_variable(rows[i].name, &a), rows[i].variable);
	}
	arena_finish(&a);
}

TESTS({"names that a device plugin may register", names}, {"as long as names may be", lengths},
      {"names made from words are taken", made_names},
      {"the variable that virt-launcher looks for", variables}, )
