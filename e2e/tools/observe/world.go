package observe

import (
	"strings"
	"time"

	"vmgpu.io/e2e/kube"
)

// world is what is known of the cluster: every object by kind and key, and the last state by path also of what is gone.
type world struct {
	objects map[string]map[string]kube.Object
	paths   map[string]kube.Object
	since   map[string]time.Time // by path, when that state was seen first
	uids    map[string]bool      // of what is there
	leaving map[string]leaving   // by path, what is being deleted
	bound   map[string]time.Time
	shrunk  map[string]time.Time
}

type leaving struct {
	kind   string
	object kube.Object
}

func newWorld() world {
	return world{objects: map[string]map[string]kube.Object{}, paths: map[string]kube.Object{}, since: map[string]time.Time{}, uids: map[string]bool{}, leaving: map[string]leaving{},
		bound: map[string]time.Time{}, shrunk: map[string]time.Time{}}
}

func (w *world) set(kind string, r kube.Resource, e kube.Event, now time.Time) {
	if w.objects[kind] == nil {
		w.objects[kind] = map[string]kube.Object{}
	}
	o := e.Object
	path := r.Path(o.Namespace(), o.Name())
	w.paths[path], w.since[path] = o, now
	delete(w.leaving, path)
	if e.Type == "DELETED" {
		delete(w.objects[kind], o.Key())
		delete(w.uids, o.UID())
		return
	}
	if kind == "Pod" && o.Str("spec.nodeName") != "" && w.bound[o.UID()].IsZero() {
		w.bound[o.UID()] = now
	}
	if kind == "Node" {
		w.noteShrinking(o, now)
	}
	if o.Deleting() {
		w.leaving[path] = leaving{kind, o}
	}
	w.objects[kind][o.Key()] = o
	w.uids[o.UID()] = true
}

// noteShrinking remembers when a node had more of a resource than now: what was bound before that is nobody's fault.
func (w *world) noteShrinking(node kube.Object, now time.Time) {
	old := w.objects["Node"][node.Key()]
	if old == nil {
		return
	}
	for name := range old.Map("status.allocatable") {
		if allocatable(node, name) < allocatable(old, name) {
			w.shrunk[node.Name()+" "+name] = now
		}
	}
}

func allocatable(node kube.Object, resource string) int64 {
	m, _ := node.Get("status.allocatable").(map[string]any)
	return kube.Quantity(m[resource])
}

// list is all objects of a kind, in order of their keys.
func (w *world) list(kind string) []kube.Object {
	var all []kube.Object
	for _, key := range sortedKeys(w.objects[kind]) {
		all = append(all, w.objects[kind][key])
	}
	return all
}

func isOurGroup(group string) bool {
	return group == "apps.cozystack.io" || group == "vmgpu.io" || group == "devices.harvesterhci.io"
}

// isOurKind: what users and admins apply to have something done, and what we answer with.
func isOurKind(o kube.Object) bool { return isOurGroup(o.Group()) }

// ownerOfOurs is the first owner of one of our kinds.
func ownerOfOurs(o kube.Object) kube.Object {
	for _, owner := range o.Objects("metadata.ownerReferences") {
		if isOurGroup(owner.Group()) {
			return owner
		}
	}
	return nil
}

// named is how a violation names an object.
func named(kind string, o kube.Object) string { return strings.TrimSuffix(kind, ".") + " " + o.Key() }

func condition(o kube.Object, name string) kube.Object {
	c, _ := o.Get("status.conditions[type=" + name + "]").(map[string]any)
	return c
}
