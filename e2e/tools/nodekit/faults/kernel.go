package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"syscall"
)

var isAddress = regexp.MustCompile(`^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$`)

// function is one PCI function of the played machine, and what the kernel knows of it.
type function struct {
	at, dir         string // address; place below sys
	vendor, device  int
	class           int
	driver, native  string // that has it; that takes it by itself
	override        string
	group           int
	companionOf     string
	total           int // virtual functions
	vfs             []*function
	card            *function // of a virtual function
	face            string    // "vfio", "mdev": how its driver offers vGPUs
	types           []vgpuType
	current         int            // vendor VFIO
	mdevs           map[string]int // on it, by UUID
	autoprobe, lock bool
	dead            bool
}

type vgpuType struct {
	id   int
	name string
	mib  int
	max  int
}

// kernel changes files as Linux changes /sys: each by a rename, so that nobody reads half of one. It keeps account of what must
// not happen, whoever asks for it.
type kernel struct {
	root       string // with sys and proc
	functions  map[string]*function
	groups     int
	vfios      int
	held       map[string]string // address or UUID: the pod that uses it
	dirty      map[string]string // address: whose it was, until it is reset
	resets     map[string]int
	writes     int
	violations []string
}

func (k *kernel) violate(format string, args ...any) {
	k.violations = append(k.violations, fmt.Sprintf(format, args...))
}

func (k *kernel) put(path, text string) {
	full := filepath.Join(k.root, path)
	_ = os.MkdirAll(filepath.Dir(full), 0o755)
	if os.WriteFile(full+".new", []byte(text), 0o644) == nil {
		_ = os.Rename(full+".new", full)
	}
}

// at is a file in a folder that shows no half-made neighbours.
func (k *kernel) file(dir, name, text string) {
	hidden := filepath.Join(k.root, "making")
	_ = os.MkdirAll(filepath.Join(k.root, dir), 0o755)
	if os.WriteFile(hidden, []byte(text), 0o644) == nil {
		_ = os.Rename(hidden, filepath.Join(k.root, dir, name))
	}
}

func (k *kernel) link(path, target string) {
	full := filepath.Join(k.root, path)
	_ = os.MkdirAll(filepath.Dir(full), 0o755)
	to, _ := filepath.Rel(filepath.Dir(full), filepath.Join(k.root, target))
	_ = os.Remove(full)
	_ = os.Symlink(to, full)
}

func (k *kernel) remove(path string) { _ = os.RemoveAll(filepath.Join(k.root, path)) }

// --- functions -----------------------------------------------------------------------------------

func (k *kernel) newGroup() int {
	k.groups++
	return k.groups
}

func (k *kernel) add(f *function) {
	if f.group == 0 {
		f.group = k.newGroup()
	}
	f.mdevs = map[string]int{}
	f.autoprobe = true
	k.functions[f.at] = f
	d := f.dir
	for name, text := range map[string]string{
		"vendor": fmt.Sprintf("0x%04x", f.vendor), "device": fmt.Sprintf("0x%04x", f.device),
		"subsystem_vendor": fmt.Sprintf("0x%04x", f.vendor), "subsystem_device": "0x1851",
		"class": fmt.Sprintf("0x%06x", f.class), "numa_node": "-1", "driver_override": "(null)", "reset_method": "flr bus", "reset": "",
		"modalias": fmt.Sprintf("pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X", f.vendor, f.device, f.vendor, 0x1851, f.class>>16, f.class>>8&255, f.class&255),
	} {
		k.file(d, name, text+"\n")
	}
	k.config(f)
	if f.class>>16 == 3 {
		k.file(d, "boot_vga", "0\n")
	}
	if f.total > 0 {
		k.file(d, "sriov_totalvfs", fmt.Sprintln(f.total))
		k.file(d, "sriov_numvfs", "0\n")
		k.file(d, "sriov_drivers_autoprobe", "1\n")
	}
	k.link(fmt.Sprintf("sys/kernel/iommu_groups/%d/devices/%s", f.group, f.at), d)
	k.link(d+"/iommu_group", fmt.Sprintf("sys/kernel/iommu_groups/%d", f.group))
	if f.driver != "" {
		k.bind(f, f.driver)
	}
	if f.card != nil {
		k.link(d+"/physfn", f.card.dir)
	}
	k.link("sys/bus/pci/devices/"+f.at, d)
}

func (k *kernel) config(f *function) {
	bytes := make([]byte, 64)
	bytes[0], bytes[1], bytes[2], bytes[3] = byte(f.vendor), byte(f.vendor>>8), byte(f.device), byte(f.device>>8)
	if f.card != nil { // a virtual function has no ids of its own there
		bytes[0], bytes[1], bytes[2], bytes[3] = 255, 255, 255, 255
	}
	k.file(f.dir, "config", string(bytes))
}

func (k *kernel) gone(f *function) {
	k.remove("sys/bus/pci/devices/" + f.at)
	k.unbind(f)
	k.remove(fmt.Sprintf("sys/kernel/iommu_groups/%d/devices/%s", f.group, f.at))
	k.remove(f.dir)
	delete(k.functions, f.at)
	delete(k.dirty, f.at)
}

func isVFIO(driver string) bool { return driver == "vfio-pci" }

func (k *kernel) vfioNode(group int) {
	dir := fmt.Sprintf("sys/devices/virtual/vfio/%d", group)
	k.file(dir, "dev", fmt.Sprintf("243:%d\n", group))
	k.link(fmt.Sprintf("sys/class/vfio/%d", group), dir)
}

func (k *kernel) bind(f *function, driver string) {
	if isVFIO(driver) || (driver == "nvidia" && f.card != nil && f.card.face == "vfio") {
		k.vfioNode(f.group)
		_ = os.MkdirAll(fmt.Sprintf("%s/%s/vfio-dev/vfio%d", k.root, f.dir, k.vfios), 0o755)
		k.vfios++
	}
	if driver == "nvidia" && f.card == nil {
		k.put("proc/driver/nvidia/gpus/"+f.at+"/information", "Model: NVIDIA\nDevice Minor: \t 0\n")
		k.put("proc/driver/nvidia/gpus/"+f.at+"/unbindLock", "0\n")
	}
	f.driver = driver
	if driver == "nvidia" && f.card != nil {
		k.offer(f)
	}
	k.link("sys/bus/pci/drivers/"+driver+"/"+f.at, f.dir)
	k.link(f.dir+"/driver", "sys/bus/pci/drivers/"+driver)
}

func (k *kernel) unbind(f *function) {
	if f.driver == "" {
		return
	}
	k.remove(f.dir + "/driver")
	k.remove("sys/bus/pci/drivers/" + f.driver + "/" + f.at)
	k.remove(f.dir + "/vfio-dev")
	if isVFIO(f.driver) {
		others := false
		for _, o := range k.functions {
			others = others || (o != f && o.group == f.group && isVFIO(o.driver))
		}
		if !others {
			k.remove(fmt.Sprintf("sys/class/vfio/%d", f.group))
		}
	}
	if f.driver == "nvidia" && f.card == nil {
		k.remove("proc/driver/nvidia/gpus/" + f.at)
	}
	f.driver, f.lock = "", false
}

// holder is who uses what the function is a part of.
func (k *kernel) holder(f *function) string {
	for at, pod := range k.held {
		if o := k.functions[at]; o == f || (o != nil && o.companionOf == f.at) || f.companionOf == at {
			return pod
		}
		if _, ok := f.mdevs[at]; ok {
			return pod
		}
	}
	for _, vf := range f.vfs {
		if pod := k.holder(vf); pod != "" {
			return pod
		}
	}
	return ""
}

// --- vGPUs ---------------------------------------------------------------------------------------

func (k *kernel) typeOf(card *function, id int) *vgpuType {
	for i := range card.types {
		if card.types[i].id == id {
			return &card.types[i]
		}
	}
	return nil
}

// fits is the rule of equal sizes (nvidia.md 2.4).
func (k *kernel) fits(card *function, t *vgpuType) bool {
	made, same := 0, true
	for _, vf := range card.vfs {
		ids := []int{}
		if vf.current != 0 {
			ids = append(ids, vf.current)
		}
		for _, id := range vf.mdevs {
			ids = append(ids, id)
		}
		for _, id := range ids {
			made++
			same = same && k.typeOf(card, id).mib == t.mib
		}
	}
	return same && made < t.max
}

// offer writes what each function offers now.
func (k *kernel) offer(f *function) {
	if f.card == nil || f.driver != "nvidia" {
		return
	}
	list := "ID    : vGPU Name\n"
	for i := range f.card.types {
		t := &f.card.types[i]
		free := f.current == 0 && len(f.mdevs) == 0 && k.fits(f.card, t)
		if f.card.face == "mdev" {
			dir := fmt.Sprintf("%s/mdev_supported_types/nvidia-%d", f.dir, t.id)
			k.file(dir, "name", t.name+"\n")
			k.file(dir, "description", fmt.Sprintf("num_heads=4, frl_config=60, framebuffer=%dM, max_resolution=7680x4320, max_instance=%d\n", t.mib, t.max))
			k.file(dir, "device_api", "vfio-pci\n")
			k.file(dir, "available_instances", map[bool]string{true: "1\n", false: "0\n"}[free])
			if _, err := os.Stat(k.root + "/" + dir + "/create"); err != nil {
				k.file(dir, "create", "")
			}
		} else if free {
			list += fmt.Sprintf("%-5d : %s\n", t.id, t.name)
		}
	}
	if f.card.face == "mdev" {
		k.link("sys/class/mdev_bus/"+f.at, f.dir)
	} else if f.card.face == "vfio" {
		k.file(f.dir+"/nvidia", "creatable_vgpu_types", list)
		k.file(f.dir+"/nvidia", "current_vgpu_type", fmt.Sprintln(f.current))
	}
}

func (k *kernel) offerAll(card *function) {
	for _, vf := range card.vfs {
		k.offer(vf)
	}
}

func (k *kernel) setVFs(card *function, n int, driver string) syscall.Errno {
	if n == len(card.vfs) {
		return 0
	}
	if n > card.total {
		return syscall.ERANGE
	}
	if n > 0 && len(card.vfs) > 0 {
		return syscall.EBUSY
	}
	for i, vf := range card.vfs {
		if pod := k.holder(vf); pod != "" {
			k.violate("the virtual functions of %s were taken from %s", card.at, pod)
		}
		for uuid := range vf.mdevs {
			k.dropMdev(vf, uuid)
		}
		k.remove(fmt.Sprintf("%s/virtfn%d", card.dir, i))
		k.remove("sys/class/mdev_bus/" + vf.at)
		k.gone(vf)
	}
	card.vfs = nil
	k.file(card.dir, "sriov_numvfs", fmt.Sprintln(n))
	for i := range n {
		at := strings.TrimSuffix(card.at, "0") + strconv.Itoa(4+i)
		vf := &function{at: at, dir: filepath.Dir(card.dir) + "/" + at, vendor: card.vendor, device: card.device, class: card.class, card: card, native: card.native}
		if driver != "" {
			vf.driver = driver
		}
		card.vfs = append(card.vfs, vf)
		k.add(vf)
		k.link(fmt.Sprintf("%s/virtfn%d", card.dir, i), vf.dir)
	}
	k.offerAll(card)
	return 0
}

func (k *kernel) dropMdev(f *function, uuid string) {
	k.remove("sys/bus/mdev/devices/" + uuid)
	if group, err := os.Readlink(filepath.Join(k.root, f.dir, uuid, "iommu_group")); err == nil {
		k.remove("sys/class/vfio/" + filepath.Base(group))
	}
	k.remove(f.dir + "/" + uuid)
	delete(f.mdevs, uuid)
	delete(k.dirty, uuid)
}

func (k *kernel) makeMdev(f *function, id int, uuid string) syscall.Errno {
	t := k.typeOf(f.card, id)
	for _, o := range k.functions {
		if _, ok := o.mdevs[uuid]; ok {
			return syscall.EEXIST
		}
	}
	if t == nil || len(f.mdevs) > 0 || !k.fits(f.card, t) {
		return syscall.EIO
	}
	group := k.newGroup()
	dir := f.dir + "/" + uuid
	k.link(dir+"/mdev_type", fmt.Sprintf("%s/mdev_supported_types/nvidia-%d", f.dir, id))
	k.link(dir+"/iommu_group", fmt.Sprintf("sys/kernel/iommu_groups/%d", group))
	k.file(dir, "remove", "")
	k.vfioNode(group)
	f.mdevs[uuid] = id
	k.link("sys/bus/mdev/devices/"+uuid, dir)
	k.offerAll(f.card)
	return 0
}

// --- writes --------------------------------------------------------------------------------------

// write is one write to a file below sys or proc. 0, or how the kernel refuses it.
func (k *kernel) write(path, text string) syscall.Errno {
	k.writes++
	word := strings.TrimSuffix(text, "\n")
	if at, ok := strings.CutPrefix(path, "proc/driver/nvidia/gpus/"); ok {
		f := k.functions[filepath.Dir(at)]
		if f == nil {
			return syscall.ENODEV
		}
		f.lock = word == "1"
		k.put(path, word+"\n")
		return 0
	}
	if driver, ok := strings.CutPrefix(path, "sys/bus/pci/drivers/"); ok && filepath.Base(path) == "unbind" {
		return k.writeUnbind(filepath.Dir(driver), word)
	}
	if path == "sys/bus/pci/drivers_probe" {
		return k.writeProbe(word)
	}
	f, rest := k.of(path)
	if f == nil && rest != path {
		return syscall.ENODEV
	}
	if f == nil {
		k.violate("%q was written to %s", word, path)
		return syscall.EACCES
	}
	return k.writeFile(f, rest, word)
}

// of is the function whose file that is, and the rest of the path. nil: it is of none, or of one that is gone.
func (k *kernel) of(path string) (*function, string) {
	parts := strings.Split(path, "/")
	for i := len(parts) - 2; i > 0; i-- {
		if isAddress.MatchString(parts[i]) {
			return k.functions[parts[i]], strings.Join(parts[i+1:], "/")
		}
	}
	return nil, path
}

func (k *kernel) touches(f *function, what string) {
	if !f.isGPU() && f.companionOf == "" {
		k.violate("%s of %s, which is no GPU", what, f.at)
	}
}

func (f *function) isGPU() bool { return f.class>>16 == 3 || f.class>>16 == 0x12 }

func (k *kernel) writeUnbind(driver, at string) syscall.Errno {
	f := k.functions[at]
	if f == nil || f.driver != driver {
		return syscall.ENODEV
	}
	k.touches(f, "unbind")
	if pod := k.holder(f); pod != "" {
		k.violate("%s was unbound while %s has it", at, pod)
	}
	k.unbind(f)
	return 0
}

func (k *kernel) writeProbe(at string) syscall.Errno {
	f := k.functions[at]
	if f == nil {
		return syscall.ENODEV
	}
	k.touches(f, "probe")
	if f.driver == "" && f.override != "" {
		k.bind(f, f.override)
	} else if f.driver == "" && f.native != "" {
		k.bind(f, f.native)
	}
	return 0
}

func (k *kernel) writeFile(f *function, file, word string) syscall.Errno {
	k.touches(f, file)
	switch {
	case file == "driver_override":
		f.override = word
		k.file(f.dir, file, map[bool]string{true: "(null)\n", false: word + "\n"}[word == ""])
	case file == "reset":
		if pod := k.holder(f); pod != "" {
			k.violate("%s was reset while %s has it", f.at, pod)
		}
		k.resets[f.at]++
		delete(k.dirty, f.at)
	case file == "sriov_drivers_autoprobe":
		f.autoprobe = word == "1"
		k.file(f.dir, file, word+"\n")
	case file == "sriov_numvfs":
		n, err := strconv.Atoi(word)
		if err != nil || f.driver == "nvidia" {
			return syscall.ENOENT
		}
		return k.setVFs(f, n, map[bool]string{true: f.native}[f.autoprobe])
	case file == "nvidia/current_vgpu_type":
		return k.writeType(f, word)
	case strings.HasPrefix(file, "mdev_supported_types/") && strings.HasSuffix(file, "/create"):
		id, _ := strconv.Atoi(strings.TrimPrefix(strings.Split(file, "/")[1], "nvidia-"))
		return k.makeMdev(f, id, word)
	case strings.HasSuffix(file, "/remove"):
		return k.writeRemove(f, filepath.Dir(file))
	default:
		k.violate("%q was written to %s of %s", word, file, f.at)
		return syscall.EACCES
	}
	return 0
}

func (k *kernel) writeRemove(f *function, uuid string) syscall.Errno {
	if _, ok := f.mdevs[uuid]; !ok {
		return syscall.ENODEV
	}
	if pod := k.held[uuid]; pod != "" {
		k.violate("mdev %s was removed while %s has it", uuid, pod)
	}
	k.dropMdev(f, uuid)
	k.offerAll(f.card)
	return 0
}

func (k *kernel) writeType(f *function, word string) syscall.Errno {
	id, err := strconv.Atoi(word)
	if err != nil {
		return syscall.EINVAL
	}
	if id == 0 && f.current == 0 {
		return syscall.EPERM
	}
	if id == 0 {
		if pod := k.holder(f); pod != "" {
			k.violate("the vGPU of %s was removed while %s has it", f.at, pod)
		}
		f.current = 0
		delete(k.dirty, f.at)
		k.offerAll(f.card)
		return 0
	}
	t := k.typeOf(f.card, id)
	if f.current != 0 || t == nil || !k.fits(f.card, t) {
		return syscall.EIO
	}
	f.current = id
	k.offerAll(f.card)
	return 0
}

// vgpus are the made vGPUs of a card: "ADDRESS TYPE", sorted.
func (k *kernel) vgpus(card *function) []string {
	var all []string
	for _, vf := range card.vfs {
		if vf.current != 0 {
			all = append(all, fmt.Sprintf("%s %d", vf.at, vf.current))
		}
		for _, id := range vf.mdevs {
			all = append(all, fmt.Sprintf("%s %d", vf.at, id))
		}
	}
	sort.Strings(all)
	return slices.Clip(all)
}
