// Package plugin is a device plugin for devices that do not exist: what a kubelet must count and hand out, without vmgpu-node. Its
// Allocate answers as KubeVirt wants it: PCI_RESOURCE_<NAME> with the ids, and the device nodes that it was started with.
package plugin

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// Usage is one line for the tool's help.
const Usage = "plugin [--device HOST:CONTAINER]... RESOURCE ID..."

type plugin struct {
	api.UnimplementedDevicePluginServer
	resource string
	ids      []string
	nodes    []*api.DeviceSpec
}

// Command is the subcommand.
func Command(ctx context.Context, args []string) int {
	p := &plugin{}
	f := flag.NewFlagSet("plugin", flag.ContinueOnError)
	f.Func("device", "a device node that each container gets", func(s string) error {
		host, container, ok := strings.Cut(s, ":")
		p.nodes = append(p.nodes, &api.DeviceSpec{HostPath: host, ContainerPath: container, Permissions: "mrw"})
		if !ok {
			return fmt.Errorf("%q is not HOST:CONTAINER", s)
		}
		return nil
	})
	if f.Parse(args) != nil || f.NArg() < 2 {
		fmt.Fprintln(os.Stderr, "usage:", Usage)
		return 2
	}
	p.resource, p.ids = f.Arg(0), f.Args()[1:]
	for ctx.Err() == nil {
		if err := p.with(ctx, inode(api.KubeletSocket)); err != nil {
			fmt.Println("plugin:", err)
		}
		pause(ctx)
	}
	return 0
}

// with serves one life of the kubelet. When its socket is replaced, all that is left of the old one must have ended before the new one
// hears of us: the end of an old stream would take the new registration with it.
func (p *plugin) with(ctx context.Context, kubelet uint64) error {
	if kubelet == 0 {
		return nil
	}
	socket := filepath.Join(api.DevicePluginPath, strings.ReplaceAll(p.resource, "/", "-")+".sock")
	_ = os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	api.RegisterDevicePluginServer(s, p)
	go s.Serve(l)
	defer s.Stop()
	if err := p.register(ctx, filepath.Base(socket)); err != nil {
		return err
	}
	fmt.Printf("plugin: %s registered\n", p.resource)
	for mine := inode(socket); ctx.Err() == nil && inode(api.KubeletSocket) == kubelet && inode(socket) == mine; {
		pause(ctx)
	}
	return nil
}

func (p *plugin) register(ctx context.Context, endpoint string) error {
	conn, err := grpc.NewClient("unix://"+api.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err = api.NewRegistrationClient(conn).Register(ctx, &api.RegisterRequest{Version: api.Version, Endpoint: endpoint, ResourceName: p.resource})
	return err
}

// inode is 0 where there is nothing.
func inode(path string) uint64 {
	var st syscall.Stat_t
	if syscall.Stat(path, &st) != nil {
		return 0
	}
	return st.Ino
}

func pause(ctx context.Context) {
	select {
	case <-time.After(200 * time.Millisecond):
	case <-ctx.Done():
	}
}

func (p *plugin) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

func (p *plugin) ListAndWatch(_ *api.Empty, s api.DevicePlugin_ListAndWatchServer) error {
	list := &api.ListAndWatchResponse{}
	for _, id := range p.ids {
		list.Devices = append(list.Devices, &api.Device{ID: id, Health: api.Healthy})
	}
	if err := s.Send(list); err != nil {
		return err
	}
	<-s.Context().Done()
	return nil
}

func (p *plugin) Allocate(_ context.Context, q *api.AllocateRequest) (*api.AllocateResponse, error) {
	a := &api.AllocateResponse{}
	name := "PCI_RESOURCE_" + strings.ToUpper(strings.NewReplacer("/", "_", ".", "_", "-", "_").Replace(p.resource))
	for _, c := range q.ContainerRequests {
		fmt.Printf("plugin: %s given: %s\n", p.resource, strings.Join(c.DevicesIds, " "))
		a.ContainerResponses = append(a.ContainerResponses, &api.ContainerAllocateResponse{
			Envs: map[string]string{name: strings.Join(c.DevicesIds, ",")}, Devices: p.nodes})
	}
	return a, nil
}
