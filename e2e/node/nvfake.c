// SPDX-License-Identifier: GPL-2.0
/*
 * nvfake: emulated PCI devices (QEMU's bochs-display, nvme, ...) become NVIDIA
 * GPUs in the eyes of this kernel, and of nothing else.
 *
 *   mask=0000:01:00.0=10de:26b9:030200,0000:01:00.1=10de:22ba:040300
 *     overlays the config space of these functions (vendor, device, class,
 *     the VF device id in the SR-IOV capability, the class of the VFs), takes
 *     the device off the bus and scans it again. sysfs, uevents, modalias,
 *     driver matching, /sys/.../config (libpci) and vfio all see the new ids.
 *     0000:03:00.0/1b36:0005=10de:1db6:030200  only if the card has these ids
 *     by nature: for a slot, which may be empty now
 *   driver=0   no driver called "nvidia"
 *   vgpu=mdev  the "nvidia" driver registers mdev parents with nvidia-<id>
 *              types: on the GPU itself, or on each VF if it has SR-IOV
 *   vgpu=vfio  each VF gets nvidia/creatable_vgpu_types and
 *              nvidia/current_vgpu_type; a VF with a type is a vfio device
 *   types=1155:L40S-4Q:4,...   id:name:framebuffer GiB;  fb=48 GiB per GPU
 *   hetero=1   vGPUs of different framebuffer size may share a GPU
 */
#include <linux/delay.h>
#include <linux/mdev.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/version.h>
#include <linux/vfio.h>
#include <linux/vfio_pci_core.h>

static char *mask[32], *types[32], *vgpu = "none";
static int nmask, ntypes, fb = 48, hetero, driver = 1;
module_param_array(mask, charp, &nmask, 0444);
module_param_array(types, charp, &ntypes, 0444);
module_param(vgpu, charp, 0444);
module_param(fb, int, 0444);
module_param(driver, int, 0444);
module_param(hetero, int, 0644);

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

static void remask(bool on)
{
	int i;
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

/* ---- vGPU state ------------------------------------------------------ */
struct vtype {
	int id, fb;
	char name[40], sysfs[16];
};
static struct vtype vt[32];
struct gpu {
	struct list_head l;
	struct pci_dev *pf;
	int used_fb, n, cur_fb;
};
struct fn { /* a PF or VF bound to "nvidia" */
	struct list_head l;
	struct pci_dev *pdev;
	struct gpu *gpu;
	int n, cur;
	struct vfio_pci_core_device *core;
	bool mdev;
	struct mdev_parent parent;
	struct mdev_type mt[32], *pmt[32];
};
static LIST_HEAD(gpus);
static LIST_HEAD(fnlist);
static DEFINE_MUTEX(lock);

static struct fn *fn_of(struct device *d)
{
	struct fn *f;
	list_for_each_entry(f, &fnlist, l) if (&f->pdev->dev == d) return f;
	return NULL;
}
static int avail(struct fn *f, struct vtype *t)
{
	int n = (fb - f->gpu->used_fb) / t->fb;
	if (!hetero && f->gpu->n && f->gpu->cur_fb != t->fb) {
		return 0;
	}
	if (f->pdev->is_virtfn) {
		return f->n ? 0 : n > 0;
	}
	return n;
}
static void take(struct fn *f, struct vtype *t, int d)
{
	f->n += d;
	f->gpu->n += d;
	f->gpu->used_fb += d * t->fb;
	f->gpu->cur_fb = t->fb;
}

/* ---- mdev ------------------------------------------------------------- */
struct vdev {
	struct vfio_device vdev;
	struct fn *fn;
	struct vtype *t;
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
	return 0;
}
static void vd_release(struct vfio_device *v)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
	vfio_free_device(v);
#endif
}
static const struct vfio_device_ops vd_ops = {
	.name = "nvfake-mdev",
	.open_device = vd_open,
	.ioctl = vd_ioctl,
	.release = vd_release,
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	.bind_iommufd = vfio_iommufd_emulated_bind,
	.unbind_iommufd = vfio_iommufd_emulated_unbind,
	.attach_ioas = vfio_iommufd_emulated_attach_ioas,
	.detach_ioas = vfio_iommufd_emulated_detach_ioas,
#endif
};
static struct vtype *vt_of(struct mdev_type *m)
{
	return vt + (m - container_of(m->parent, struct fn, parent)->mt);
}
static int md_probe(struct mdev_device *m)
{
	struct fn *f = container_of(m->type->parent, struct fn, parent);
	struct vtype *t = vt_of(m->type);
	struct vdev *v;
	int r = -ENOSPC;
	mutex_lock(&lock);
	if (!avail(f, t)) {
		goto out;
	}
	v = vfio_alloc_device(vdev, vdev, &m->dev, &vd_ops);
	r = PTR_ERR_OR_ZERO(v);
	if (r) {
		goto out;
	}
	v->fn = f;
	v->t = t;
	r = vfio_register_emulated_iommu_dev(&v->vdev);
	if (r) {
		vfio_put_device(&v->vdev);
		goto out;
	}
	dev_set_drvdata(&m->dev, v);
	take(f, t, 1);
out:
	mutex_unlock(&lock);
	return r;
}
static void md_remove(struct mdev_device *m)
{
	struct vdev *v = dev_get_drvdata(&m->dev);
	struct fn *f = v->fn;
	struct vtype *t = v->t;
	vfio_unregister_group_dev(&v->vdev); /* waits for the user to close */
	vfio_put_device(&v->vdev);
	mutex_lock(&lock);
	take(f, t, -1);
	mutex_unlock(&lock);
}
static unsigned int md_avail(struct mdev_type *m)
{
	unsigned int n;
	mutex_lock(&lock);
	n = avail(container_of(m->parent, struct fn, parent), vt_of(m));
	mutex_unlock(&lock);
	return n;
}
static ssize_t md_desc(struct mdev_type *m, char *buf)
{
	struct vtype *t = vt_of(m);
	return sysfs_emit(
		buf,
		"num_heads=4, frl_config=60, framebuffer=%dM, max_resolution=7680x4320, max_instance=%d\n",
		t->fb * 1024, fb / t->fb);
}
static struct mdev_driver md_driver = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.probe = md_probe,
	.remove = md_remove,
	.get_available = md_avail,
	.show_description = md_desc,
	.driver = {.name = "nvidia-vgpu-vfio", .owner = THIS_MODULE, .mod_name = KBUILD_MODNAME},
};

/* ---- vendor-specific VFIO: <VF>/nvidia/ -------------------------------- */
static const struct vfio_device_ops core_ops = {
	.name = "nvfake-vf",
	.init = vfio_pci_core_init_dev,
	.release = vfio_pci_core_release_dev,
	.close_device = vfio_pci_core_close_device,
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
static int core_open(struct vfio_device *v)
{
	struct vfio_pci_core_device *c = container_of(v, struct vfio_pci_core_device, vdev);
	int r = vfio_pci_core_enable(c);
	if (!r) {
		vfio_pci_core_finish_enable(c);
	}
	return r;
}
static struct vfio_device_ops core_ops_rw;
static struct vtype *vt_id(int id)
{
	int i;
	for (i = 0; i < ntypes; i++) {
		if (vt[i].id == id) {
			return vt + i;
		}
	}
	return NULL;
}
static void untype(struct fn *f)
{
	vfio_pci_core_unregister_device(f->core);
	vfio_put_device(&f->core->vdev);
	take(f, vt_id(f->cur), -1);
	f->core = NULL;
	f->cur = 0;
}
static int settype(struct fn *f, int id)
{
	struct vtype *t = vt_id(id);
	int r;
	if (id) {
		if (f->cur) {
			return -EBUSY;
		}
		if (!t || !avail(f, t)) {
			return -EINVAL;
		}
		f->core =
			vfio_alloc_device(vfio_pci_core_device, vdev, &f->pdev->dev, &core_ops_rw);
		if (IS_ERR(f->core)) {
			r = PTR_ERR(f->core);
			f->core = NULL;
			return r;
		}
		dev_set_drvdata(&f->pdev->dev, f->core);
		r = vfio_pci_core_register_device(f->core);
		if (r) {
			vfio_put_device(&f->core->vdev);
			f->core = NULL;
			return r;
		}
		take(f, t, 1);
		f->cur = id;
	} else if (f->cur) {
		if (f->core->vdev.open_count) {
			return -EBUSY;
		}
		untype(f);
	}
	return 0;
}
static ssize_t current_vgpu_type_show(struct device *d, struct device_attribute *a, char *buf)
{
	struct fn *f = fn_of(d);
	return sysfs_emit(buf, "%d\n", f ? f->cur : 0);
}
static ssize_t current_vgpu_type_store(struct device *d, struct device_attribute *a,
				       const char *buf, size_t n)
{
	struct fn *f;
	int id, r = kstrtoint(buf, 0, &id);
	if (r) {
		return r;
	}
	mutex_lock(&lock);
	f = fn_of(d);
	r = f ? settype(f, id) : -ENODEV;
	mutex_unlock(&lock);
	return r ?: n;
}
static ssize_t creatable_vgpu_types_show(struct device *d, struct device_attribute *a, char *buf)
{
	struct fn *f;
	int i, o = 0;
	mutex_lock(&lock);
	f = fn_of(d);
	o += sysfs_emit_at(buf, o, "ID    : vGPU Name\n");
	for (i = 0; f && i < ntypes; i++) {
		if (avail(f, vt + i)) {
			o += sysfs_emit_at(buf, o, "%-5d : NVIDIA %s\n", vt[i].id, vt[i].name);
		}
	}
	mutex_unlock(&lock);
	return o;
}
static DEVICE_ATTR_RW(current_vgpu_type);
static DEVICE_ATTR_RO(creatable_vgpu_types);
static struct attribute *vf_attrs[] = {&dev_attr_current_vgpu_type.attr,
				       &dev_attr_creatable_vgpu_types.attr, NULL};
static const struct attribute_group vf_group = {.name = "nvidia", .attrs = vf_attrs};

/* ---- the "nvidia" PCI driver ------------------------------------------ */
static int nv_probe(struct pci_dev *p, const struct pci_device_id *id)
{
	struct fn *f = kzalloc(sizeof *f, GFP_KERNEL);
	struct gpu *g, *mine = NULL;
	int i, r = 0;
	if (!f) {
		return -ENOMEM;
	}
	f->pdev = p;
	mutex_lock(&lock);
	list_for_each_entry(g, &gpus, l) if (g->pf == pci_physfn(p)) mine = g;
	if (!mine) {
		mine = kzalloc(sizeof *mine, GFP_KERNEL);
		mine->pf = pci_physfn(p);
		list_add(&mine->l, &gpus);
	}
	f->gpu = mine;
	list_add(&f->l, &fnlist);
	mutex_unlock(&lock);
	if (!strcmp(vgpu, "mdev") && (p->is_virtfn || !pci_sriov_get_totalvfs(p))) {
		for (i = 0; i < ntypes; i++) {
			f->mt[i].sysfs_name = vt[i].sysfs;
			f->mt[i].pretty_name = vt[i].name;
			f->pmt[i] = f->mt + i;
		}
		r = mdev_register_parent(&f->parent, &p->dev, &md_driver, f->pmt, ntypes);
		f->mdev = !r;
	} else if (!strcmp(vgpu, "vfio") && p->is_virtfn) {
		r = sysfs_create_group(&p->dev.kobj, &vf_group);
	}
	if (r) {
		mutex_lock(&lock);
		list_del(&f->l);
		mutex_unlock(&lock);
		kfree(f);
	}
	return r;
}
static void nv_remove(struct pci_dev *p)
{
	struct fn *f;
	struct gpu *g;
	if (!p->is_virtfn && pci_num_vf(p)) {
		pci_disable_sriov(p);
	}
	mutex_lock(&lock);
	f = fn_of(&p->dev);
	mutex_unlock(&lock);
	if (!strcmp(vgpu, "vfio") && p->is_virtfn) {
		sysfs_remove_group(&p->dev.kobj, &vf_group);
	}
	if (f->mdev) {
		mdev_unregister_parent(&f->parent);
	}
	if (f->core) {
		mutex_lock(&lock);
		untype(f);
		mutex_unlock(&lock);
	} /* waits for the user to close */
	mutex_lock(&lock);
	list_del(&f->l);
	if (!p->is_virtfn) {
		g = f->gpu;
		list_del(&g->l);
		kfree(g);
	}
	mutex_unlock(&lock);
	kfree(f);
}
static int nv_sriov(struct pci_dev *p, int n)
{
	int r;
	if (n) {
		r = pci_enable_sriov(p, n);
		return r ?: n;
	}
	pci_disable_sriov(p);
	return 0;
}
static const struct pci_device_id ids[] = {{PCI_DEVICE(PCI_VENDOR_ID_NVIDIA, PCI_ANY_ID),
					    .class = PCI_BASE_CLASS_DISPLAY << 16,
					    .class_mask = 0xff0000},
					   {}};
static struct pci_driver nv_driver = {.name = "nvidia",
				      .id_table = ids,
				      .probe = nv_probe,
				      .remove = nv_remove,
				      .sriov_configure = nv_sriov};

static int __init nv_init(void)
{
	int i, r;
	for (i = 0; i < nmask; i++) {
		u32 d, b, s, f, v, e, c, rv = 0, re = 0;
		if (sscanf(mask[i], "%x:%x:%x.%x=%x:%x:%x", &d, &b, &s, &f, &v, &e, &c) != 7 &&
		    sscanf(mask[i], "%x:%x:%x.%x/%x:%x=%x:%x:%x", &d, &b, &s, &f, &rv, &re, &v, &e,
			   &c) != 9) {
			return -EINVAL;
		}
		rules[i] = (struct rule){d, b, PCI_DEVFN(s, f), rv | re << 16, v | e << 16, c};
	}
	for (i = 0; i < ntypes; i++) {
		if (sscanf(types[i], "%d:%39[^:]:%d", &vt[i].id, vt[i].name, &vt[i].fb) != 3 ||
		    vt[i].fb < 1) {
			return -EINVAL;
		}
		snprintf(vt[i].sysfs, sizeof vt[i].sysfs, "%d", vt[i].id);
	}
	core_ops_rw = core_ops;
	core_ops_rw.open_device = core_open;
	nv_driver.driver_managed_dma = !strcmp(vgpu, "vfio");
	r = mdev_register_driver(&md_driver);
	if (r) {
		return r;
	}
	r = driver ? pci_register_driver(&nv_driver) : 0;
	if (r) {
		mdev_unregister_driver(&md_driver);
		return r;
	}
	remask(true);
	return 0;
}
static void __exit nv_exit(void)
{
	if (driver) {
		pci_unregister_driver(&nv_driver);
	}
	mdev_unregister_driver(&md_driver);
	remask(false);
}
module_init(nv_init);
module_exit(nv_exit);
MODULE_LICENSE("GPL");
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
MODULE_IMPORT_NS("IOMMUFD");
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
MODULE_IMPORT_NS(IOMMUFD);
#endif
