package scenario

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"vmgpu.io/e2e/kube"
	"vmgpu.io/e2e/observe"
	"vmgpu.io/e2e/play"
	"vmgpu.io/e2e/proxy"
)

const convergeLimit = 15 * time.Second

// Bench is what all scenarios of a run share.
type Bench struct {
	state     string // the cluster's folder or kubeconfig
	client    *kube.Client
	proxy     *proxy.Proxy
	observer  *observe.Observer
	blind     context.CancelFunc // ends the observer
	leads     *leads
	command   string // of a controller
	lease     time.Duration
	slack     float64
	quiet     time.Duration
	calm      time.Duration
	keep      bool // namespaces
	folder    string
	failed    bool // a run on it did: its records stay
	resources kube.Resources
}

// WithLease is the bench with another Lease, WithCalm with a time at the end of each run in which nothing may be written.
func (b *Bench) WithLease(lease time.Duration) *Bench {
	other := *b
	other.lease = lease
	return &other
}

func (b *Bench) WithCalm(calm time.Duration) *Bench {
	other := *b
	other.calm = calm
	return &other
}

// Answers is why its API server cannot be asked, nil if it can; a busy one has a minute.
func (b *Bench) Answers(ctx context.Context) error {
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(time.Second) {
		if _, err = b.client.Get(ctx, "/version"); err == nil {
			return nil
		}
	}
	return err
}

// stage is one scenario while it runs.
type stage struct {
	*Bench
	scenario   *Scenario
	namespace  string
	out        string // folder for logs
	remembered map[string]any
	processes  map[string]*process
	leader     string
	kubevirt   kube.Object // the CR as it was before
	disturbed  bool        // by a fault
	meanwhile  *meanwhile
	endPlay    func()
}

// newStage sets up all that the scenario finds: namespace, nodes, the KubeVirt CR, objects.
func newStage(ctx context.Context, b *Bench, sc *Scenario, fault *Fault) (*stage, error) {
	var random [3]byte
	rand.Read(random[:])
	if sc.lease != 0 {
		b = b.WithLease(sc.lease)
	}
	namespace := "e2e-" + sc.Name + "-" + hex.EncodeToString(random[:])
	bound, err := sc.Bind(namespace)
	if err != nil {
		return nil, err
	}
	if fault != nil && fault.Standby && len(bound.Controllers) == 1 {
		bound.Controllers = []string{"a", "b"}
	}
	s := &stage{Bench: b, scenario: bound, disturbed: fault != nil, meanwhile: &meanwhile{}, namespace: namespace, out: filepath.Join(b.folder, namespace),
		remembered: map[string]any{}, processes: map[string]*process{}, endPlay: func() {}}
	if err := os.MkdirAll(s.out, 0o755); err != nil {
		return nil, err
	}
	for _, set := range []func(context.Context) error{s.setNamespace, s.setKubeVirt, s.setNodes, s.setObjects} {
		if err := set(ctx); err != nil {
			return s, fmt.Errorf("setting up: %w", err)
		}
	}
	return s, s.enroll()
}

func (s *stage) setNamespace(ctx context.Context) error {
	_, err := s.client.Create(ctx, "/api/v1/namespaces", m{"metadata": m{"name": s.namespace}})
	return err
}

type m = map[string]any

const kubevirtPath = "/apis/kubevirt.io/v1/namespaces/kubevirt/kubevirts/kubevirt"

// setKubeVirt gives the KubeVirt CR the wanted list and gates, and keeps what it had.
func (s *stage) setKubeVirt(ctx context.Context) error {
	cr, err := s.client.Get(ctx, kubevirtPath)
	if kube.IsCode(err, 404) {
		return nil
	}
	if err != nil {
		return err
	}
	s.kubevirt = cr
	permitted := any(nil)
	if s.scenario.KubeVirt.Permitted != nil {
		permitted = s.scenario.KubeVirt.Permitted
	}
	return s.configure(ctx, permitted, s.scenario.KubeVirt.Gates)
}

// configure replaces list and gates. Two patches, since a merge leaves what it does not name.
func (s *stage) configure(ctx context.Context, permitted any, gates any) error {
	notes := m{}
	now, err := s.client.Get(ctx, kubevirtPath)
	if err != nil {
		return err
	}
	for name := range now.Map("metadata.annotations") {
		notes[name] = s.kubevirt.Get(`metadata.annotations["` + name + `"]`)
	}
	clean := m{"metadata": m{"annotations": notes}, "spec": m{"configuration": m{"permittedHostDevices": nil}}}
	if _, err := s.client.Merge(ctx, kubevirtPath+"?fieldManager=e2e", clean); err != nil {
		return err
	}
	set := m{"spec": m{"configuration": m{"permittedHostDevices": permitted, "developerConfiguration": m{"featureGates": gates}}}}
	_, err = s.client.Merge(ctx, kubevirtPath+"?fieldManager=e2e", set)
	return err
}

func (s *stage) setObjects(ctx context.Context) error {
	return s.each(s.scenario.Given, func(path string, o kube.Object) error {
		if err := s.apply(ctx, path, "", o); err != nil || o["status"] == nil {
			return err
		}
		return s.setStatus(ctx, path, o)
	})
}

// setNodes plays the nodes, and reports their GPUs as the daemon would.
func (s *stage) setNodes(ctx context.Context) error {
	var nodes []play.Node
	for name, n := range s.scenario.Nodes {
		node := play.Node{Name: name, Resources: map[string]string{}}
		for resource, count := range n.Resources {
			node.Resources[resource] = count
		}
		for _, g := range n.GPUs {
			node.Resources[g.Name] = fmt.Sprint(max(1, g.Count))
		}
		nodes = append(nodes, node)
	}
	playing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	player := play.New(s.client, nodes, true, os.Stderr)
	failed, done := make(chan error, 1), sync.WaitGroup{}
	done.Go(func() { failed <- player.Run(playing) })
	s.endPlay = func() { cancel(); done.Wait() }
	select {
	case err := <-failed:
		return err
	case <-player.Ready():
	case <-time.After(20 * time.Second):
		return fmt.Errorf("the player does not get ready")
	}
	for name, n := range s.scenario.Nodes {
		if err := s.reportGPUs(ctx, name, n.GPUs); err != nil {
			return err
		}
		if n.Obeys {
			done.Go(func() { s.playDaemon(playing, name, n.GPUs) })
		}
	}
	return nil
}
