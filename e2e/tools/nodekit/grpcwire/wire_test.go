// Package grpcwire holds vmgpu's gRPC (node-daemon/grpc.h) against grpc-go and the kubelet's own API
// modules: e2e/grpc/echo.c is a device plugin on the one, this plays the kubelet with the other.
package grpcwire

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	plugin "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
	pods "k8s.io/kubelet/pkg/apis/podresources/v1"
)

const (
	resource = "vmgpu.io/ECHO"
	patience = 10 * time.Second
)

// build compiles the peer once, with sanitizers.
var build = sync.OnceValues(func() (string, error) {
	top, err := filepath.Abs("../../../..")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("make", "-s", fmt.Sprintf("-j%d", runtime.NumCPU()), "-C", top, "V=asan", "build/asan/e2e/grpc/echo").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return filepath.Join(top, "build/asan/e2e/grpc/echo"), nil
})

// peer is a running echo.
type peer struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string
}

func start(t *testing.T, dir string, devices int) *peer {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, cmd: exec.Command(bin, dir, resource, fmt.Sprint(devices)), lines: make(chan string, 1000)}
	p.cmd.Stderr = os.Stderr
	p.in, _ = p.cmd.StdinPipe()
	out, _ := p.cmd.StdoutPipe()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
		close(ended)
	}()
	t.Cleanup(func() {
		p.in.Close()
		<-ended
		if err := p.cmd.Wait(); err != nil { // a leak ends it with a code
			t.Errorf("echo: %v", err)
		}
	})
	return p
}

func (p *peer) tell(line string) { fmt.Fprintln(p.in, line) }

// hear waits for a line that begins so, and returns the lines up to it.
func (p *peer) hear(prefix string) []string {
	p.t.Helper()
	var all []string
	for limit := time.After(patience); ; {
		select {
		case l := <-p.lines:
			all = append(all, l)
			if strings.HasPrefix(l, prefix) {
				return all
			}
		case <-limit:
			p.t.Fatalf("never said: %s; said: %q", prefix, all)
		}
	}
}

func dial(t *testing.T, k *kubelet, more ...grpc.DialOption) (plugin.DevicePluginClient, *grpc.ClientConn) {
	t.Helper()
	options := append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority("localhost"),
	}, more...)
	conn, err := grpc.NewClient("unix://"+filepath.Join(k.dir, k.endpoint), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return plugin.NewDevicePluginClient(conn), conn
}

// together is a kubelet and a plugin that has registered there.
func together(t *testing.T, devices int) (*peer, *kubelet) {
	t.Helper()
	k := &kubelet{dir: t.TempDir(), got: make(chan *plugin.RegisterRequest, 100)}
	k.serve(t)
	p := start(t, k.dir, devices)
	k.wait(t)
	return p, k
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func ask(ids ...string) *plugin.AllocateRequest {
	return &plugin.AllocateRequest{ContainerRequests: []*plugin.ContainerAllocateRequest{{DevicesIds: ids}}}
}

// kubelet answers Register only after it has asked the plugin, as the real one.
type kubelet struct {
	plugin.UnimplementedRegistrationServer
	dir string
	got chan *plugin.RegisterRequest

	mu       sync.Mutex
	refuse   error
	endpoint string
}

// wait until it has registered; the next asker finds where.
func (k *kubelet) wait(t *testing.T) *plugin.RegisterRequest {
	t.Helper()
	select {
	case r := <-k.got:
		k.endpoint = r.Endpoint
		return r
	case <-time.After(patience):
		t.Fatal("it never registered")
		return nil
	}
}

func (k *kubelet) Register(ctx context.Context, r *plugin.RegisterRequest) (*plugin.Empty, error) {
	k.mu.Lock()
	refuse := k.refuse
	k.mu.Unlock()
	if refuse != nil {
		return nil, refuse
	}
	conn, err := grpc.NewClient("unix://"+filepath.Join(k.dir, r.Endpoint), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	o, err := plugin.NewDevicePluginClient(conn).GetDevicePluginOptions(ctx, &plugin.Empty{})
	if err != nil {
		return nil, err
	}
	if !o.GetPreferredAllocationAvailable || o.PreStartRequired {
		return nil, status.Errorf(codes.Internal, "options are %v", o)
	}
	k.got <- r
	return &plugin.Empty{}, nil
}

func (k *kubelet) serve(t *testing.T) *grpc.Server {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(k.dir, "kubelet.sock"))
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	plugin.RegisterRegistrationServer(s, k)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return s
}

func (k *kubelet) watch(t *testing.T) (plugin.DevicePlugin_ListAndWatchClient, func()) {
	t.Helper()
	client, conn := dial(t, k)
	w, err := client.ListAndWatch(context.Background(), &plugin.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	return w, func() { conn.Close() }
}

func list(t *testing.T, w plugin.DevicePlugin_ListAndWatchClient) []*plugin.Device {
	t.Helper()
	m, err := w.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return m.Devices
}

func TestRegistersWhileTheKubeletDialsBack(t *testing.T) {
	k := &kubelet{dir: t.TempDir(), got: make(chan *plugin.RegisterRequest, 1)}
	k.serve(t)
	start(t, k.dir, 8)
	r := k.wait(t)
	if r.Version != plugin.Version || !strings.HasPrefix(r.Endpoint, "vmgpu-") || r.ResourceName != resource || !r.Options.GetPreferredAllocationAvailable {
		t.Errorf("registered as %v", r)
	}
}

func TestARefusedPluginComesAgain(t *testing.T) {
	k := &kubelet{dir: t.TempDir(), got: make(chan *plugin.RegisterRequest, 1), refuse: status.Error(codes.InvalidArgument, "not yet")}
	k.serve(t)
	start(t, k.dir, 8)
	time.Sleep(50 * time.Millisecond)
	k.mu.Lock()
	k.refuse = nil
	k.mu.Unlock()
	k.wait(t)
}

// A kubelet that starts removes the sockets that it finds; of one that does not only its own is new.
func TestAKubeletThatStartsIsNoticed(t *testing.T) {
	k := &kubelet{dir: t.TempDir(), got: make(chan *plugin.RegisterRequest, 100)}
	start(t, k.dir, 8)
	time.Sleep(50 * time.Millisecond)
	for i := range 6 {
		if i%2 == 0 {
			old, _ := filepath.Glob(filepath.Join(k.dir, "*.sock"))
			for _, f := range old {
				os.Remove(f)
			}
		}
		s := k.serve(t)
		from := time.Now()
		k.wait(t)
		w, leave := k.watch(t)
		if n := len(list(t, w)); n != 8 {
			t.Errorf("%d devices", n)
		}
		if took := time.Since(from); took > time.Second {
			t.Errorf("listed after %v", took)
		}
		s.Stop()
		leave()
		os.Remove(filepath.Join(k.dir, "kubelet.sock"))
	}
}

func TestAnAnswerThatNeverComesEndsInTime(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "pods.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // accepts in the kernel, says nothing
	p := start(t, dir, 1)
	p.tell("pods pods.sock")
	p.hear("pods DEADLINE_EXCEEDED no answer in time")
}

func TestListsAndWatches(t *testing.T) {
	p, k := together(t, 512)
	w, leave := k.watch(t)
	for _, n := range []int{512, 0, 1, 20000, 3} { // 20000: 400 KB, far above the first window
		if n != 512 {
			p.tell(fmt.Sprintf("list %d", n))
		}
		devices := list(t, w)
		if len(devices) != n {
			t.Fatalf("%d devices, not %d", len(devices), n)
		}
		for i, d := range devices {
			health := plugin.Healthy
			if i%3 == 2 {
				health = plugin.Unhealthy
			}
			node := int64(i%4) - 1
			if d.ID != fmt.Sprintf("d%d", i) || d.Health != health || (node < 0) != (d.Topology == nil) ||
				node >= 0 && (len(d.Topology.Nodes) != 1 || d.Topology.Nodes[0].ID != node) {
				t.Fatalf("device %d is %v", i, d)
			}
		}
	}
	p.tell("withdraw")
	if n := len(list(t, w)); n != 0 {
		t.Errorf("%d devices of what is offered no more", n)
	}
	leave()
	for limit := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Lstat(filepath.Join(k.dir, k.endpoint)); os.IsNotExist(err) {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("its socket stays")
		}
	}
}

func TestLeavingAWatchIsNoticed(t *testing.T) {
	_, k := together(t, 8)
	for range 3 {
		w, leave := k.watch(t)
		list(t, w)
		leave()
		k.wait(t)
	}
}

func TestAllocates(t *testing.T) {
	_, k := together(t, 8)
	client, _ := dial(t, k)
	for i := range 2000 {
		r := ask(fmt.Sprintf("d%d", i), "x")
		r.ContainerRequests = append(r.ContainerRequests, &plugin.ContainerAllocateRequest{})
		a, err := client.Allocate(soon(t), r)
		if err != nil {
			t.Fatal(err)
		}
		if len(a.ContainerResponses) != 2 || a.ContainerResponses[0].Envs["PCI_RESOURCE_ECHO"] != fmt.Sprintf("d%d,x", i) ||
			a.ContainerResponses[1].Envs["PCI_RESOURCE_ECHO"] != "" || len(a.ContainerResponses[0].Devices) != 2 ||
			a.ContainerResponses[0].Devices[1].HostPath != "/dev/vfio/1" || a.ContainerResponses[0].Devices[1].Permissions != "mrw" {
			t.Fatalf("answered %v", a)
		}
	}
	r, err := client.GetPreferredAllocation(soon(t), &plugin.PreferredAllocationRequest{ContainerRequests: []*plugin.ContainerPreferredAllocationRequest{
		{AvailableDeviceIDs: []string{"a", "b", "c"}, MustIncludeDeviceIDs: []string{"c"}, AllocationSize: 2}}})
	if err != nil || len(r.ContainerResponses) != 1 || strings.Join(r.ContainerResponses[0].DeviceIDs, ",") != "a,b" {
		t.Errorf("preferred %v, %v", r, err)
	}
}

func TestAllocatesBesideEachOther(t *testing.T) {
	_, k := together(t, 8)
	client, _ := dial(t, k)
	var all sync.WaitGroup
	for i := range 200 { // above the 64 that may be open: grpc-go waits by itself
		all.Add(1)
		go func() {
			defer all.Done()
			id := strings.Repeat(fmt.Sprintf("%d.", i), 1000)
			a, err := client.Allocate(soon(t), ask(id))
			if err != nil || a.ContainerResponses[0].Envs["PCI_RESOURCE_ECHO"] != id {
				t.Errorf("%d: %v", i, err)
			}
		}()
	}
	all.Wait()
}

func TestRefusesWithAReason(t *testing.T) {
	_, k := together(t, 8)
	client, conn := dial(t, k)
	huge := make([]string, 400000)
	for i := range huge {
		huge[i] = "d"
	}
	for name, c := range map[string]struct {
		call func() error
		code codes.Code
		text string
	}{
		"refused": {func() error { _, err := client.Allocate(soon(t), ask("refuse")); return err }, codes.FailedPrecondition, "d1 is held by é, 100%\nsure"},
		"unknown": {func() error {
			return conn.Invoke(soon(t), "/v1beta1.DevicePlugin/Other", &plugin.Empty{}, &plugin.Empty{})
		}, codes.Unimplemented, "there is no such method here"},
		"too large": {func() error { _, err := client.Allocate(soon(t), ask(huge...)); return err }, codes.ResourceExhausted, "a message of 1200004 bytes is larger than 1048576, the most taken here"},
		"compressed": {func() error {
			_, err := client.Allocate(soon(t), ask("d1"), grpc.UseCompressor("gzip"))
			return err
		}, codes.Unimplemented, "the message is compressed, which was not agreed on"},
		"no message": {func() error {
			return conn.Invoke(soon(t), "/v1beta1.DevicePlugin/Allocate", &plugin.RegisterRequest{Version: "no list of ids"}, &plugin.Empty{})
		}, codes.InvalidArgument, "16 bytes are no AllocateRequest of the kubelet's API"},
	} {
		err := c.call()
		if s := status.Convert(err); s.Code() != c.code || s.Message() != c.text {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := client.Allocate(soon(t), ask("d1")); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
}

func TestACallersTimeIsKept(t *testing.T) {
	p, k := together(t, 8)
	client, _ := dial(t, k)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.Allocate(ctx, ask("hang")); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("%v", err)
	}
	p.hear("gone")
}

func TestOldKubeletsAuthority(t *testing.T) { // kubernetes#109081
	_, k := together(t, 8)
	for _, a := range []string{"%2Fvar%2Flib%2Fkubelet%2Fdevice-plugins%2Fecho.sock", "/var/lib/kubelet/device-plugins/echo.sock"} {
		client, _ := dial(t, k, grpc.WithAuthority(a))
		if _, err := client.Allocate(soon(t), ask("d1")); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

// lister answers as the kubelet does for a node full of pods.
type lister struct {
	pods.UnimplementedPodResourcesListerServer
	n int
}

func (l *lister) List(context.Context, *pods.ListPodResourcesRequest) (*pods.ListPodResourcesResponse, error) {
	r := &pods.ListPodResourcesResponse{}
	share := "s"
	for i := range l.n {
		p := &pods.PodResources{Name: fmt.Sprintf("pod-%d", i), Namespace: "ns", Containers: []*pods.ContainerResources{{Name: "first", CpuIds: []int64{1, 2, 300}}}}
		if i%2 == 0 {
			p.Containers = append(p.Containers, &pods.ContainerResources{
				Name: "compute", CpuIds: []int64{1, 2, 300},
				Devices: []*pods.ContainerDevices{{ResourceName: resource, DeviceIds: []string{fmt.Sprintf("d%d", i), "x"},
					Topology: &pods.TopologyInfo{Nodes: []*pods.NUMANode{{ID: 1}}}}},
				Memory: []*pods.ContainerMemory{{MemoryType: "hugepages-2Mi", Size: 1 << 30}},
				DynamicResources: []*pods.DynamicResource{{ClaimName: "c", ClaimResources: []*pods.ClaimResource{
					{DriverName: "d", ShareId: &share, CdiDevices: []*pods.CDIDevice{{Name: "v/c=n"}}}}}},
			})
		}
		r.PodResources = append(r.PodResources, p)
	}
	return r, nil
}

func TestReadsWhoHoldsWhat(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, 1)
	for _, n := range []int{0, 1, 10000} { // 10000: 1.5 MB
		name := fmt.Sprintf("pods%d.sock", n)
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		s := grpc.NewServer()
		pods.RegisterPodResourcesListerServer(s, &lister{n: n})
		go s.Serve(l)
		defer s.Stop()
		p.tell("pods " + name)
		var got []string
		for len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "pods ") {
			got = append(got, p.hear("")...)
		}
		want := (n + 1) / 2 * 2
		if len(got) != want+1 || got[want] != fmt.Sprintf("pods OK %d", want) {
			t.Fatalf("heard %d lines, the last %s", len(got), got[len(got)-1])
		}
		if n > 0 && (got[0] != "hold ns pod-0 compute "+resource+" d0" || got[1] != "hold ns pod-0 compute "+resource+" x") {
			t.Errorf("heard %q", got[:2])
		}
	}
	p.tell("pods nobody.sock")
	p.hear("pods connecting to nobody.sock: No such file or directory")
}
