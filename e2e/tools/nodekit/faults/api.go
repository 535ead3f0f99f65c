package faults

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

type object = map[string]any

// api plays the API server for one daemon: its Node, its GPUNode, its Lease.
type api struct {
	m        *machine
	mu       sync.Mutex
	objects  map[string]object // by path
	version  int
	watchers map[chan []byte]bool
	written  int // by the daemon
}

const (
	nodePath    = "/api/v1/nodes/n1"
	gpuNodes    = "/apis/vmgpu.io/v1alpha1/gpunodes"
	gpuNodePath = gpuNodes + "/n1"
)

func newAPI(m *machine) *api {
	a := &api{m: m, objects: map[string]object{}, watchers: map[chan []byte]bool{}, version: 10}
	a.objects[nodePath] = object{"apiVersion": "v1", "kind": "Node", "metadata": object{"name": "n1", "uid": "node-uid", "resourceVersion": "1"}}
	return a
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request, path string) {
	if r.URL.Query().Get("watch") != "" {
		a.watch(w, r)
		return
	}
	defer a.m.busy()()
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case path == "/apis":
		fmt.Fprint(w, `{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","metadata":{},"items":[{"metadata":{"name":"vmgpu.io"},"versions":[{"version":"v1alpha1","resources":[{"resource":"gpunodes","responseKind":{"kind":"GPUNode"},"scope":"Cluster","verbs":["get","list","watch","patch"]}]}]}]}`)
	case path == gpuNodes && r.Method == "GET":
		items := []object{}
		if o := a.objects[gpuNodePath]; o != nil {
			items = append(items, o)
		}
		_ = json.NewEncoder(w).Encode(object{"kind": "GPUNodeList", "apiVersion": "vmgpu.io/v1alpha1", "metadata": object{"resourceVersion": fmt.Sprint(a.version)}, "items": items})
	case r.Method == "GET":
		if o := a.objects[path]; o != nil {
			_ = json.NewEncoder(w).Encode(o)
			return
		}
		a.fail(w, 404, "NotFound")
	default:
		a.change(w, r, path)
	}
}

func (a *api) fail(w http.ResponseWriter, code int, reason string) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason})
}

func (a *api) change(w http.ResponseWriter, r *http.Request, path string) {
	var body object
	if json.NewDecoder(r.Body).Decode(&body) != nil {
		a.fail(w, 400, "BadRequest")
		return
	}
	path, ofStatus := strings.CutSuffix(path, "/status")
	if r.Method == "POST" {
		meta, _ := body["metadata"].(object)
		path += "/" + fmt.Sprint(meta["name"])
		if a.objects[path] != nil {
			a.fail(w, 409, "AlreadyExists")
			return
		}
	}
	have := a.objects[path]
	if have == nil && ofStatus {
		a.fail(w, 404, "NotFound")
		return
	}
	if have == nil {
		have = object{"metadata": object{"uid": "uid-" + path, "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}}
	}
	a.written++
	if ofStatus {
		body = object{"status": body["status"]}
	}
	_ = json.NewEncoder(w).Encode(a.put(path, merge(have, body)))
}

// put stores an object in its next version, and tells who watches.
func (a *api) put(path string, o object) object {
	a.version++
	o["metadata"].(object)["resourceVersion"] = fmt.Sprint(a.version)
	a.objects[path] = o
	if path == gpuNodePath {
		o["kind"], o["apiVersion"] = "GPUNode", "vmgpu.io/v1alpha1"
		o["metadata"].(object)["name"] = "n1"
		line, _ := json.Marshal(object{"type": "MODIFIED", "object": o})
		for c := range a.watchers {
			select {
			case c <- append(line, '\n'):
			default:
			}
		}
	}
	return o
}

// merge is RFC 7396, on copies.
func merge(into, patch object) object {
	out := maps.Clone(into)
	if out == nil {
		out = object{}
	}
	for k, v := range patch {
		deeper, ok := v.(object)
		have, _ := out[k].(object)
		if v == nil {
			delete(out, k)
		} else if ok {
			out[k] = merge(have, deeper)
		} else {
			out[k] = v
		}
	}
	return out
}

func (a *api) watch(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("sendInitialEvents") != "" {
		a.fail(w, 422, "Invalid")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(200)
	w.(http.Flusher).Flush()
	c := make(chan []byte, 1000)
	a.mu.Lock()
	a.watchers[c] = true
	if o := a.objects[gpuNodePath]; o != nil { // what came between the list and now
		line, _ := json.Marshal(object{"type": "MODIFIED", "object": o})
		c <- append(line, '\n')
	}
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.watchers, c)
	}()
	for {
		select {
		case line := <-c:
			if _, err := w.Write(line); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// --- what the tests ask --------------------------------------------------------------------------

// order writes GPUNode.spec, when it says something else.
func (a *api) order(spec object) {
	a.mu.Lock()
	defer a.mu.Unlock()
	o := a.objects[gpuNodePath]
	if o == nil {
		return
	}
	was, _ := json.Marshal(o["spec"])
	now, _ := json.Marshal(spec)
	if string(was) == string(now) {
		return
	}
	out := maps.Clone(o)
	var plain object
	_ = json.Unmarshal(now, &plain)
	out["spec"] = plain
	out["metadata"] = maps.Clone(o["metadata"].(object))
	generation, _ := out["metadata"].(object)["generation"].(int)
	out["metadata"].(object)["generation"] = generation + 1
	a.put(gpuNodePath, out)
}

func list(o any, key string) []object {
	in, _ := o.(object)
	items, _ := in[key].([]any)
	var out []object
	for _, i := range items {
		if o, ok := i.(object); ok {
			out = append(out, o)
		}
	}
	return out
}

// reports is how often the object was written by others.
func (a *api) reports() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.written
}

func (a *api) status() object {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, _ := a.objects[gpuNodePath]["status"].(object)
	return s
}

// unit is the report of that unit, nil: there is none.
func (a *api) unit(id string) object {
	for _, u := range list(a.status(), "units") {
		if u["id"] == id {
			return u
		}
	}
	return nil
}

// condition is "STATUS REASON MESSAGE" of a unit's, or the node's for id "".
func (a *api) condition(id, kind string) string {
	var from any = a.status()
	if id != "" {
		from = any(a.unit(id))
	}
	for _, c := range list(from, "conditions") {
		if c["type"] == kind {
			return fmt.Sprint(c["status"], " ", c["reason"], " ", c["message"])
		}
	}
	return ""
}

// conditions is all that is reported, for who looks at a run that failed.
func (a *api) conditions() string {
	var out []string
	status := a.status()
	for _, u := range append(list(status, "units"), object{"id": "node", "conditions": status["conditions"]}) {
		for _, c := range list(u, "conditions") {
			out = append(out, fmt.Sprint(u["id"], " ", c["type"], " ", c["status"], " ", c["reason"], ": ", c["message"]))
		}
	}
	return strings.Join(out, "; ")
}

// troubles are all sentences that say that something is not as it should be.
func (a *api) troubles(id string) []string {
	var out []string
	for _, kind := range []string{"Stuck", "Quarantined", "Dirty"} {
		if c := a.condition(id, kind); strings.HasPrefix(c, "True") {
			out = append(out, kind+": "+c)
		}
	}
	if c := a.condition(id, "Available"); c != "" && !strings.HasPrefix(c, "True") {
		out = append(out, "Available: "+c)
	}
	if c := a.condition(id, "Available"); strings.Contains(c, "not readable") {
		out = append(out, c)
	}
	for _, kind := range []string{"Obeying", "Ready"} {
		if c := a.condition("", kind); c != "" && !strings.HasPrefix(c, "True "+map[string]string{"Obeying": "Obeying", "Ready": "Reporting"}[kind]) {
			out = append(out, kind+": "+c)
		}
	}
	return slices.Clip(out)
}
