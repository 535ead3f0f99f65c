package faults

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	plugins "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
	resources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

// kubelet plays the two sockets of one: plugins register at it, and it says which pod has which device.
type kubelet struct {
	plugins.UnimplementedRegistrationServer
	resources.UnimplementedPodResourcesListerServer
	m       *machine
	mu      sync.Mutex
	servers []*grpc.Server
	known   map[string]*plugin // by resource
	pods    map[string]*pod
}

type plugin struct {
	conn    *grpc.ClientConn
	cancel  context.CancelFunc
	devices map[string]bool // healthy
}

type pod struct {
	name, resource, id string
	devices            []string // what its variables name: addresses or UUIDs
}

func newKubelet(m *machine) *kubelet {
	k := &kubelet{m: m, known: map[string]*plugin{}, pods: map[string]*pod{}}
	k.start(true)
	return k
}

func (k *kubelet) path(name string) string { return filepath.Join(k.m.dir, name) }

// start is a kubelet that starts; wipe: it empties its folder, as it does.
func (k *kubelet) start(wipe bool) {
	old, _ := filepath.Glob(k.path("plugins/*"))
	for _, f := range old {
		if wipe || strings.HasSuffix(f, "/kubelet.sock") {
			_ = os.Remove(f)
		}
	}
	for _, at := range []string{"pods/kubelet.sock", "plugins/kubelet.sock"} {
		if strings.HasPrefix(at, "pods") && !wipe {
			continue
		}
		_ = os.Remove(k.path(at))
		l, err := net.Listen("unix", k.path(at))
		if err != nil {
			return
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		s := grpc.NewServer()
		plugins.RegisterRegistrationServer(s, k)
		resources.RegisterPodResourcesListerServer(s, k)
		k.mu.Lock()
		k.servers = append(k.servers, s)
		k.mu.Unlock()
		go func() { _ = s.Serve(l) }()
	}
}

// stop is its death.
func (k *kubelet) stop() {
	k.mu.Lock()
	servers, known := k.servers, k.known
	k.servers, k.known = nil, map[string]*plugin{}
	k.mu.Unlock()
	for _, s := range servers {
		s.Stop()
	}
	for _, p := range known {
		p.cancel()
		p.conn.Close()
	}
}

// boot is the end of all pods.
func (k *kubelet) boot() {
	k.stop()
	k.mu.Lock()
	k.pods = map[string]*pod{}
	k.mu.Unlock()
	k.start(true)
}

func (k *kubelet) Register(_ context.Context, r *plugins.RegisterRequest) (*plugins.Empty, error) {
	defer k.m.busy()()
	conn, err := grpc.NewClient("unix://"+k.path("plugins/"+r.Endpoint), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &plugin{conn: conn, cancel: cancel, devices: map[string]bool{}}
	k.mu.Lock()
	if old := k.known[r.ResourceName]; old != nil {
		old.cancel()
		old.conn.Close()
	}
	k.known[r.ResourceName] = p
	k.mu.Unlock()
	go k.listen(ctx, r.ResourceName, p)
	return &plugins.Empty{}, nil
}

func (k *kubelet) listen(ctx context.Context, resource string, p *plugin) {
	stream, err := plugins.NewDevicePluginClient(p.conn).ListAndWatch(ctx, &plugins.Empty{})
	for err == nil {
		var r *plugins.ListAndWatchResponse
		if r, err = stream.Recv(); err == nil {
			k.mu.Lock()
			p.devices = map[string]bool{}
			for _, d := range r.Devices {
				p.devices[d.ID] = d.Health == plugins.Healthy
			}
			k.mu.Unlock()
		}
	}
	p.conn.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known[resource] == p { // as the kubelet: whoever has the name by then
		delete(k.known, resource)
	}
}

func (k *kubelet) List(context.Context, *resources.ListPodResourcesRequest) (*resources.ListPodResourcesResponse, error) {
	defer k.m.busy()()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.m.tell("the kubelet tells of %d pods", len(k.pods))
	out := &resources.ListPodResourcesResponse{}
	for _, p := range k.pods {
		out.PodResources = append(out.PodResources, &resources.PodResources{Name: p.name, Namespace: "default",
			Containers: []*resources.ContainerResources{{Name: "compute", Devices: []*resources.ContainerDevices{{ResourceName: p.resource, DeviceIds: []string{p.id}}}}}})
	}
	return out, nil
}

// devices are those of a resource that are healthy, sorted: taken: also those that a pod has.
func (k *kubelet) devices(resource string, taken bool) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	if p := k.known[resource]; p != nil {
		for id, healthy := range p.devices {
			has := slices.ContainsFunc(k.list(), func(p *pod) bool { return p.id == id && p.resource == resource })
			if healthy && (taken || !has) {
				out = append(out, id)
			}
		}
	}
	sort.Strings(out)
	return out
}

func (k *kubelet) list() []*pod {
	var out []*pod
	for _, p := range k.pods {
		out = append(out, p)
	}
	return out
}

func (k *kubelet) pod(name string) *pod {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pods[name]
}

func (k *kubelet) ask(resource, id string) (map[string]string, error) {
	k.mu.Lock()
	p := k.known[resource]
	k.mu.Unlock()
	if p == nil {
		return nil, fmt.Errorf("no plugin serves %s", resource)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	a, err := plugins.NewDevicePluginClient(p.conn).Allocate(ctx, &plugins.AllocateRequest{
		ContainerRequests: []*plugins.ContainerAllocateRequest{{DevicesIds: []string{id}}}})
	k.m.tell("%s of %s was asked for: %v", id, resource, err)
	if err != nil {
		return nil, err
	}
	if len(a.ContainerResponses) != 1 {
		return nil, fmt.Errorf("%d answers for one container", len(a.ContainerResponses))
	}
	return a.ContainerResponses[0].Envs, nil
}

// run starts a pod that asks for one: an error says why it could not be admitted.
func (k *kubelet) run(name, resource string) error {
	free := k.devices(resource, false)
	if len(free) == 0 {
		return fmt.Errorf("no %s is free", resource)
	}
	boot := k.m.bootsNow()
	env, err := k.ask(resource, free[0])
	if err != nil {
		return err
	}
	p := &pod{name: name, resource: resource, id: free[0]}
	for key, value := range env {
		if strings.Contains(key, "PCI_RESOURCE") {
			p.devices = append(p.devices, strings.Split(value, ",")...)
		}
	}
	k.m.mu.Lock()
	defer k.m.mu.Unlock()
	if k.m.boots != boot || k.m.reboot != nil {
		return fmt.Errorf("the machine went down meanwhile")
	}
	for _, d := range p.devices {
		if k.m.kernel.functions[d] == nil && !k.m.kernel.isMdev(d) && k.m.acting > 0 {
			return fmt.Errorf("%s was pulled out meanwhile", d)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.m.kernel.begin(p)
	k.pods[name] = p
	return nil
}

// end is the end of a pod: nobody has its device open any more, and the kubelet lists it no longer.
func (k *kubelet) end(name string) {
	k.m.mu.Lock()
	defer k.m.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.pods[name]; p != nil {
		for _, d := range p.devices {
			delete(k.m.kernel.held, d)
			if f := k.m.kernel.functions[d]; f == nil || f.companionOf == "" { // that goes along with its GPU's reset
				k.m.kernel.dirty[d] = name
			}
		}
		delete(k.pods, name)
	}
}

// begin is a pod that uses its devices.
func (k *kernel) begin(p *pod) {
	if len(p.devices) == 0 {
		k.violate("pod %s was given %s without a variable", p.name, p.id)
	}
	for _, d := range p.devices {
		if other := k.held[d]; other != "" {
			k.violate("%s was given to %s and is with %s", d, p.name, other)
		}
		if whose := k.dirty[d]; whose != "" {
			k.violate("%s was given to %s as %s left it", d, p.name, whose)
		}
		f := k.functions[d]
		if f == nil && !k.isMdev(d) {
			k.violate("%s was given to %s and is not there", d, p.name)
		} else if f != nil && f.card == nil && !isVFIO(f.driver) {
			k.violate("%s was given to %s on driver %q", d, p.name, f.driver)
		} else if f != nil && f.card != nil && f.card.face == "vfio" && f.current == 0 && !isVFIO(f.driver) {
			k.violate("%s was given to %s and carries no vGPU", d, p.name)
		}
		k.held[d] = p.name
	}
}

func (k *kernel) isMdev(uuid string) bool {
	for _, f := range k.functions {
		if _, ok := f.mdevs[uuid]; ok {
			return true
		}
	}
	return false
}

// --- faults --------------------------------------------------------------------------------------

func (k *kubelet) sleep(d time.Duration) {
	until := k.m.page.now() + d
	for k.m.page.now() < until {
		time.Sleep(time.Millisecond)
	}
}

func (k *kubelet) misbehave(kind, resource string) {
	switch kind {
	case "kubelet.restart":
		k.stop()
		k.sleep(time.Second)
		k.start(true)
	case "kubelet.late":
		k.stop()
		_ = os.Remove(k.path("plugins/kubelet.sock"))
		k.sleep(6 * time.Second)
		k.start(true)
	case "kubelet.wiped":
		ours, _ := filepath.Glob(k.path("plugins/*"))
		for _, f := range ours {
			_ = os.Remove(f)
		}
		k.sleep(time.Second)
		k.stop()
		k.start(true)
	case "kubelet.replaced":
		k.start(false)
	case "allocate.twice":
		id := "0000:99:00.0"
		if free := k.devices(resource, true); len(free) > 0 {
			id = free[len(free)-1]
		}
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() { _, _ = k.ask(resource, id) })
		}
		both.Wait()
	case "allocate.unknown":
		if _, err := k.ask(resource, "0000:99:00.0"); err == nil {
			k.m.mu.Lock()
			k.m.wrong = append(k.m.wrong, "a device was given that there is not")
			k.m.mu.Unlock()
		}
	}
}
