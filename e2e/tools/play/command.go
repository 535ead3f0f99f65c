package play

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"vmgpu.io/e2e/kube"
)

// Usage is one line for the tool's help.
const Usage = "play [--cdi] [--handler-only] STATE NODE [RESOURCE=COUNT...] [NODE [RESOURCE=COUNT...]]..."

// Nodes reads NODE [RESOURCE=COUNT...]...
func Nodes(words []string) ([]Node, error) {
	var all []Node
	for _, w := range words {
		name, count, isResource := strings.Cut(w, "=")
		switch {
		case !isResource:
			all = append(all, Node{w, map[string]string{}})
		case len(all) == 0:
			return nil, fmt.Errorf("%s: a resource before the first node", w)
		default:
			all[len(all)-1].Resources[name] = count
		}
	}
	return all, nil
}

// Command is the subcommand.
func Command(ctx context.Context, args []string) int {
	f := flag.NewFlagSet("play", flag.ContinueOnError)
	cdi := f.Bool("cdi", false, "play CDI too: each DataVolume gets a bound claim and succeeds")
	handlerOnly := f.Bool("handler-only", false, "virt-handler alone, on this machine: the node has a kubelet, and launchers are real pods")
	if f.Parse(args) != nil || f.NArg() < 1 {
		fmt.Fprintln(os.Stderr, "usage:", Usage)
		return 2
	}
	client, err := kube.Open(f.Arg(0), "vmgpu-e2e/play")
	nodes, err2 := Nodes(f.Args()[1:])
	for _, e := range []error{err, err2} {
		if e != nil {
			fmt.Fprintln(os.Stderr, "play:", e)
			return 2
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go endWith(ctx, cancel, client.Server, f.Arg(0))
	p := New(client, nodes, *cdi, os.Stderr)
	if *handlerOnly {
		p.HandlerOnly("/")
	}
	go func() {
		select {
		case <-p.Ready():
			fmt.Printf("play: %d nodes, watching\n", len(nodes))
		case <-ctx.Done():
		}
	}()
	if err := p.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "play:", err)
		return 1
	}
	return 0
}

// endWith ends the play when the cluster's folder is gone.
func endWith(ctx context.Context, cancel func(), server, state string) {
	for ctx.Err() == nil {
		if _, err := os.Stat(state); os.IsNotExist(err) {
			fmt.Fprintln(os.Stderr, "play:", state, "is gone, and", server, "with it")
			cancel()
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}
