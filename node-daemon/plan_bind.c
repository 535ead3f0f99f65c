/* SPDX-License-Identifier: Apache-2.0 */
/* The order of the steps is that of nvidia.md 3.3. */
#include "node-daemon/plan_bind.h"

#include <inttypes.h>
#include <string.h>

#include "node-daemon/vgpu.h"

#define VFIO_PCI "vfio-pci"
#define FUNCTION_STEPS 8 /* at most */

struct binder {
	const struct bind_seen *seen;
	struct arena *arena;
	struct bind_plan *ret;
};

/* --- refusals ------------------------------------------------------------------------------ */

enum refusal {
	REFUSED_HOST,
	REFUSED_UNSEEN,
	REFUSED_USED,
	REFUSED_USED_BACK,
	REFUSED_VGPUS,
	REFUSED_NO_VFIO,
};

/* "PLACE says WHAT; remedy" */
static const struct {
	const char *reason, *says, *remedy;
} refusals[] = {
	[REFUSED_HOST] = {"HostDriver", "is on the host's driver ",
			  "whether anybody uses it cannot be seen, so it is only taken once that "
			  "driver is unbound from it"},
	[REFUSED_UNSEEN] = {"HostDriver", "is on the host's driver ",
			    "it is taken once that is seen, or that driver is unbound from it"},
	[REFUSED_USED] = {"InUse", "is used by ", "it is taken when that has ended"},
	[REFUSED_USED_BACK] = {"InUse", "is used by ", "it is given back when that has ended"},
	[REFUSED_VGPUS] = {"VGPUsMade",
			   "carries vGPUs: ", "it is taken as a whole when they are removed"},
	[REFUSED_NO_VFIO] = {"NoVFIO", "is not loaded",
			     "modprobe vfio-pci, and name it in /etc/modules-load.d"},
};

static bool refuse(struct binder *b, const char *reason, const char *message)
{
	b->ret->next = BIND_REFUSED;
	b->ret->why = (struct condition){
		.type = "Available", .status = "False", .reason = reason, .message = message};
	return true;
}

static bool refuse_as(struct binder *b, enum refusal r, const char *place, const char *what)
{
	return refuse(b, refusals[r].reason,
		      arena_printf(b->arena, "%s %s%s; %s", place, refusals[r].says, what,
				   refusals[r].remedy));
}

static const char *place(struct binder *b, const struct pci_function *f)
{
	char text[PCIFN_TEXT_MAX];

	return arena_printf(b->arena, "%s (%s)", pcifn_text(f->address, text), pcifn_role(&f->ids));
}

/* --- functions ----------------------------------------------------------------------------- */

static bool on_vfio(const struct pci_function *f)
{
	return pcifn_driver_is_vfio(f->driver);
}

/* Of the functions of a card that driver has the GPU alone. */
static bool on_nvidia(const struct pci_function *f)
{
	return f->kind == PCI_GPU && str_eq(f->driver, "nvidia");
}

static bool on_host(const struct pci_function *f)
{
	return *f->driver && !on_vfio(f);
}

/* A function that a book lacks is as new as one that was never recorded. */
static struct book_function was(const struct binder *b, const struct pci_function *f)
{
	list_each(item, &b->seen->book->functions) {
		if (item->address == f->address) {
			return *item;
		}
	}
	return (struct book_function){.address = f->address, .driver = f->driver, .override = ""};
}

/* One that we may bind: of the card's board, and not bound by somebody else before. */
static bool may_bind(const struct binder *b, const struct pci_function *f)
{
	return f->kind != PCI_MEMBER && !pcifn_driver_is_vfio(was(b, f).driver);
}

/* One that we may have touched since the machine was started. */
static bool may_be_ours(const struct binder *b, const struct pci_function *f)
{
	return may_bind(b, f) && was(b, f).known;
}

typedef bool function_test(const struct binder *b, const struct pci_function *f);

static const struct pci_function *first(const struct binder *b, function_test *test)
{
	list_each(item, &b->seen->unit->functions) {
		if (test(b, *item)) {
			return *item;
		}
	}
	return NULL;
}

static bool missing_on_vfio(const struct binder *b, const struct pci_function *f)
{
	return may_bind(b, f) && !on_vfio(f);
}

static bool takes_from_host(const struct binder *b, const struct pci_function *f)
{
	return may_bind(b, f) && on_host(f);
}

static bool taken_from_nvidia(const struct binder *b, const struct pci_function *f)
{
	return may_bind(b, f) && on_nvidia(f);
}

static bool unknown(const struct binder *b, const struct pci_function *f)
{
	return may_bind(b, f) && !was(b, f).known;
}

static bool ours_on_vfio(const struct binder *b, const struct pci_function *f)
{
	return may_be_ours(b, f) && on_vfio(f);
}

/* --- steps --------------------------------------------------------------------------------- */

static void add(struct binder *b, enum step_verb verb, const struct pci_function *f,
		const char *value)
{
	struct steps *s = &b->ret->steps;

	if (!s->items) {
		s->items = arena_array(b->arena, struct step,
				       (size_t)FUNCTION_STEPS * b->seen->unit->functions.n);
	}
	s->items[s->n++] = (struct step){verb, f->address, value};
}

static void add_each(struct binder *b, function_test *test, enum step_verb verb, const char *value)
{
	list_each(item, &b->seen->unit->functions) {
		if (test(b, *item)) {
			add(b, verb, *item, value);
		}
	}
}

/* Companions before their GPU, which suspends and resumes with them. */
static void add_unbinds(struct binder *b, function_test *test)
{
	for (size_t i = b->seen->unit->functions.n; i--;) {
		const struct pci_function *f = b->seen->unit->functions.items[i];

		if (test(b, f)) {
			add(b, STEP_UNBIND, f, f->driver);
		}
	}
}

static bool is_gpu(const struct binder *b, const struct pci_function *f)
{
	return may_bind(b, f) && f->kind == PCI_GPU;
}

/* Once for each group of what we bind. */
static void add_groups(struct binder *b)
{
	const struct unit *u = b->seen->unit;

	for (size_t i = 0; i < u->functions.n; i++) {
		const struct pci_function *f = u->functions.items[i];
		bool known = !may_bind(b, f) || f->group < 0;

		for (size_t k = 0; k < i; k++) {
			known |= may_bind(b, u->functions.items[k]) &&
				 u->functions.items[k]->group == f->group;
		}
		if (!known) {
			add(b, STEP_EXPECT_GROUP, f, arena_printf(b->arena, "%" PRId64, f->group));
		}
	}
}

/* --- to vfio-pci --------------------------------------------------------------------------- */

/* The unit as it will be when its own functions have lost the host's drivers and what these make:
 * then only that is left which keeps it from virtual machines anyway. */
static bool hopeless(struct binder *b)
{
	const struct unit *u = b->seen->unit;
	struct unit freed = {.gpus = u->gpus, .group = u->group};
	const struct status_unit nothing = {0};
	struct condition c;

	freed.functions.items = arena_array(b->arena, const struct pci_function *, u->functions.n);
	freed.functions.n = u->functions.n;
	for (size_t i = 0; i < u->functions.n; i++) {
		struct pci_function *f = arena_new(b->arena, struct pci_function);

		*f = *u->functions.items[i];
		if (f->kind != PCI_MEMBER) {
			f->face = VGPU_NONE;
			f->driver = on_host(f) ? "" : f->driver;
		}
		freed.functions.items[i] = f;
		freed.card = u->functions.items[i] == u->card ? f : freed.card;
	}
	unit_available(b->seen->machine, &freed, &nothing, b->arena, &c);
	if (str_eq(c.status, "True")) {
		return false;
	}
	b->ret->next = BIND_REFUSED;
	b->ret->why = c;
	return true;
}

static bool has_vgpus(struct binder *b)
{
	list_each(item, &b->seen->unit->functions) {
		const struct pci_function *f = *item;
		size_t made = vgpu_made(f);

		if (made) {
			return refuse_as(b, REFUSED_VGPUS, place(b, f),
					 arena_printf(b->arena, "%zu", made));
		}
	}
	return false;
}

static bool used_on_host(struct binder *b)
{
	const struct pci_function *f = first(b, takes_from_host);

	if (!f || b->seen->users == BIND_USERS_NONE) {
		return false;
	}
	if (b->seen->users == BIND_USERS_SOME) {
		return refuse_as(b, REFUSED_USED, place(b, f), b->seen->holder);
	}
	if (str_empty(b->seen->holder)) {
		return refuse_as(b, REFUSED_HOST, place(b, f), f->driver);
	}
	return refuse_as(b, REFUSED_UNSEEN, place(b, f),
			 arena_printf(b->arena, "%s, and whether anybody uses it is not known (%s)",
				      f->driver, b->seen->holder));
}

static bool no_vfio(struct binder *b)
{
	return !b->seen->machine->vfio_pci &&
	       refuse_as(b, REFUSED_NO_VFIO, "the kernel's driver " VFIO_PCI, "");
}

static void bind_steps(struct binder *b)
{
	add_each(b, is_gpu, STEP_EXPECT_ALIVE, "");
	add_each(b, taken_from_nvidia, STEP_UNBIND_LOCK,
		 "1");					/* what it refuses has changed nothing */
	add_each(b, may_bind, STEP_OVERRIDE, VFIO_PCI); /* of all, before anything is let go */
	add_unbinds(b, takes_from_host);
	add_each(b, missing_on_vfio, STEP_PROBE, "");
	add_each(b, may_bind, STEP_EXPECT_DRIVER, VFIO_PCI);
	add_groups(b);
	add_each(b, is_gpu, STEP_EXPECT_ALIVE, "");
}

static void to_vfio(struct binder *b)
{
	if (!first(b, missing_on_vfio) && b->seen->book->doing == BOOK_NOTHING) {
		return;
	}
	if (has_vgpus(b) || hopeless(b) || used_on_host(b) || no_vfio(b)) {
		return;
	}
	b->ret->doing = BOOK_BIND;
	if (first(b, unknown)) {
		b->ret->next = BIND_READ;
		add_each(b, unknown, STEP_READ_OVERRIDE, "");
		return;
	}
	b->ret->next = BIND_WRITE;
	bind_steps(b);
}

/* --- back ---------------------------------------------------------------------------------- */

/* What a driver had that has it no more; one that somebody bound to yet another driver is theirs. */
static bool comes_back(const struct binder *b, const struct pci_function *f)
{
	return may_be_ours(b, f) && !on_host(f) && *was(b, f).driver;
}

/* Still on NVIDIA's driver, which may have been asked to let go of it. */
static bool stayed_on_nvidia(const struct binder *b, const struct pci_function *f)
{
	return may_be_ours(b, f) && on_nvidia(f);
}

static bool back_steps(struct binder *b)
{
	add_each(b, stayed_on_nvidia, STEP_UNBIND_LOCK, "0");
	list_each(item, &b->seen->unit->functions) {
		if (may_be_ours(b, *item)) {
			add(b, STEP_OVERRIDE, *item, was(b, *item).override);
		}
	}
	add_unbinds(b, ours_on_vfio);
	add_each(b, comes_back, STEP_PROBE, "");
	list_each(item, &b->seen->unit->functions) {
		if (may_be_ours(b, *item) && !on_host(*item)) {
			add(b, STEP_EXPECT_DRIVER, *item, was(b, *item).driver);
		}
	}
	return b->ret->steps.n > 0;
}

static void to_host(struct binder *b)
{
	const struct pci_function *f = first(b, ours_on_vfio);

	b->ret->doing = BOOK_BACK;
	if (f && b->seen->users == BIND_USERS_SOME) {
		b->ret->doing = BOOK_NOTHING;
		refuse_as(b, REFUSED_USED_BACK, place(b, f), b->seen->holder);
	} else if (back_steps(b)) {
		b->ret->next = BIND_WRITE;
	}
}

/* --- the whole ----------------------------------------------------------------------------- */

/* What is half done is ended one way or the other; else nobody asks for anything. */
static bool goes_back(const struct bind_seen *seen)
{
	return seen->book->whose == BOOK_OURS &&
	       (seen->want != WANT_LEAVE || seen->book->doing != BOOK_NOTHING);
}

void plan_bind(const struct bind_seen *seen, struct arena *a, struct bind_plan *ret)
{
	struct binder b = {seen, a, ret};
	struct bind_plan rest = {.next = BIND_REST, .doing = BOOK_NOTHING};

	*ret = rest;
	if (seen->want == WANT_VFIO && seen->book->whose != BOOK_QUARANTINED) {
		to_vfio(&b);
	} else if (goes_back(seen)) {
		to_host(&b);
	}
	if (seen->book->whose == BOOK_QUARANTINED && seen->want != WANT_LEAVE) {
		refuse(&b, "Quarantined", seen->book->why);
	} else if (!str_empty(seen->refusal) && ret->next > BIND_REFUSED) {
		*ret = rest;
		refuse(&b, "NothingWritten", seen->refusal);
	}
}

void bind_learn(struct book *b, const struct steps *s, const struct steps_heard *heard)
{
	for (size_t i = 0; i < heard->done; i++) {
		list_each(f, &b->functions) {
			if (s->items[i].verb == STEP_READ_OVERRIDE &&
			    f->address == s->items[i].at) {
				f->override = heard->read[i];
				f->known = true;
			}
		}
	}
}
