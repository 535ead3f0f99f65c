/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/command.h"
#include "cli/render.h"
#include "json/write.h"
#include "json/yaml.h"

struct settings {
	struct flag_list files, facts;
	const char *ns;
	int output;
	struct options_typed typed;
};

#define AT(member) offsetof(struct settings, member)
static const struct flag flags[] = {
	{"filename", 'f', FLAG_LIST, AT(files), .arg = "FILE",
	 .help = "manifests: a file, a folder, or - for standard input; may be repeated"},
	{"facts", 0, FLAG_LIST, AT(facts), .arg = "FILE",
	 .help = "what the cluster has, as kubectl get -o yaml prints it: GPUNodes, KubeVirt, instance types and preferences, our own objects and what was made of them, "
		 "CustomResourceDefinitions of neighbours (they say which versions to write); may be repeated"},
	{"namespace", 'n', FLAG_STRING, AT(ns), .value = "default", .arg = "NAMESPACE",
	 .help = "of manifests that name none"},
	{"output", 'o', FLAG_CHOICE, AT(output), .value = "yaml", .choices = "yaml|json",
	 .help = "how the objects are printed"},
	{0},
};

static const struct flag_text text = {
	.program = "kubectl vmgpu render",
	.args = "-f FILE [--facts FILE]",
	.about =
		"Prints the objects that the controller would write for some manifests, by the controller's own plans. Needs no cluster; the\n"
		"same input gives the same bytes, so the result can be kept in Git. What is assumed or not acted on is said on standard error.",
	.examples =
		"  kubectl vmgpu render -f vm.yaml -n tenant-a\n"
		"  kubectl get gpunodes,kubevirts,vminstances.apps.cozystack.io,virtualmachines.kubevirt.io -A -o yaml >facts.yaml\n"
		"  kubectl get virtualmachineclusterinstancetypes,virtualmachineclusterpreferences -o yaml >types.yaml\n"
		"  kubectl vmgpu render -f vm.yaml --facts facts.yaml --facts types.yaml |\n"
		"    kubectl diff --server-side --force-conflicts --field-manager=vmgpu -f -",
};

/* Objects, and beside each the file that it is from. */
struct input {
	json_t *objects, *files;
};

static int read_file(const char *path, struct input *into, struct err *err)
{
	json_t *docs = yaml_read_file(path, err);

	if (!docs) {
		return -1;
	}
	json_array_extend(into->objects, docs);
	for (size_t i = json_array_size(docs); i > 0; i--) {
		json_array_append_new(into->files, json_string(path));
	}
	json_decref(docs);
	return 0;
}

static int manifest_name(const struct dirent *d)
{
	return str_ends(d->d_name, ".yaml") || str_ends(d->d_name, ".yml") ||
	       str_ends(d->d_name, ".json");
}

static int read_folder(const char *path, struct input *into, struct err *err)
{
	struct dirent **names;
	int n = scandir(path, &names, manifest_name, alphasort), rc = 0;

	if (n <= 0) {
		free(n == 0 ? names : NULL);
		return err_set(err, "%s: no .yaml, .yml or .json file in this folder", path);
	}
	for (int i = 0; i < n; i++) {
		auto_free char *file = xprintf("%s/%s", path, names[i]->d_name);

		rc = rc < 0 ? rc : read_file(file, into, err);
		free(names[i]);
	}
	free(names);
	return rc;
}

static int read_all(const struct flag_list *paths, struct input *into, struct err *err)
{
	for (size_t i = 0; i < paths->n; i++) {
		struct stat st;
		bool folder = stat(paths->values[i], &st) == 0 && S_ISDIR(st.st_mode);

		if ((folder ? read_folder : read_file)(paths->values[i], into, err) < 0) {
			return -1;
		}
	}
	return 0;
}

static void print(const json_t *objects, const json_t *notes, int output)
{
	json_t *o;
	size_t i;

	json_array_foreach((json_t *)notes, i, o) {
		fprintf(stderr, "# %s\n", json_string_value(o));
	}
	json_array_foreach((json_t *)objects, i, o) {
		attr_cleanup(buf_finish) struct buf out = {.max = 64 * MiB};

		if (output == 1) {
			auto_free char *line = json_text(o, JSON_INDENT(2) | JSON_SORT_KEYS);

			puts(line);
			continue;
		}
		yaml_write(o, &out);
		printf("---\n%s", buf_text(&out));
	}
}

static int check_namespace(const char *ns, struct err *err)
{
	size_t n = strspn(ns, "abcdefghijklmnopqrstuvwxyz0123456789-");

	if (!n || ns[n] || n > 63 || ns[0] == '-' || ns[n - 1] == '-') {
		return err_set(err,
			       "--namespace: \"%s\" is no name of a namespace: it has lower-case "
			       "letters, digits and - between them, 63 at most",
			       ns);
	}
	return 0;
}

static int render_files(const struct settings *s, int args, char **argv)
{
	const struct options o = options_of(&s->typed);
	struct input manifests = {json_array(), json_array()}, facts = {json_array(), json_array()};
	const struct render_input in = {manifests.objects, facts.objects, manifests.files, s->ns,
					&o};
	json_t *objects = NULL, *notes = NULL;
	struct err err = {""};
	int rc = 0;

	if (args || !s->files.n) {
		rc = args ? err_set(&err, "unexpected argument \"%s\": name files with -f", argv[1])
			  : err_set(&err, "say which manifests: -f FILE");
	} else if (check_namespace(s->ns, &err) < 0 || read_all(&s->files, &manifests, &err) < 0 ||
		   read_all(&s->facts, &facts, &err) < 0 ||
		   render(&in, &objects, &notes, &err) < 0) {
		rc = -1;
	}
	if (rc < 0) {
		rc = command_fail("render", &err);
	} else {
		print(objects, notes, s->output);
	}
	json_decref(manifests.objects);
	json_decref(manifests.files);
	json_decref(facts.objects);
	json_decref(facts.files);
	json_decref(objects);
	json_decref(notes);
	return rc;
}

static int run(int argc, char **argv)
{
	struct settings s = {0};
	const struct flag_group groups[] = {
		{"Flags", flags, &s}, {"As the controller has them", options_flags, &s.typed}, {0}};
	int args = 0, r = command_parse(&text, groups, argc, argv, &args);

	if (r < 0) {
		r = render_files(&s, args, argv);
	}
	flag_list_finish(&s.files);
	flag_list_finish(&s.facts);
	return r;
}

const struct command command_render = {
	"render", "print what the controller would write for some manifests, offline", run};
