// Package resources asks a kubelet's pod-resources socket who has which devices.
package resources

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	api "k8s.io/kubelet/pkg/apis/podresources/v1"
)

// Usage is one line for the tool's help.
const Usage = "resources [--allocatable] [--socket FILE]"

// Command is the subcommand.
func Command(ctx context.Context, args []string) int {
	f := flag.NewFlagSet("resources", flag.ContinueOnError)
	allocatable := f.Bool("allocatable", false, "what could be given (GetAllocatableResources), not what is (List)")
	socket := f.String("socket", "/var/lib/kubelet/pod-resources/kubelet.sock", "the kubelet's")
	if f.Parse(args) != nil || f.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage:", Usage)
		return 2
	}
	answer, err := ask(ctx, *socket, *allocatable)
	if err != nil {
		fmt.Fprintln(os.Stderr, "resources:", err)
		return 1
	}
	fmt.Println(protojson.Format(answer))
	return 0
}

func ask(ctx context.Context, socket string, allocatable bool) (proto.Message, error) {
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client := api.NewPodResourcesListerClient(conn)
	if allocatable {
		return client.GetAllocatableResources(ctx, &api.AllocatableResourcesRequest{})
	}
	return client.List(ctx, &api.ListPodResourcesRequest{})
}
