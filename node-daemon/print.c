/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/print.h"

#include <inttypes.h>

#include "json/write.h"
#include "json/yaml.h"

#define PRINT_BYTES (16 * MiB)

static const char *text_or(const char *s, const char *otherwise)
{
	return str_empty(s) ? otherwise : s;
}

#define ROW "%-13s %-38s %-11s %-8s %-7s %-7s %-5s %-8s %s\n"

static void print_unit(const struct status_unit *u, struct buf *b)
{
	const struct condition *c = condition_find(&u->conditions, "Available");
	auto_free char *id = xprintf("%s:%s", u->vendor_id, u->device_id);
	auto_free char *group = u->group ? xprintf("%" PRId64, u->group->id) : xstrdup("-");
	auto_free char *numa =
		u->numa_node.set ? xprintf("%" PRId64, u->numa_node.value) : xstrdup("-");
	auto_free char *slots = NULL;
	size_t made = 0;

	list_each(slot, &u->slots) {
		made += slot->type != NULL;
	}
	slots = u->slots.n ? xprintf("%zu/%zu", made, u->slots.n) : xstrdup("-");
	buf_printf(b, ROW, u->id, u->name, id, text_or(u->driver, "-"), u->mode, group, numa, slots,
		   c ? c->reason : "-");
	list_each(f, &u->functions) {
		buf_printf(b, "  %-11s %s %s:%s [%s] driver %s%s%s\n", f->address, f->role,
			   f->vendor_id, f->device_id, f->class_code, text_or(f->driver, "-"),
			   f->description ? "; " : "", text_or(f->description, ""));
	}
	if (c) {
		buf_printf(b, "  Available %s: %s\n", c->status, c->message);
	}
}

static void print_table(const struct status *s, struct buf *b)
{
	if (s->units.n) {
		buf_printf(b, ROW, "UNIT", "NAME", "ID", "DRIVER", "MODE", "GROUP", "NUMA", "SLOTS",
			   "AVAILABLE");
	}
	list_each(u, &s->units) {
		print_unit(u, b);
	}
	list_each(c, &s->conditions) {
		buf_printf(b, "%s %s %s: %s\n", c->type, c->status, c->reason, c->message);
	}
}

int print_status(FILE *out, const struct status *s, const char *node, enum print_format format,
		 struct err *err)
{
	attr_cleanup(buf_finish) struct buf b;
	json_t *object;

	buf_init(&b, PRINT_BYTES);
	if (format == PRINT_TABLE) {
		print_table(s, &b);
	} else {
		object = json_pack("{s:s,s:s,s:{s:s*},s:o}", "apiVersion", "vmgpu.io/v1alpha1",
				   "kind", "GPUNode", "metadata", "name", node, "status",
				   type_json(&status_type, s));
		if (format == PRINT_JSON) {
			auto_free char *text = json_text(object, JSON_INDENT(2));

			buf_str(&b, text);
			buf_char(&b, '\n');
		} else {
			yaml_write(object, &b);
		}
		json_decref(object);
	}
	if (!buf_ok(&b) || fputs(buf_text(&b), out) < 0 || fflush(out) < 0) {
		return err_set(err, "the report could not be printed");
	}
	return 0;
}
