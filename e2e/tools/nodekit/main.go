// nodekit is what stands beside a real kubelet in the tests: a played container runtime, a small device plugin, and clients of
// such a plugin and of the kubelet's pod-resources socket. It is a module of its own, so that only who starts a kubelet pays for gRPC. Nothing of it ships.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"vmgpu.io/e2e/nodekit/allocate"
	"vmgpu.io/e2e/nodekit/faults"
	"vmgpu.io/e2e/nodekit/measure"
	"vmgpu.io/e2e/nodekit/plugin"
	"vmgpu.io/e2e/nodekit/resources"
	"vmgpu.io/e2e/nodekit/runtime"
)

var commands = []struct {
	name, usage, does string
	run               func(ctx context.Context, args []string) int
}{
	{"runtime", runtime.Usage, "plays a container runtime: runs nothing, and writes down what each container would have got", runtime.Command},
	{"plugin", plugin.Usage, "is a device plugin for devices that do not exist", plugin.Command},
	{"allocate", allocate.Usage, "asks a device plugin for devices as the kubelet would, whatever the kubelet thinks", allocate.Command},
	{"faults", faults.Usage, "runs vmgpu-node on a played machine, each time with one fault at one place", faults.Command},
	{"measure", measure.Usage, "plays the kubelet for a device plugin, and times it (make bench)", measure.Command},
	{"order", measure.OrderUsage, "times a card's way from an order, and from the kernel's events, to the kubelet's list (make bench)", measure.OrderCommand},
	{"echo", measure.EchoUsage, "is a device plugin with canned answers: what gRPC in Go costs", measure.Echo},
	{"resources", resources.Usage, "prints what the kubelet says on its pod-resources socket: who has which devices", resources.Command},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 {
		for _, c := range commands {
			if c.name == os.Args[1] {
				os.Exit(c.run(ctx, os.Args[2:]))
			}
		}
	}
	for _, c := range commands {
		fmt.Fprintf(os.Stderr, "nodekit %s\n        %s\n", c.usage, c.does)
	}
	os.Exit(2)
}
