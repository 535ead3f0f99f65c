package measure

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// EchoUsage is one line for the tool's help.
const EchoUsage = "echo DEVICES"

const echoResource = "vmgpu.dev/ECHO"

// echo answers from memory: what gRPC in Go costs when the plugin does nothing.
type echo struct {
	api.UnimplementedDevicePluginServer
	list  *api.ListAndWatchResponse
	reply *api.AllocateResponse
}

func (e *echo) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

func (e *echo) ListAndWatch(_ *api.Empty, s api.DevicePlugin_ListAndWatchServer) error {
	if err := s.Send(e.list); err != nil {
		return err
	}
	<-s.Context().Done()
	return nil
}

func (e *echo) Allocate(context.Context, *api.AllocateRequest) (*api.AllocateResponse, error) {
	return e.reply, nil
}

// Echo is the subcommand. It registers once.
func Echo(ctx context.Context, args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "usage:", EchoUsage)
		return 2
	}
	devices, _ := strconv.Atoi(args[0])
	if err := serveEcho(ctx, devices); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		return 1
	}
	<-ctx.Done()
	return 0
}

func serveEcho(ctx context.Context, devices int) error {
	e := &echo{list: &api.ListAndWatchResponse{}, reply: &api.AllocateResponse{ContainerResponses: []*api.ContainerAllocateResponse{{
		Envs: map[string]string{"PCI_RESOURCE_VMGPU_DEV_ECHO": "0000:01:00.0"},
		Devices: []*api.DeviceSpec{{ContainerPath: "/dev/vfio/vfio", HostPath: "/dev/vfio/vfio", Permissions: "mrw"},
			{ContainerPath: "/dev/vfio/1", HostPath: "/dev/vfio/1", Permissions: "mrw"}}}}}}
	for i := range devices {
		e.list.Devices = append(e.list.Devices, &api.Device{ID: fmt.Sprintf("%04x:%02x:00.0", i/128, i%128+1), Health: api.Healthy,
			Topology: &api.TopologyInfo{Nodes: []*api.NUMANode{{ID: int64(i % 2)}}}})
	}
	l, err := net.Listen("unix", filepath.Join(api.DevicePluginPath, "echo.sock"))
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	api.RegisterDevicePluginServer(s, e)
	go s.Serve(l)
	conn, err := grpc.NewClient("unix://"+api.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = api.NewRegistrationClient(conn).Register(ctx, &api.RegisterRequest{Version: api.Version, Endpoint: "echo.sock", ResourceName: echoResource})
	return err
}
