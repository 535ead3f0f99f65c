// vmgpu-e2e is the tools of the end-to-end tests in one program. Nothing of it ships.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"vmgpu.io/e2e/manifests"
	"vmgpu.io/e2e/observe"
	"vmgpu.io/e2e/play"
	"vmgpu.io/e2e/proxy"
	"vmgpu.io/e2e/scenario"
	"vmgpu.io/e2e/seeds"
	"vmgpu.io/e2e/sweep"
)

var commands = []struct {
	name, usage, does string
	run               func(ctx context.Context, args []string) int
}{
	{"play", play.Usage, "plays kubelet and virt-handler of nodes that do not exist, and CDI", play.Command},
	{"proxy", proxy.Usage, "stands between a program and the API server, logs each request and does what rules say", proxy.Command},
	{"observe", observe.Usage, "checks the invariants from outside; one line a violation, exit code 1 if any", observe.Command},
	{"scenario", scenario.Usage, "runs scenarios with a controller, and prints TAP", scenario.Command},
	{"manifests", manifests.Usage, "tries manifests that must be accepted and others that must be refused", manifests.Command},
	{"seeds", seeds.Usage, "applies the manifests of others, and holds what becomes of them against what was expected", seeds.Command},
	{"faults", sweep.Usage, "runs scenarios with one fault at each place, and counts what broke", sweep.Command},
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
		fmt.Fprintf(os.Stderr, "vmgpu-e2e %s\n        %s\n", c.usage, c.does)
	}
	os.Exit(2)
}
