package seeds

import (
	"net/url"
	"strings"
	"sync"
	"time"

	"vmgpu.io/e2e/kube"
	"vmgpu.io/e2e/proxy"
)

// record is what the controller wrote, as the proxy saw it.
type record struct {
	mu      sync.Mutex
	writes  []write
	last    time.Time
	applied map[string]kube.Object // the last body of each object, by key
	orders  []write                // to the node: of a leadership, not of a manifest
	devices []write                // to its PCIDevices, which are made of what it reports
}

type write struct {
	proxy.Line
	manager string
	body    kube.Object
}

// wrote is the proxy's report. Leases go on for ever and Events are talk: neither is a write here.
func (r *record) wrote(l proxy.Line, body, _ []byte) {
	if strings.Contains(l.Path, "/leases") || strings.HasSuffix(l.Path, "/events") || strings.Contains(l.Path, "/events/") {
		return
	}
	q, _ := url.ParseQuery(l.Query)
	w := write{Line: l, manager: q.Get("fieldManager")}
	w.body, _ = kube.Decode(body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = time.Now()
	if l.Path == gpuNodePath {
		r.orders = append(r.orders, w)
		return
	}
	if strings.HasPrefix(l.Path, pciDevicesPath) {
		r.devices = append(r.devices, w)
		return
	}
	r.writes = append(r.writes, w)
	if l.Status/100 == 2 && l.Type == kube.ApplyPatch && w.manager == "vmgpu" {
		r.applied[key(w.body)] = w.body
	}
}

// since are the writes from the n-th on.
func (r *record) since(n int) []write {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]write{}, r.writes[n:]...)
}

func (r *record) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.writes)
}

func (r *record) quietFor() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.last)
}

// bodies are the last bodies of all objects that were applied, without our mark.
func (r *record) bodies() map[string]kube.Object {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string]kube.Object{}
	for k, o := range r.applied {
		all[k] = unmarked(o)
	}
	return all
}

const mark = "vmgpu.io/intent"

// unmarked is a copy without the mark, which is no part of what was wanted.
func unmarked(o kube.Object) kube.Object {
	c, _ := kube.Decode([]byte(kube.Text(o)))
	metadata, _ := c["metadata"].(map[string]any)
	if notes, ok := metadata["annotations"].(map[string]any); ok {
		delete(notes, mark)
		if len(notes) == 0 {
			delete(metadata, "annotations")
		}
	}
	return c
}
