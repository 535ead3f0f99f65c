package observe

import (
	"context"
	"strings"
	"sync"
	"time"

	"vmgpu.io/e2e/kube"
)

// The groups whose kinds are watched, each whole; of the core group only some.
var watchedGroups = map[string]bool{"apps.cozystack.io": true, "vmgpu.io": true, "devices.harvesterhci.io": true, "kubevirt.io": true, "cdi.kubevirt.io": true,
	"cluster.x-k8s.io": true, "infrastructure.cluster.x-k8s.io": true, "bootstrap.cluster.x-k8s.io": true, "controlplane.cluster.x-k8s.io": true,
	"helm.toolkit.fluxcd.io": true, "source.toolkit.fluxcd.io": true, "events.k8s.io": true, "coordination.k8s.io": true}
var watchedCore = map[string]bool{"Node": true, "Pod": true, "Secret": true, "Service": true, "ConfigMap": true, "PersistentVolumeClaim": true}

func isWatched(r kube.Resource) bool {
	if r.Group == "" {
		return watchedCore[r.Kind]
	}
	return watchedGroups[r.Group] && !strings.Contains(r.Plural, "/")
}

func kindOf(r kube.Resource) string { return strings.TrimSuffix(r.Kind+"."+r.Group, ".") }

// runner keeps a watch on each kind that the server has, also on those that come later.
type runner struct {
	o      *Observer
	client *kube.Client
	mu     sync.Mutex
	begun  map[string]bool
	left   sync.WaitGroup // watches that have not listed yet
	all    sync.WaitGroup
}

// Run watches the cluster until ctx ends. ready is closed when everything that is there has been seen.
func (o *Observer) Run(ctx context.Context, client *kube.Client, ready chan<- struct{}) error {
	r := &runner{o: o, client: client, begun: map[string]bool{}}
	if err := r.begin(ctx); err != nil {
		return err
	}
	go func() {
		r.left.Wait()
		close(ready)
	}()
	changed := make(chan bool, 1)
	r.all.Go(func() {
		client.Watch(ctx, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", func(kube.Event) {
			select {
			case changed <- true:
			default:
			}
		})
	})
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.all.Wait()
			return nil
		case <-tick.C:
			o.Tick()
		case <-changed:
			time.Sleep(200 * time.Millisecond) // they come in crowds
			if err := r.begin(ctx); err != nil && ctx.Err() == nil {
				changed <- true
			}
		}
	}
}

// begin watches what is not watched yet.
func (r *runner) begin(ctx context.Context) error {
	resources, err := r.client.Discover(ctx)
	if err != nil {
		return err
	}
	for _, resource := range resources {
		path := resource.Path("", "")
		if !isWatched(resource) || r.begun[path] {
			continue
		}
		r.begun[path] = true
		r.left.Add(1)
		var once sync.Once
		r.all.Go(func() {
			r.client.Watch(ctx, path, func(e kube.Event) {
				r.o.Saw(kindOf(resource), resource, e)
				if e.Type == "SYNCED" {
					once.Do(r.left.Done)
				}
			})
		})
	}
	return nil
}
