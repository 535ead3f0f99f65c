// Package allocate asks a device plugin as a kubelet does that has gone mad: for any id, several times at once, with no pod behind it.
package allocate

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// Usage is one line for the tool's help.
const Usage = "allocate [--times N] SOCKET ID..."

// Command is the subcommand: a line for each answer, "given" or the refusal. It fails when nothing was given.
func Command(ctx context.Context, args []string) int {
	f := flag.NewFlagSet("allocate", flag.ContinueOnError)
	times := f.Int("times", 1, "that many Allocates at once")
	if f.Parse(args) != nil || f.NArg() < 2 {
		fmt.Fprintln(os.Stderr, "usage:", Usage)
		return 2
	}
	conn, err := grpc.NewClient("unix://"+f.Arg(0), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "allocate:", err)
		return 1
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	answers := make([]error, *times)
	var wait sync.WaitGroup
	for i := range answers {
		wait.Go(func() { answers[i] = ask(ctx, api.NewDevicePluginClient(conn), f.Args()[1:]) })
	}
	wait.Wait()
	code := 1
	for _, err := range answers {
		if err == nil {
			code = 0
			fmt.Println("given")
		} else {
			fmt.Println(err)
		}
	}
	return code
}

func ask(ctx context.Context, client api.DevicePluginClient, ids []string) error {
	_, err := client.Allocate(ctx, &api.AllocateRequest{ContainerRequests: []*api.ContainerAllocateRequest{{DevicesIds: ids}}})
	return err
}
