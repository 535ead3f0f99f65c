// Package runtime plays a container runtime: the kubelet's RuntimeService and ImageService. Sandboxes and containers are states in a
// folder of JSON files, in which tests look up what a container got; nothing runs. It refuses what a real one would: an unknown sandbox,
// a name taken twice, a device node that does not exist. The kubelet decides everything else, as it does with a real one.
package runtime

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"

	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Usage is one line for the tool's help.
const Usage = "runtime SOCKET FOLDER"

// Runtime is both services.
type Runtime struct {
	cri.UnimplementedRuntimeServiceServer
	cri.UnimplementedImageServiceServer
	folder     string
	mu         sync.Mutex
	sandboxes  map[string]*Sandbox
	containers map[string]*Container
	addresses  int
}

// Open takes a folder, with all that another runtime left there.
func Open(folder string) (*Runtime, error) {
	r := &Runtime{folder: folder, sandboxes: map[string]*Sandbox{}, containers: map[string]*Container{}}
	err := load(folder, "sandboxes", func(s *Sandbox) {
		r.addresses++
		if s.State != removed {
			r.sandboxes[s.ID] = s
		}
	})
	if err != nil {
		return nil, err
	}
	err = load(folder, "containers", func(c *Container) {
		if c.State != removed {
			r.containers[c.ID] = c
		}
	})
	return r, err
}

// Command is the subcommand.
func Command(ctx context.Context, args []string) int {
	f := flag.NewFlagSet("runtime", flag.ContinueOnError)
	if f.Parse(args) != nil || f.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "usage:", Usage)
		return 2
	}
	if err := serve(ctx, f.Arg(0), f.Arg(1)); err != nil {
		fmt.Fprintln(os.Stderr, "runtime:", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, socket, folder string) error {
	r, err := Open(folder)
	if err != nil {
		return err
	}
	_ = os.Remove(socket) // of a runtime that was killed
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.UnaryInterceptor(tell))
	cri.RegisterRuntimeServiceServer(s, r)
	cri.RegisterImageServiceServer(s, r)
	context.AfterFunc(ctx, s.Stop)
	fmt.Printf("runtime: %d sandboxes and %d containers from before; serves on %s\n", len(r.sandboxes), len(r.containers), socket)
	return s.Serve(l)
}

// tell prints each call that was refused.
func tell(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	answer, err := handler(ctx, req)
	if err != nil {
		fmt.Printf("runtime: %s: %v\n", info.FullMethod, err)
	}
	return answer, err
}

func newID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// matches says whether an object has all the labels that are asked for.
func matches(want, have map[string]string) bool {
	for k, v := range want {
		if have[k] != v {
			return false
		}
	}
	return true
}
