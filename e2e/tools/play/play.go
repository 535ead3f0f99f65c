// Package play plays what this machine does not have: the kubelet and virt-handler of nodes that do not exist, and CDI. It writes
// what virt-controller waits for, and nothing else happens: no guest runs. It acts on watches and, but for heartbeats, writes nothing
// while nothing changes. Where a node has a real kubelet it plays virt-handler alone, and runs there (launcher.go).
//
// What it plays can be told to misbehave, at run time, by an annotation of the Node, the pod, or (for CDI) the DataVolume's namespace:
//
//	play.vmgpu.io/hold: REGEX         what matches (namespace/name) stays as it is: a launcher that does not start, an import that hangs
//	play.vmgpu.io/fail: REASON REGEX  the kubelet refuses the pod with that reason (UnexpectedAdmissionError)
package play

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"vmgpu.io/e2e/kube"
)

const (
	holdAnnotation = "play.vmgpu.io/hold"
	failAnnotation = "play.vmgpu.io/fail"
	workers        = 8
)

// Node is one played node: its name and its extended resources.
type Node struct {
	Name      string
	Resources map[string]string
}

// Player plays nodes, and CDI where cdi is set.
type Player struct {
	client *kube.Client
	nodes  map[string]Node
	cdi    bool
	log    io.Writer
	queue  *queue
	alone  bool   // virt-handler without a kubelet of ours
	root   string // where alone finds the node's files

	mu       sync.Mutex
	objects  map[string]kube.Object // by kind and key
	handlers map[string]*kube.Client
	synced   map[string]bool
	ready    chan struct{}
}

// New makes a player; Run starts it.
func New(client *kube.Client, nodes []Node, cdi bool, log io.Writer) *Player {
	p := &Player{client: client, nodes: map[string]Node{}, cdi: cdi, log: log, queue: newQueue(), objects: map[string]kube.Object{},
		handlers: map[string]*kube.Client{}, synced: map[string]bool{}, ready: make(chan struct{})}
	for _, n := range nodes {
		p.nodes[n.Name] = n
	}
	return p
}

// HandlerOnly makes it virt-handler alone, on the node whose files are below root.
func (p *Player) HandlerOnly(root string) { p.alone, p.root = true, root }

// Ready is closed when the nodes are there and everything is watched.
func (p *Player) Ready() <-chan struct{} { return p.ready }

const (
	nodesPath = "/api/v1/nodes"
	podsPath  = "/api/v1/pods"
	vmisPath  = "/apis/kubevirt.io/v1/virtualmachineinstances"
	dvsPath   = "/apis/cdi.kubevirt.io/v1beta1/datavolumes"
)

// Run plays until ctx ends. The nodes stay behind.
func (p *Player) Run(ctx context.Context) error {
	for _, n := range p.nodes {
		if err := p.enter(ctx, n); err != nil {
			return err
		}
	}
	watched := map[string]string{"node": nodesPath, "pod": podsPath, "vmi": vmisPath + "?labelSelector=kubevirt.io/nodeName", "namespace": "/api/v1/namespaces"}
	if p.alone {
		delete(watched, "node")
		delete(watched, "namespace")
	}
	if p.cdi {
		watched["dv"] = dvsPath
		watched["pv"] = "/api/v1/persistentvolumes?labelSelector=" + pvLabel
	}
	var wait sync.WaitGroup
	for kind, path := range watched {
		wait.Go(func() { p.client.Watch(ctx, path, func(e kube.Event) { p.saw(kind, e, len(watched)) }) })
	}
	for range workers {
		wait.Go(func() { p.queue.run(ctx, func(key string) error { return p.work(ctx, key) }) })
	}
	wait.Go(func() { p.beat(ctx) })
	wait.Wait()
	return nil
}

func (p *Player) saw(kind string, e kube.Event, kinds int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Type == "SYNCED" {
		if !p.synced[kind] {
			p.synced[kind] = true
			if len(p.synced) == kinds {
				close(p.ready)
				for key := range p.objects {
					p.queue.add(key)
				}
			}
		}
		return
	}
	key := kind + " " + e.Object.Key()
	if e.Type == "DELETED" {
		delete(p.objects, key)
	} else {
		p.objects[key] = e.Object
	}
	if len(p.synced) == kinds {
		for _, k := range p.touched(kind, e) {
			p.queue.add(k)
		}
	}
}

// touched are the keys that an event gives a reason to look at.
func (p *Player) touched(kind string, e kube.Event) []string {
	switch kind {
	case "pod": // the end of a launcher is the end of its VMI
		return []string{kind + " " + e.Object.Key(), "vmi " + e.Object.Namespace() + "/" + e.Object.Str("metadata.ownerReferences[0].name")}
	case "node", "namespace": // what an annotation held may go on
		if e.Old != nil && e.Old.Str(`metadata.annotations["`+holdAnnotation+`"]`) != e.Object.Str(`metadata.annotations["`+holdAnnotation+`"]`) {
			var all []string
			for key := range p.objects {
				all = append(all, key)
			}
			return all
		}
		return nil
	}
	return []string{kind + " " + e.Object.Key()}
}

func (p *Player) work(ctx context.Context, key string) error {
	kind, _, _ := strings.Cut(key, " ")
	p.mu.Lock()
	o := p.objects[key]
	p.mu.Unlock()
	if o == nil {
		return nil
	}
	var err error
	switch kind {
	case "pod":
		if !p.alone {
			err = p.pod(ctx, o)
		}
	case "vmi":
		err = p.vmi(ctx, o)
	case "dv":
		err = p.dataVolume(ctx, o)
	case "pv":
		err = p.volume(ctx, o)
	}
	if kube.IsCode(err, 404, 409) { // it went on without us; a watch will tell
		return nil
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(p.log, "play: %s: %v\n", key, err)
	}
	return err
}

// told is the first word of an annotation whose rest, a regular expression, matches the key; for hold the whole is the expression.
func told(annotation, value, key string) string {
	word, expression := "hold", value
	if annotation == failAnnotation {
		word, expression, _ = strings.Cut(value, " ")
	}
	if value == "" {
		return ""
	}
	if matched, err := regexp.MatchString(expression, key); err != nil || !matched {
		return ""
	}
	return word
}

// order looks for an annotation on the object and on another one that it depends on.
func (p *Player) order(annotation string, o kube.Object, other string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, from := range []kube.Object{o, p.objects[other]} {
		if word := told(annotation, from.Str(`metadata.annotations["`+annotation+`"]`), o.Key()); word != "" {
			return word
		}
	}
	return ""
}

func now() string { return time.Now().UTC().Format("2006-01-02T15:04:05Z") }
