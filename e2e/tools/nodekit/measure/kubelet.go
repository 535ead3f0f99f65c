package measure

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
	pods "k8s.io/kubelet/pkg/apis/podresources/v1"
)

// resource is one that a plugin has registered.
type resource struct {
	name       string
	conn       *grpc.ClientConn
	client     api.DevicePluginClient
	registered time.Time
	listed     time.Time // its first list
	devices    []*api.Device
}

// kubelet serves kubelet.sock, and holds what plugins told it.
type kubelet struct {
	api.UnimplementedRegistrationServer
	folder    string
	server    *grpc.Server
	serving   time.Time
	mu        sync.Mutex
	resources map[string]*resource
	calls     int
	refused   []string
	change    chan struct{}
}

func (k *kubelet) serve() error {
	socket := filepath.Join(k.folder, "kubelet.sock")
	_ = os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.resources, k.calls, k.refused, k.serving = map[string]*resource{}, 0, nil, time.Now()
	k.mu.Unlock()
	k.server = grpc.NewServer()
	api.RegisterRegistrationServer(k.server, k)
	go k.server.Serve(l)
	return nil
}

func (k *kubelet) stop() {
	k.server.Stop()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.resources {
		r.conn.Close()
	}
}

// sweep removes every socket of the folder, as a kubelet that starts does.
func (k *kubelet) sweep() {
	files, _ := filepath.Glob(filepath.Join(k.folder, "*"))
	for _, f := range files {
		if fi, err := os.Lstat(f); err == nil && fi.Mode()&os.ModeSocket != 0 {
			_ = os.Remove(f)
		}
	}
}

// Register does what kubelet 1.36 does: it checks, dials, asks for options, and only then answers.
func (k *kubelet) Register(_ context.Context, q *api.RegisterRequest) (*api.Empty, error) {
	err := k.connect(q, time.Now())
	if err != nil {
		k.mu.Lock()
		k.refused = append(k.refused, q.ResourceName+": "+err.Error())
		k.mu.Unlock()
	}
	return &api.Empty{}, err
}

func refusal(q *api.RegisterRequest) error {
	domain, name, _ := strings.Cut(q.ResourceName, "/")
	switch {
	case q.Version != api.Version:
		return fmt.Errorf("version %q is not %q", q.Version, api.Version)
	case domain == "" || name == "" || len(name) > 63 || strings.Trim(name, "-_.") != name:
		return errors.New("not a valid extended resource name")
	case q.Endpoint != filepath.Base(q.Endpoint):
		return fmt.Errorf("endpoint %q is not a file name", q.Endpoint)
	}
	return nil
}

func (k *kubelet) connect(q *api.RegisterRequest, now time.Time) error {
	if err := refusal(q); err != nil {
		return err
	}
	conn, err := grpc.NewClient("unix://"+filepath.Join(k.folder, q.Endpoint), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
	if err != nil {
		return err
	}
	r := &resource{name: q.ResourceName, conn: conn, client: api.NewDevicePluginClient(conn), registered: now}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err = r.client.GetDevicePluginOptions(ctx, &api.Empty{}); err != nil {
		conn.Close()
		return err
	}
	k.mu.Lock()
	if old := k.resources[r.name]; old != nil {
		old.conn.Close()
	}
	k.resources[r.name] = r
	k.calls++
	k.mu.Unlock()
	go k.watch(r)
	return nil
}

// watch ends with the stream: a kubelet counts those devices as unhealthy then.
func (k *kubelet) watch(r *resource) {
	s, err := r.client.ListAndWatch(context.Background(), &api.Empty{})
	for err == nil {
		var m *api.ListAndWatchResponse
		if m, err = s.Recv(); err != nil {
			break
		}
		k.mu.Lock()
		r.devices = m.Devices
		if r.listed.IsZero() {
			r.listed = time.Now()
		}
		k.mu.Unlock()
		select {
		case k.change <- struct{}{}:
		default:
		}
	}
	k.mu.Lock()
	r.devices = nil
	k.mu.Unlock()
}

// wait is true when cond, called with the lock held, became true in time.
func (k *kubelet) wait(most time.Duration, cond func() bool) bool {
	limit := time.After(most)
	for {
		k.mu.Lock()
		ok := cond()
		k.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-k.change:
		case <-time.After(50 * time.Millisecond):
		case <-limit:
			return false
		}
	}
}

// count is of what is listed; with the lock held.
func (k *kubelet) count(healthy bool) (n int) {
	for _, r := range k.resources {
		for _, d := range r.devices {
			if !healthy || d.Health == api.Healthy {
				n++
			}
		}
	}
	return
}

// times are of the first registration, the last, and the last resource's first list; with the lock held.
func (k *kubelet) times() (first, last, lists time.Time) {
	for _, r := range k.resources {
		if first.IsZero() || r.registered.Before(first) {
			first = r.registered
		}
		if r.registered.After(last) {
			last = r.registered
		}
		if r.listed.After(lists) {
			lists = r.listed
		}
	}
	return
}

// find is the resource whose name ends so and that has most devices.
func (k *kubelet) find(suffix string) (found *resource) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.resources {
		if strings.HasSuffix(r.name, suffix) && (found == nil || len(r.devices) > len(found.devices)) {
			found = r
		}
	}
	return
}

// names are those of the resources, with how many devices each lists and how many of them are healthy.
func (k *kubelet) names() map[string][2]int {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := map[string][2]int{}
	for name, r := range k.resources {
		n := [2]int{len(r.devices), 0}
		for _, d := range r.devices {
			if d.Health == api.Healthy {
				n[1]++
			}
		}
		all[name] = n
	}
	return all
}

// holders is the kubelet's pod-resources socket: one pod has all that is held.
type holders struct {
	pods.UnimplementedPodResourcesListerServer
	mu       sync.Mutex
	resource string
	held     []string
	lists    int
}

func (h *holders) serve(socket string) error {
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		return err
	}
	_ = os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	pods.RegisterPodResourcesListerServer(s, h)
	go s.Serve(l)
	return nil
}

func (h *holders) hold(resource string, ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.resource, h.held, h.lists = resource, slices.Clone(ids), 0
}

// asked is how often the list was read since hold.
func (h *holders) asked() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lists
}

func (h *holders) List(context.Context, *pods.ListPodResourcesRequest) (*pods.ListPodResourcesResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lists++
	if len(h.held) == 0 {
		return &pods.ListPodResourcesResponse{}, nil
	}
	return &pods.ListPodResourcesResponse{PodResources: []*pods.PodResources{{Name: "vm", Namespace: "bench", Containers: []*pods.ContainerResources{{
		Name: "compute", Devices: []*pods.ContainerDevices{{ResourceName: h.resource, DeviceIds: h.held}}}}}}}, nil
}
