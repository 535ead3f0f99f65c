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
	int output;
	struct options_typed typed;
};

#define AT(member) offsetof(struct settings, member)
static const struct flag flags[] = {
	{"filename", 'f', FLAG_LIST, AT(files), .arg = "FILE",
	 .help = "manifests: a file, a folder, or - for standard input; may be repeated"},
	{"facts", 0, FLAG_LIST, AT(facts), .arg = "FILE",
	 .help = "what the cluster has, as kubectl get -o yaml prints it: GPUNodes, KubeVirt, instance types, our own objects and what was made of them, "
		 "CustomResourceDefinitions of neighbours (they say which versions to write); may be repeated"},
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
		"  kubectl vmgpu render -f vm.yaml\n"
		"  kubectl get gpunodes,kubevirts,vminstances.apps.cozystack.io,virtualmachines.kubevirt.io -A -o yaml >facts.yaml\n"
		"  kubectl vmgpu render -f vm.yaml --facts facts.yaml |\n"
		"    kubectl diff --server-side --force-conflicts --field-manager=vmgpu -f -",
};

static int read_file(const char *path, json_t *into, struct err *err)
{
	json_t *docs = yaml_read_file(path, err);

	if (!docs) {
		return -1;
	}
	json_array_extend(into, docs);
	json_decref(docs);
	return 0;
}

static int manifest_name(const struct dirent *d)
{
	return str_ends(d->d_name, ".yaml") || str_ends(d->d_name, ".yml") ||
	       str_ends(d->d_name, ".json");
}

static int read_folder(const char *path, json_t *into, struct err *err)
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

static int read_all(const struct flag_list *paths, json_t *into, struct err *err)
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

static int render_files(const struct settings *s, int args, char **argv)
{
	const struct options o = options_of(&s->typed);
	json_t *manifests = json_array(), *facts = json_array(), *objects = NULL, *notes = NULL;
	struct err err = {""};
	int rc = 0;

	if (args || !s->files.n) {
		rc = args ? err_set(&err, "unexpected argument \"%s\": name files with -f", argv[1])
			  : err_set(&err, "say which manifests: -f FILE");
	} else if (read_all(&s->files, manifests, &err) < 0 ||
		   read_all(&s->facts, facts, &err) < 0 ||
		   render(manifests, facts, &o, &objects, &notes, &err) < 0) {
		rc = -1;
	}
	if (rc < 0) {
		rc = command_fail("render", &err);
	} else {
		print(objects, notes, s->output);
	}
	json_decref(manifests);
	json_decref(facts);
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
