// SPDX-License-Identifier: GPL-2.0
/*
 * nvfake: emulated PCI devices (QEMU's bochs-display, nvme, ...) become NVIDIA
 * GPUs in the eyes of this kernel, and of nothing else.
 *
 *   mask=0000:01:00.0=10de:26b9:030200,0000:01:00.1=10de:22ba:040300
 *     overlays the config space of these functions (vendor, device, class,
 *     the VF device id in the SR-IOV capability, class and subsystem of the
 *     VFs), takes the device off the bus and scans it again. sysfs, uevents,
 *     modalias, driver matching, /sys/.../config (libpci) and vfio all see the
 *     new ids.
 *     0000:03:00.0/1b36:0005=10de:1db6:030200  only if the card has these ids
 *     by nature: for a slot, which may be empty now
 *   driver=0   no driver called "nvidia"
 *   nodes=1    character devices of major 195, a minor a card, which
 *              gpus/ADDRESS/information tells; whoever has one open uses the
 *              card: unbindLock is refused, and an unbind waits, for ever
 *   vgpu=mdev  the "nvidia" driver registers mdev parents with nvidia-<id>
 *              types: on the GPU itself, or on each VF if it has SR-IOV
 *   vgpu=vfio  each VF is a vfio device and has nvidia/creatable_vgpu_types,
 *              nvidia/current_vgpu_type and four more
 *   card=0000:02:00.0=vfio:mixed,0000:81:00.0=mdev:only=A2
 *     for this card, other than vgpu= and hetero= say; words between colons:
 *     none mdev vfio     its face
 *     equal mixed mig    vGPUs of one size, of several, or in GPU instances
 *     gi=1-10C           with mig: it has a GPU instance as type ...-1-10C
 *                        needs it; once for each
 *     only=A2-           only types with this in their name
 *   ready_ms=1000  after the driver got a card it does nothing so long
 *   types=1155:L40S-4Q:4,...   id:name:GiB for all cards, instead of
 *              NVIDIA's (nvfake_types.tsv); fb=48 GiB per GPU
 *   hetero=1   mixed sizes on each card
 *   taken_errno=1  what writing a type to a VF that has one gives (5, EIO)
 *
 * The rules are in nvfake_rm.h. sriov_numvfs is not for writing: the driver has
 * no sriov_configure, as NVIDIA's; sriov-manage makes the VFs, in the same way
 * (unbindLock, pci-pf-stub). /proc/driver/nvidia/gpus/ADDRESS/control is what
 * nvidia-smi would be for: reading tells the state, and it takes
 *   shm 0|1    mixed sizes (EBUSY once there is a vGPU; off when rebound)
 *   mig 0|1    (EBUSY once there is a vGPU, 0 also while there are VFs)
 *   cgi 1-10C  makes a GPU instance;  dgi  removes all
 *   ready      it is ready now (ready_ms)
 */
#include <linux/delay.h>
#include <linux/mdev.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/version.h>
#include <linux/vfio.h>
#include <linux/vfio_pci_core.h>
#include "nvfake_rm.h"
#include "nvfake_types.h"

static char *mask[32], *types[32], *card[32], *vgpu = "none";
static int nmask, ntypes, ncard, fb = 48, hetero, driver = 1, ready_ms = 1000, taken_errno = EIO, nodes;
module_param_array(mask, charp, &nmask, 0444);
module_param_array(types, charp, &ntypes, 0444);
module_param_array(card, charp, &ncard, 0444);
module_param(vgpu, charp, 0444);
module_param(fb, int, 0444);
module_param(driver, int, 0444);
module_param(nodes, int, 0444);
module_param(hetero, int, 0444);
module_param(ready_ms, int, 0644);
module_param(taken_errno, int, 0644);

/* ---- config space overlay ------------------------------------------- */
struct rule {
	u32 dom, bus, devfn, real, id, class;
	int sriov;
	bool on;
};
struct hook {
	struct pci_ops ops, *old;
	struct pci_bus *bus;
};
static struct rule rules[32];
static struct hook hooks[32];
static int nhooks;

static int nv_read(struct pci_bus *b, unsigned int devfn, int where, int size, u32 *val)
{
	struct hook *h = container_of(b->ops, struct hook, ops);
	int i, r, a = where & ~3;
	struct rule *me = NULL, *pf = NULL;
	u32 v, real = 0;

	for (i = 0; i < nmask; i++) {
		struct rule *q = rules + i;
		if (!q->on || q->dom != pci_domain_nr(b) || q->bus != b->number) {
			continue;
		}
		if (q->devfn == devfn) {
			if (q->real && !real) {
				h->old->read(b, devfn, PCI_VENDOR_ID, 4, &real);
			}
			if (!q->real || q->real == real) {
				me = q;
			}
		} else if (q->sriov) {
			pf = q;
		}
	}
	if ((!me && !pf) || !(a == PCI_VENDOR_ID || a == PCI_CLASS_REVISION ||
			      (!me && a == PCI_SUBSYSTEM_VENDOR_ID) ||
			      (me && me->sriov && a == me->sriov + 0x18))) {
		return h->old->read(b, devfn, where, size, val);
	}
	r = h->old->read(b, devfn, a, 4, &v);
	if (r || v == ~0u) {
		goto out;
	}
	if (a == PCI_VENDOR_ID) {
		if (me) {
			v = me->id;
		}
	} else if (a == PCI_CLASS_REVISION) {
		v = (v & 0xff) | (me ? me : pf)->class << 8;
	} else if (a == PCI_SUBSYSTEM_VENDOR_ID) {
		v = PCI_VENDOR_ID_NVIDIA; /* a VF's: 10de:0000 */
	} else {
		v = (v & 0xffff) | (me->id & 0xffff0000); /* VF device id */
	}
out:
	*val = size == 4 ? v : (v >> (8 * (where & 3))) & ((1u << (8 * size)) - 1);
	return r;
}

static int hook_bus(struct pci_bus *b)
{
	int i;
	for (i = 0; i < nhooks; i++) {
		if (hooks[i].bus == b) {
			return 0;
		}
	}
	hooks[nhooks].bus = b;
	hooks[nhooks].ops = *b->ops;
	hooks[nhooks].ops.read = nv_read;
	hooks[nhooks].old = pci_bus_set_ops(b, &hooks[nhooks].ops);
	nhooks++;
	return 0;
}

/* The kernel does not survive a card that goes while it has VFs, and our driver leaves them, as NVIDIA's does. */
static int card_goes(struct notifier_block *nb, unsigned long event, void *dev)
{
	struct pci_dev *d = to_pci_dev(dev);
	int i;

	for (i = 0; event == BUS_NOTIFY_DEL_DEVICE && d->is_physfn && i < nmask; i++) {
		struct rule *q = rules + i;
		if (q->on && q->dom == pci_domain_nr(d->bus) && q->bus == d->bus->number &&
		    q->devfn == d->devfn && pci_num_vf(d)) {
			pci_disable_sriov(d);
		}
	}
	return NOTIFY_DONE;
}
static struct notifier_block card_notifier = {.notifier_call = card_goes};

static void remask(bool on)
{
	int i;
	for (i = 0; i < nmask; i++) {
		struct rule *q = rules + i;
		struct pci_dev *d = pci_get_domain_bus_and_slot(q->dom, q->bus, q->devfn);
		if (d && d->is_physfn && pci_num_vf(d)) {
			pci_disable_sriov(d);
		}
		pci_dev_put(d);
	}
	pci_lock_rescan_remove();
	for (i = 0; i < nmask; i++) {
		struct rule *q = rules + i;
		struct pci_bus *b = pci_find_bus(q->dom, q->bus);
		struct pci_dev *d = pci_get_domain_bus_and_slot(q->dom, q->bus, q->devfn);
		if (!b) {
			pr_warn("nvfake: no bus for %s\n", mask[i]);
			continue;
		}
		if (on && d) {
			q->sriov = pci_find_ext_capability(d, PCI_EXT_CAP_ID_SRIOV);
		}
		if (on) {
			hook_bus(b);
		}
		q->on = on;
		if (!d) {
			continue;
		}
		pci_stop_and_remove_bus_device(d);
		pci_dev_put(d);
	}
	if (!on) {
		for (i = 0; i < nhooks; i++) {
			pci_bus_set_ops(hooks[i].bus, hooks[i].old);
		}
		msleep(20); /* who reads config space takes no lock: let them leave nv_read */
	}
	for (i = 0; i < nhooks; i++) {
		pci_rescan_bus(hooks[i].bus);
	}
	pci_unlock_rescan_remove();
}

/* ---- GPUs and their functions ------------------------------------------ */
enum face { NONE, MDEV, VFIO };
struct gpu { /* as long as the module, so that what survives a driver's change does */
	struct list_head l;
	char name[16];
	struct pci_dev *pf; /* while the driver has it */
	enum face face;
	const char *words; /* of card= */
	bool mixed;	   /* at each start */
	bool locked;	   /* by unbindLock: nobody may open anything */
	int open;	   /* devices that somebody has open */
	int minor, users;  /* of its node */
	unsigned long ready_at;
	struct rm_gpu rm;
	struct proc_dir_entry *proc;
};
struct fn { /* a PF or VF bound to "nvidia" */
	struct list_head l;
	struct pci_dev *pdev;
	struct gpu *gpu;
	bool attached;
	bool open, warm;
	char params[1024];
	struct rm_vgpu v; /* vendor VFIO */
	struct vfio_pci_core_device *core;
	bool mdev;
	struct mdev_parent parent;
	struct mdev_type mt[RM_TYPES], *pmt[RM_TYPES];
	char number[RM_TYPES][8];
};
static struct rm_type own[32];
static LIST_HEAD(gpus);
static LIST_HEAD(fnlist);
static DEFINE_MUTEX(lock);  /* all of the above, never while something is registered or removed */
static DEFINE_MUTEX(faces); /* who registers and removes */

static struct fn *fn_of(struct device *d)
{
	struct fn *f;
	list_for_each_entry(f, &fnlist, l) if (&f->pdev->dev == d) return f;
	return NULL;
}

/* Calls with each word of a card's, until one says no. */
static int each_word(struct gpu *g, int (*call)(struct gpu *, const char *))
{
	char *copy = kstrdup(g->words ?: "", GFP_KERNEL), *rest = copy, *w;
	int r = 0;

	while (copy && !r && (w = strsep(&rest, ":"))) {
		r = *w ? call(g, w) : 0;
	}
	kfree(copy);
	return r;
}
static int word_says(struct gpu *g, const char *w)
{
	if (!strcmp(w, "none") || !strcmp(w, "mdev") || !strcmp(w, "vfio")) {
		g->face = *w == 'n' ? NONE : *w == 'm' ? MDEV : VFIO;
	} else if (!strcmp(w, "mig")) {
		g->rm.mig = true;
	} else if (!strcmp(w, "equal") || !strcmp(w, "mixed")) {
		g->mixed = *w == 'm';
	} else if (strncmp(w, "gi=", 3) && strncmp(w, "only=", 5)) {
		pr_err("nvfake: %s: no such word: %s\n", g->name, w);
		return -EINVAL;
	}
	return 0;
}
static int word_only(struct gpu *g, const char *w)
{
	int i, n = 0;

	if (strncmp(w, "only=", 5)) {
		return 0;
	}
	for (i = 0; i < g->rm.types; i++) {
		if (strstr(g->rm.type[i]->name, w + 5)) {
			g->rm.type[n++] = g->rm.type[i];
		}
	}
	g->rm.types = n;
	return 0;
}
static int word_instance(struct gpu *g, const char *w)
{
	if (!strncmp(w, "gi=", 3) && rm_make_instance(&g->rm, w + 3)) {
		pr_err("nvfake: %s: no room for %s\n", g->name, w);
	}
	return 0;
}

static void know_types(struct gpu *g, u16 device)
{
	int i;

	g->rm.device = device;
	g->rm.types = 0;
	for (i = 0; i < ntypes; i++) {
		g->rm.type[g->rm.types++] = own + i;
	}
	for (i = 0; !ntypes && i < ARRAY_SIZE(rm_types); i++) {
		if (rm_types[i].device == device && g->rm.types < RM_TYPES) {
			g->rm.type[g->rm.types++] = rm_types + i;
		}
	}
	each_word(g, word_only);
}

static struct gpu *gpu_of(struct pci_dev *pf)
{
	static int minors;
	struct gpu *g;
	int i;

	list_for_each_entry(g, &gpus, l) if (!strcmp(g->name, pci_name(pf))) return g;
	g = kzalloc(sizeof *g, GFP_KERNEL);
	if (!g) {
		return NULL;
	}
	strscpy(g->name, pci_name(pf), sizeof g->name);
	g->minor = minors++;
	g->face = !strcmp(vgpu, "mdev") ? MDEV : !strcmp(vgpu, "vfio") ? VFIO : NONE;
	g->mixed = hetero;
	for (i = 0; i < ncard; i++) {
		size_t n = strlen(g->name);
		if (!strncmp(card[i], g->name, n) && card[i][n] == '=') {
			g->words = card[i] + n + 1;
		}
	}
	each_word(g, word_says);
	list_add(&g->l, &gpus);
	return g;
}

/* What the driver does when it gets a card: all that ran on it before is forgotten. */
static void gpu_start(struct gpu *g, struct pci_dev *pf)
{
	if (g->rm.device != pf->device || !g->rm.types) {
		know_types(g, pf->device);
	}
	rm_start(&g->rm);
	if (ntypes) {
		g->rm.region = min(fb, RM_REGION);
	}
	g->rm.mixed = g->mixed;
	if (g->rm.mig) {
		each_word(g, word_instance);
	}
	g->locked = false;
	g->ready_at = jiffies + msecs_to_jiffies(ready_ms);
	g->pf = pf;
}

/* The resource manager as it is now. */
static struct rm_gpu *rm(struct gpu *g)
{
	g->rm.ready = g->pf && time_after_eq(jiffies, g->ready_at);
	g->rm.sriov = g->pf && pci_num_vf(g->pf);
	return &g->rm;
}
static int function(struct fn *f)
{
	return f->pdev->is_virtfn ? pci_iov_vf_id(f->pdev) : -1;
}
static int create(struct fn *f, unsigned int id, struct rm_vgpu *v)
{
	int status = rm_create(rm(f->gpu), id, function(f), v);

	if (!status) {
		return 0;
	}
	pr_err("NVRM: Failed to add vgpu create request: 0x%x\n", status);
	return -EIO;
}

/* What each open of a vGPU goes through: not while unbindLock is held. Under the lock. */
static int opened(struct gpu *g)
{
	if (g->locked) {
		return -EBUSY;
	}
	g->open++;
	return 0;
}

/* ---- mdev ------------------------------------------------------------- */
struct vdev {
	struct vfio_device vdev;
	struct fn *fn;
	struct rm_vgpu v;
	bool open;
	char params[1024];
};
static long vd_ioctl(struct vfio_device *v, unsigned int cmd, unsigned long arg)
{
	struct vfio_device_info i;
	if (cmd == VFIO_DEVICE_RESET) {
		return 0;
	}
	if (cmd != VFIO_DEVICE_GET_INFO) {
		return -ENOTTY;
	}
	memset(&i, 0, sizeof i);
	i.argsz = sizeof i;
	i.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	return copy_to_user((void __user *)arg, &i, offsetofend(struct vfio_device_info, num_irqs))
		       ? -EFAULT
		       : 0;
}
static int vd_open(struct vfio_device *v)
{
	struct vdev *d = container_of(v, struct vdev, vdev);
	int r;

	mutex_lock(&lock);
	r = opened(d->fn->gpu);
	d->open = !r;
	mutex_unlock(&lock);
	return r;
}
static void vd_close(struct vfio_device *v)
{
	struct vdev *d = container_of(v, struct vdev, vdev);

	mutex_lock(&lock);
	d->open = false;
	d->fn->gpu->open--;
	mutex_unlock(&lock);
}
static void vd_release(struct vfio_device *v)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
	vfio_free_device(v);
#endif
}
static const struct vfio_device_ops vd_ops = {
	.name = "nvidia-vgpu-vfio",
	.open_device = vd_open,
	.close_device = vd_close,
	.ioctl = vd_ioctl,
	.release = vd_release,
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	.bind_iommufd = vfio_iommufd_emulated_bind,
	.unbind_iommufd = vfio_iommufd_emulated_unbind,
	.attach_ioas = vfio_iommufd_emulated_attach_ioas,
	.detach_ioas = vfio_iommufd_emulated_detach_ioas,
#endif
};
static struct fn *fn_of_type(struct mdev_type *m)
{
	return container_of(m->parent, struct fn, parent);
}
static const struct rm_type *rm_type_of(struct mdev_type *m)
{
	struct fn *f = fn_of_type(m);
	return f->gpu->rm.type[m - f->mt];
}
static int md_probe(struct mdev_device *m)
{
	struct fn *f = fn_of_type(m->type);
	struct vdev *v;
	int r;

	v = vfio_alloc_device(vdev, vdev, &m->dev, &vd_ops);
	r = PTR_ERR_OR_ZERO(v);
	if (r) {
		return r;
	}
	v->fn = f;
	mutex_lock(&lock);
	r = create(f, rm_type_of(m->type)->id, &v->v);
	mutex_unlock(&lock);
	if (r) {
		goto put;
	}
	dev_set_drvdata(&m->dev, v);
	r = vfio_register_emulated_iommu_dev(&v->vdev);
	if (!r) {
		return 0;
	}
	mutex_lock(&lock);
	rm_delete(&f->gpu->rm, &v->v);
	mutex_unlock(&lock);
put:
	vfio_put_device(&v->vdev);
	return r;
}
static void md_remove(struct mdev_device *m)
{
	struct vdev *v = dev_get_drvdata(&m->dev);

	vfio_unregister_group_dev(&v->vdev); /* waits for the user to close */
	mutex_lock(&lock);
	rm_delete(&v->fn->gpu->rm, &v->v);
	mutex_unlock(&lock);
	dev_set_drvdata(&m->dev, NULL);
	vfio_put_device(&v->vdev);
}
static unsigned int md_avail(struct mdev_type *m)
{
	struct fn *f = fn_of_type(m);
	unsigned int n;

	mutex_lock(&lock);
	n = rm_listed(rm(f->gpu), rm_type_of(m), function(f));
	mutex_unlock(&lock);
	return n;
}
static ssize_t md_desc(struct mdev_type *m, char *buf)
{
	const struct rm_type *t = rm_type_of(m);

	return sysfs_emit(
		buf,
		"num_heads=%d, frl_config=%d, framebuffer=%dM, max_resolution=%dx%d, max_instance=%d\n",
		t->heads, t->limit, t->fb, t->x, t->y, t->max);
}
static ssize_t params_store(char *params, bool open, const char *buf, size_t n)
{
	if (open) {
		return -EPERM;
	}
	snprintf(params, n, "%s", buf); /* without its last byte, the newline */
	return n;
}
static ssize_t md_params_show(struct device *d, struct device_attribute *a, char *buf)
{
	struct vdev *v = dev_get_drvdata(d);
	return v ? sysfs_emit(buf, "%s\n", v->params) : -ENXIO;
}
static ssize_t md_params_store(struct device *d, struct device_attribute *a, const char *buf,
			       size_t n)
{
	struct vdev *v = dev_get_drvdata(d);
	return n > sizeof v->params ? -E2BIG
	       : v		    ? params_store(v->params, v->open, buf, n)
				    : -ENXIO;
}
static struct device_attribute md_attr_params =
	__ATTR(vgpu_params, 0644, md_params_show, md_params_store);
static ssize_t vm_name_show(struct device *d, struct device_attribute *a, char *buf)
{
	return dev_get_drvdata(d) ? sysfs_emit(buf, "\n") : -ENXIO;
}
static DEVICE_ATTR_RO(vm_name);
static struct attribute *md_attrs[] = {&md_attr_params.attr, &dev_attr_vm_name.attr, NULL};
static const struct attribute_group md_group = {.name = "nvidia", .attrs = md_attrs};
static const struct attribute_group *md_groups[] = {&md_group, NULL};
static struct mdev_driver md_driver = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.probe = md_probe,
	.remove = md_remove,
	.get_available = md_avail,
	.show_description = md_desc,
	.driver = {.name = "nvidia-vgpu-vfio",
		   .owner = THIS_MODULE,
		   .mod_name = KBUILD_MODNAME,
		   .dev_groups = md_groups},
};

/* ---- vendor-specific VFIO: <VF>/nvidia/ -------------------------------- */
static int core_open(struct vfio_device *v)
{
	struct vfio_pci_core_device *c = container_of(v, struct vfio_pci_core_device, vdev);
	struct fn *f;
	int r = -ENODEV;

	mutex_lock(&lock);
	f = fn_of(&c->pdev->dev);
	if (f && f->v.type) {
		r = opened(f->gpu);
		f->open = !r;
	}
	mutex_unlock(&lock);
	if (r) {
		return r;
	}
	r = vfio_pci_core_enable(c);
	if (!r) {
		vfio_pci_core_finish_enable(c);
		return 0;
	}
	mutex_lock(&lock);
	f->open = false;
	f->gpu->open--;
	mutex_unlock(&lock);
	return r;
}
static void core_close(struct vfio_device *v)
{
	struct vfio_pci_core_device *c = container_of(v, struct vfio_pci_core_device, vdev);
	struct fn *f;

	vfio_pci_core_close_device(v);
	mutex_lock(&lock);
	f = fn_of(&c->pdev->dev);
	f->open = false;
	f->gpu->open--;
	mutex_unlock(&lock);
}
static const struct vfio_device_ops core_ops = {
	.name = "nvidia-vfio-pci",
	.init = vfio_pci_core_init_dev,
	.release = vfio_pci_core_release_dev,
	.open_device = core_open,
	.close_device = core_close,
	.ioctl = vfio_pci_core_ioctl,
	.device_feature = vfio_pci_core_ioctl_feature,
	.read = vfio_pci_core_read,
	.write = vfio_pci_core_write,
	.mmap = vfio_pci_core_mmap,
	.request = vfio_pci_core_request,
	.match = vfio_pci_core_match,
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	.bind_iommufd = vfio_iommufd_physical_bind,
	.unbind_iommufd = vfio_iommufd_physical_unbind,
	.attach_ioas = vfio_iommufd_physical_attach_ioas,
	.detach_ioas = vfio_iommufd_physical_detach_ioas,
#endif
};
static int set_type(struct fn *f, unsigned int id)
{
	if (id && f->v.type) {
		pr_err("NVRM: Failed to add vgpu create request: 0x%x\n", RM_INVALID_OPERATION);
		return -taken_errno;
	}
	if (id) {
		f->params[0] = 0;
		f->warm = false;
		return create(f, id, &f->v);
	}
	if (!f->v.type || f->open) {
		return -EPERM;
	}
	rm_delete(&f->gpu->rm, &f->v);
	return 0;
}

static ssize_t creatable_vgpu_types_show(struct device *d, struct device_attribute *a, char *buf)
{
	struct fn *f;
	int i, o = 0;

	mutex_lock(&lock);
	f = fn_of(d);
	o += sysfs_emit_at(buf, o, "ID    : vGPU Name\n");
	for (i = 0; f && i < f->gpu->rm.types; i++) {
		const struct rm_type *t = f->gpu->rm.type[i];
		if (rm_listed(rm(f->gpu), t, function(f))) {
			o += sysfs_emit_at(buf, o, "%-5d : %s\n", t->id, t->name);
		}
	}
	mutex_unlock(&lock);
	return o;
}
static ssize_t current_vgpu_type_show(struct device *d, struct device_attribute *a, char *buf)
{
	struct fn *f;
	int id;

	mutex_lock(&lock);
	f = fn_of(d);
	id = f && f->v.type ? f->v.type->id : 0;
	mutex_unlock(&lock);
	return sysfs_emit(buf, "%d\n", id);
}
static ssize_t current_vgpu_type_store(struct device *d, struct device_attribute *a,
				       const char *buf, size_t n)
{
	struct fn *f;
	long id;
	int r = kstrtol(buf, 10, &id);

	if (r) {
		return r;
	}
	mutex_lock(&lock);
	f = fn_of(d);
	r = f ? set_type(f, id) : -ENODEV;
	mutex_unlock(&lock);
	return r ?: n;
}

/* The other files speak of the vGPU, and there is nothing to say while there is none. */
enum about { GPU_INSTANCE_ID, PLACEMENT_ID, VGPU_PARAMS, WARM_UPDATE };
static ssize_t about_show(struct device *d, char *buf, enum about what)
{
	struct fn *f;
	ssize_t r = -ENXIO;

	mutex_lock(&lock);
	f = fn_of(d);
	if (f && f->v.type) {
		switch (what) {
		case GPU_INSTANCE_ID:
			r = sysfs_emit(buf, "%u\n", f->v.instance);
			break;
		case PLACEMENT_ID:
			r = sysfs_emit(buf, "%u\n",
				       f->v.placement == RM_NONE ? 0xffff : f->v.placement);
			break;
		case VGPU_PARAMS:
			r = sysfs_emit(buf, "%s\n", f->params);
			break;
		case WARM_UPDATE:
			r = sysfs_emit(buf, "%d\n", f->warm);
			break;
		}
	}
	mutex_unlock(&lock);
	return r;
}
static ssize_t about_set(struct fn *f, const char *buf, size_t n, enum about what)
{
	unsigned int x;
	int r;

	if (f->open) {
		return -EPERM;
	}
	if (what == VGPU_PARAMS) {
		return params_store(f->params, false, buf, n);
	}
	r = kstrtouint(buf, 10, &x);
	if (r) {
		return r;
	}
	if (what == WARM_UPDATE) {
		f->warm = x;
		return x > 1 ? -EINVAL : n;
	}
	r = what == PLACEMENT_ID ? rm_set_placement(rm(f->gpu), &f->v, x)
				 : rm_set_instance(rm(f->gpu), &f->v, x);
	if (r) {
		pr_err("NVRM: Failed to set %s of a vGPU: 0x%x\n",
		       what == PLACEMENT_ID ? "placement id" : "GPU instance id", r);
	}
	return r ? -EIO : n;
}
static ssize_t about_store(struct device *d, const char *buf, size_t n, enum about what)
{
	struct fn *f;
	ssize_t r = -ENXIO;

	if (n > sizeof f->params) {
		return -E2BIG;
	}
	mutex_lock(&lock);
	f = fn_of(d);
	if (f && f->v.type) {
		r = about_set(f, buf, n, what);
	}
	mutex_unlock(&lock);
	return r;
}
#define ABOUT(name, what)                                                                          \
	static ssize_t name##_show(struct device *d, struct device_attribute *a, char *buf)        \
	{                                                                                          \
		return about_show(d, buf, what);                                                   \
	}                                                                                          \
	static ssize_t name##_store(struct device *d, struct device_attribute *a, const char *buf, \
				    size_t n)                                                      \
	{                                                                                          \
		return about_store(d, buf, n, what);                                               \
	}                                                                                          \
	static struct device_attribute vf_attr_##name = __ATTR_RW(name)
ABOUT(gpu_instance_id, GPU_INSTANCE_ID);
ABOUT(placement_id, PLACEMENT_ID);
ABOUT(warm_update, WARM_UPDATE);
ABOUT(vgpu_params, VGPU_PARAMS);
static DEVICE_ATTR_RW(current_vgpu_type);
static DEVICE_ATTR_RO(creatable_vgpu_types);
static struct attribute *vf_attrs[] = {&dev_attr_creatable_vgpu_types.attr,
				       &dev_attr_current_vgpu_type.attr,
				       &vf_attr_gpu_instance_id.attr,
				       &vf_attr_placement_id.attr,
				       &vf_attr_vgpu_params.attr,
				       &vf_attr_warm_update.attr,
				       NULL};
static const struct attribute_group vf_group = {.name = "nvidia", .attrs = vf_attrs};

/* ---- faces come and go with the PF's driver ----------------------------- */
static int attach_mdev(struct fn *f)
{
	int i, r;

	for (i = 0; i < f->gpu->rm.types; i++) {
		snprintf(f->number[i], sizeof f->number[i], "%d", f->gpu->rm.type[i]->id);
		f->mt[i] = (struct mdev_type){.sysfs_name = f->number[i],
					      .pretty_name = f->gpu->rm.type[i]->name};
		f->pmt[i] = f->mt + i;
	}
	if (!f->gpu->rm.types) {
		return 0;
	}
	r = mdev_register_parent(&f->parent, &f->pdev->dev, &md_driver, f->pmt, f->gpu->rm.types);
	f->mdev = !r;
	return r;
}
static int attach_vfio(struct fn *f)
{
	int r;

	f->core = vfio_alloc_device(vfio_pci_core_device, vdev, &f->pdev->dev, &core_ops);
	if (IS_ERR(f->core)) {
		r = PTR_ERR(f->core);
		f->core = NULL;
		return r;
	}
	dev_set_drvdata(&f->pdev->dev, f->core);
	r = vfio_pci_core_register_device(f->core);
	if (r) {
		goto put;
	}
	r = sysfs_create_group(&f->pdev->dev.kobj, &vf_group);
	if (!r) {
		return 0;
	}
	vfio_pci_core_unregister_device(f->core);
put:
	vfio_put_device(&f->core->vdev);
	dev_set_drvdata(&f->pdev->dev, NULL);
	f->core = NULL;
	return r;
}
static int attach(struct fn *f)
{
	int r = 0;

	if (f->attached) {
		return 0;
	}
	if (f->gpu->face == MDEV && (f->pdev->is_virtfn || !pci_sriov_get_totalvfs(f->pdev))) {
		r = attach_mdev(f);
	} else if (f->gpu->face == VFIO && f->pdev->is_virtfn) {
		r = attach_vfio(f);
	}
	f->attached = !r;
	return r;
}
static void detach(struct fn *f) /* waits for the user to close */
{
	if (f->mdev) {
		mdev_unregister_parent(&f->parent);
		f->mdev = false;
	}
	if (f->core) {
		vfio_pci_core_unregister_device(f->core);
		sysfs_remove_group(&f->pdev->dev.kobj, &vf_group);
		mutex_lock(&lock);
		if (f->v.type) {
			rm_delete(&f->gpu->rm, &f->v);
		}
		mutex_unlock(&lock);
		vfio_put_device(&f->core->vdev);
		dev_set_drvdata(&f->pdev->dev, NULL);
		f->core = NULL;
	}
	f->attached = false;
}

/* ---- /proc/driver/nvidia/gpus/ADDRESS ----------------------------------- */
static struct proc_dir_entry *proc_gpus;
static int lock_show(struct seq_file *s, void *unused)
{
	struct gpu *g = s->private;

	seq_printf(s, "%d\n", g->locked);
	return 0;
}
static int control_show(struct seq_file *s, void *unused)
{
	struct gpu *g = s->private;
	struct rm_gpu *r;
	int i;

	mutex_lock(&lock);
	r = rm(g);
	seq_printf(
		s,
		"face %s\nready %d\nmixed %d\nmig %d\ncreated %u\nopen %d\ntypes %d\nregion %u\n",
		g->face == MDEV	  ? "mdev"
		: g->face == VFIO ? "vfio"
				  : "none",
		r->ready, r->mixed, r->mig, r->created, g->open, r->types, r->region);
	for (i = 0; i < r->instances; i++) {
		seq_printf(s, "instance %u %s %u\n", r->instance[i].id, r->instance[i].kind,
			   r->instance[i].n);
	}
	mutex_unlock(&lock);
	return 0;
}
static int obey(struct gpu *g, const char *order)
{
	struct rm_gpu *r = rm(g);
	int status;

	if (!strcmp(order, "shm 0") || !strcmp(order, "shm 1")) {
		if (r->created) {
			return -EBUSY;
		}
		r->mixed = order[4] == '1';
	} else if (!strcmp(order, "mig 0") || !strcmp(order, "mig 1")) {
		if (r->created || (order[4] == '0' && r->sriov)) {
			return -EBUSY;
		}
		r->mig = order[4] == '1';
		r->instances = 0;
	} else if (!strcmp(order, "ready")) {
		g->ready_at = jiffies;
	} else if (!strcmp(order, "dgi")) {
		if (r->created) {
			return -EBUSY;
		}
		r->instances = 0;
	} else if (!strncmp(order, "cgi ", 4)) {
		status = rm_make_instance(r, order + 4);
		return status == RM_INSUFFICIENT_RESOURCES ? -ENOSPC : status ? -EINVAL : 0;
	} else {
		return -EINVAL;
	}
	return 0;
}
static ssize_t take_order(struct file *file, const char __user *buf, size_t n, char *order)
{
	if (n > 31) {
		return -EINVAL;
	}
	if (copy_from_user(order, buf, n)) {
		return -EFAULT;
	}
	order[n] = 0;
	strim(order);
	return n;
}
static ssize_t control_write(struct file *file, const char __user *buf, size_t n, loff_t *pos)
{
	struct gpu *g = pde_data(file_inode(file));
	char order[32];
	ssize_t r = take_order(file, buf, n, order);
	int said;

	if (r < 0) {
		return r;
	}
	mutex_lock(&lock);
	said = obey(g, order);
	mutex_unlock(&lock);
	return said ?: r;
}
/* The handshake of who wants to unbind a card: 1 is taken only while nobody uses it, so it is to be read back. */
static ssize_t lock_write(struct file *file, const char __user *buf, size_t n, loff_t *pos)
{
	struct gpu *g = pde_data(file_inode(file));
	char order[32];
	ssize_t r = take_order(file, buf, n, order);

	if (r < 0) {
		return r;
	}
	mutex_lock(&lock);
	g->locked = !strcmp(order, "1") && !g->open && !g->users;
	mutex_unlock(&lock);
	return r;
}
static int lock_open(struct inode *i, struct file *f)
{
	return single_open(f, lock_show, pde_data(i));
}
static int control_open(struct inode *i, struct file *f)
{
	return single_open(f, control_show, pde_data(i));
}
static const struct proc_ops lock_ops = {.proc_open = lock_open,
					 .proc_read = seq_read,
					 .proc_write = lock_write,
					 .proc_lseek = seq_lseek,
					 .proc_release = single_release};
static const struct proc_ops control_ops = {.proc_open = control_open,
					    .proc_read = seq_read,
					    .proc_write = control_write,
					    .proc_lseek = seq_lseek,
					    .proc_release = single_release};

/* ---- nodes --------------------------------------------------------------- */
#define NODES_MAJOR 195
static int information_show(struct seq_file *s, void *unused)
{
	struct gpu *g = s->private;

	seq_printf(s, "Model: \t\t NVIDIA Fake\nBus Location: \t %s\nDevice Minor: \t %d\n", g->name,
		   g->minor);
	return 0;
}
static int node_open(struct inode *i, struct file *f)
{
	struct gpu *g, *found = NULL;

	mutex_lock(&lock);
	list_for_each_entry(g, &gpus, l)
	{
		if (g->minor == iminor(i) && g->pf && !g->locked) {
			found = g;
		}
	}
	if (found) {
		found->users++;
		f->private_data = found;
	}
	mutex_unlock(&lock);
	return found ? 0 : -EIO;
}
static int node_release(struct inode *i, struct file *f)
{
	struct gpu *g = f->private_data;

	mutex_lock(&lock);
	g->users--;
	mutex_unlock(&lock);
	return 0;
}
static const struct file_operations node_ops = {
	.owner = THIS_MODULE, .open = node_open, .release = node_release};
/* As NVIDIA's remove: with the lock of the device, for as long as it takes. */
static void wait_for_users(struct gpu *g)
{
	while (READ_ONCE(g->users)) {
		pr_info("NVRM: Attempting to remove device %s with non-zero usage count!\n", g->name);
		msleep(500);
	}
}

/* ---- the "nvidia" PCI driver ------------------------------------------ */
static void with_functions(struct gpu *g, void (*call)(struct fn *))
{
	struct fn *f;

	/* Only who holds "faces" changes the list. */
	list_for_each_entry(f, &fnlist, l) if (f->gpu == g && f->pdev->is_virtfn) call(f);
}
static void revive(struct fn *f)
{
	if (attach(f)) {
		pr_err("nvfake: %s: no face\n", pci_name(f->pdev));
	}
}
static void pf_comes(struct gpu *g, struct pci_dev *p)
{
	mutex_lock(&lock);
	gpu_start(g, p);
	mutex_unlock(&lock);
	g->proc = proc_mkdir(g->name, proc_gpus);
	if (g->proc) {
		proc_create_data("unbindLock", 0644, g->proc, &lock_ops, g);
		proc_create_data("control", 0644, g->proc, &control_ops, g);
		if (nodes) {
			proc_create_single_data("information", 0444, g->proc, information_show, g);
		}
	}
	with_functions(g, revive);
}
static void pf_goes(struct gpu *g)
{
	with_functions(g, detach);
	proc_remove(g->proc);
	g->proc = NULL;
	mutex_lock(&lock);
	g->pf = NULL;
	g->locked = false;
	mutex_unlock(&lock);
}
static int nv_probe(struct pci_dev *p, const struct pci_device_id *id)
{
	struct fn *f = kvzalloc(sizeof *f, GFP_KERNEL);
	int r = 0;

	if (!f) {
		return -ENOMEM;
	}
	f->pdev = p;
	if (p->is_virtfn) {
		p->hdr_type = PCI_HEADER_TYPE_NORMAL;
	}
	mutex_lock(&faces);
	mutex_lock(&lock);
	f->gpu = gpu_of(pci_physfn(p));
	if (f->gpu) {
		list_add(&f->l, &fnlist);
	} else {
		r = -ENOMEM;
	}
	mutex_unlock(&lock);
	if (!r && !p->is_virtfn) {
		pf_comes(f->gpu, p);
	}
	if (!r && f->gpu->pf) {
		r = attach(f);
	}
	if (r && f->gpu) {
		if (!p->is_virtfn) {
			pf_goes(f->gpu);
		}
		mutex_lock(&lock);
		list_del(&f->l);
		mutex_unlock(&lock);
	}
	mutex_unlock(&faces);
	if (r) {
		kvfree(f);
	}
	return r;
}
static void nv_remove(struct pci_dev *p)
{
	struct fn *f;

	mutex_lock(&lock);
	f = fn_of(&p->dev);
	mutex_unlock(&lock);
	if (!p->is_virtfn) {
		wait_for_users(f->gpu);
	}
	mutex_lock(&faces);
	if (!p->is_virtfn) {
		pf_goes(f->gpu);
	}
	detach(f);
	mutex_lock(&lock);
	list_del(&f->l);
	/* vfio-pci's probe on a function that is for vGPUs gives EINVAL: that is what it says of a header it does not know. */
	if (p->is_virtfn && f->gpu->face == VFIO && f->gpu->pf) {
		p->hdr_type = 0x7f;
	}
	mutex_unlock(&lock);
	mutex_unlock(&faces);
	kvfree(f);
}
static const struct pci_device_id ids[] = {{PCI_DEVICE(PCI_VENDOR_ID_NVIDIA, PCI_ANY_ID),
					    .class = PCI_BASE_CLASS_DISPLAY << 16,
					    .class_mask = 0xff0000},
					   {}};
static struct pci_driver nv_driver = {
	.name = "nvidia", .id_table = ids, .probe = nv_probe, .remove = nv_remove};

static int parse_masks(void)
{
	int i;

	for (i = 0; i < nmask; i++) {
		u32 d, b, s, f, v, e, c, rv = 0, re = 0;
		if (sscanf(mask[i], "%x:%x:%x.%x=%x:%x:%x", &d, &b, &s, &f, &v, &e, &c) != 7 &&
		    sscanf(mask[i], "%x:%x:%x.%x/%x:%x=%x:%x:%x", &d, &b, &s, &f, &rv, &re, &v, &e,
			   &c) != 9) {
			return -EINVAL;
		}
		rules[i] = (struct rule){d, b, PCI_DEVFN(s, f), rv | re << 16, v | e << 16, c};
	}
	return 0;
}
static int parse_types(void)
{
	static char names[32][48];
	int i, id, size;
	char name[40];

	for (i = 0; i < ntypes; i++) {
		if (sscanf(types[i], "%d:%39[^:]:%d", &id, name, &size) != 3 || id < 1 ||
		    id > 65535 || size < 1 || size > RM_REGION) {
			return -EINVAL;
		}
		snprintf(names[i], sizeof names[i], "%s%s",
			 !strncmp(name, "NVIDIA", 6) || !strncmp(name, "GRID", 4) ? "" : "NVIDIA ",
			 name);
		own[i] = (struct rm_type){.id = id,
					  .max = max(fb / size, 1),
					  .size = size,
					  .fb = size * 1024,
					  .heads = 4,
					  .limit = 60,
					  .x = 7680,
					  .y = 4320,
					  .instance = "",
					  .name = names[i]};
	}
	return 0;
}
static bool any_vfio(void)
{
	int i;

	for (i = 0; i < ncard; i++) {
		if (strstr(card[i], "vfio")) {
			return true;
		}
	}
	return !strcmp(vgpu, "vfio");
}
static void forget(void)
{
	struct gpu *g, *next;

	proc_remove(proc_gpus);
	list_for_each_entry_safe(g, next, &gpus, l) kfree(g);
}
static int __init nv_init(void)
{
	int r = parse_masks() ?: parse_types();

	if (r) {
		return r;
	}
	nv_driver.driver_managed_dma = any_vfio();
	r = mdev_register_driver(&md_driver);
	if (r) {
		return r;
	}
	if (driver) {
		proc_mkdir("driver/nvidia", NULL);
		proc_gpus = proc_mkdir("driver/nvidia/gpus", NULL);
	}
	if (nodes) {
		r = register_chrdev(NODES_MAJOR, "nvidia", &node_ops);
	}
	r = r ?: driver ? pci_register_driver(&nv_driver) : 0;
	if (r) {
		if (nodes) {
			unregister_chrdev(NODES_MAJOR, "nvidia");
		}
		remove_proc_subtree("driver/nvidia", NULL);
		mdev_unregister_driver(&md_driver);
		return r;
	}
	bus_register_notifier(&pci_bus_type, &card_notifier);
	remask(true);
	return 0;
}
static void __exit nv_exit(void)
{
	if (driver) {
		pci_unregister_driver(&nv_driver);
	}
	if (nodes) {
		unregister_chrdev(NODES_MAJOR, "nvidia");
	}
	mdev_unregister_driver(&md_driver);
	remask(false);
	bus_unregister_notifier(&pci_bus_type, &card_notifier);
	forget();
	if (driver) {
		remove_proc_subtree("driver/nvidia", NULL);
	}
}
module_init(nv_init);
module_exit(nv_exit);
MODULE_LICENSE("GPL");
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
MODULE_IMPORT_NS("IOMMUFD");
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
MODULE_IMPORT_NS(IOMMUFD);
#endif
