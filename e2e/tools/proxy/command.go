package proxy

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"os"
	"strings"

	"vmgpu.io/e2e/kube"
)

// Usage is one line for the tool's help.
const Usage = "proxy --state STATE | --upstream URL --ca FILE [--listen [NAME=]HOST:PORT]... [--kubeconfig FILE] [--control HOST:PORT] [--log FILE] [--rules JSON]"

type texts []string

func (t *texts) String() string     { return strings.Join(*t, " ") }
func (t *texts) Set(s string) error { *t = append(*t, s); return nil }

// Command is the subcommand.
func Command(ctx context.Context, args []string) int {
	if err := command(ctx, args); err != nil {
		fmt.Fprintln(os.Stderr, "proxy:", err)
		return 2
	}
	return 0
}

func command(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("proxy", flag.ContinueOnError)
	var listen texts
	state := f.String("state", "", "cluster's folder or kubeconfig: where server, CA and token come from")
	upstream := f.String("upstream", "", "https://HOST:PORT of the API server, if not from --state")
	ca := f.String("ca", "", "file with the CA of --upstream")
	f.Var(&listen, "listen", "where to listen, default 127.0.0.1:0; more than once for programs to be told apart, NAME=HOST:PORT")
	cert := f.String("cert", "", "certificate to show, made up if not given")
	key := f.String("key", "", "its key")
	kubeconfig := f.String("kubeconfig", "", "write a kubeconfig through the proxy here (FILE.NAME for each listener with a name)")
	control := f.String("control", "", "where to serve the control port")
	out := f.String("log", "", "request log, default stdout")
	rules := f.String("rules", "", "a rule or a list of rules, as JSON")
	if err := f.Parse(args); err != nil {
		return err
	}
	config := kube.Config{Server: *upstream}
	var err error
	if *state != "" {
		if config, err = kube.LoadConfig(*state); err != nil {
			return err
		}
	} else if config.CA, err = os.ReadFile(*ca); err != nil {
		return err
	}
	log := os.Stdout
	if *out != "" {
		if log, err = os.OpenFile(*out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
			return err
		}
	}
	p, err := New(config, log)
	if err != nil {
		return err
	}
	defer p.Close()
	if *cert != "" {
		if err := p.show(*cert, *key); err != nil {
			return err
		}
	}
	if *rules != "" {
		all, err := ParseRules([]byte(*rules))
		if err == nil {
			err = p.Add(all...)
		}
		if err != nil {
			return err
		}
	}
	if err := p.start(listen, *kubeconfig, *control); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (p *Proxy) show(cert, key string) (err error) {
	if p.cert, err = tls.LoadX509KeyPair(cert, key); err == nil {
		p.ca, err = os.ReadFile(cert)
	}
	return err
}

func (p *Proxy) start(listen []string, kubeconfig, control string) error {
	if len(listen) == 0 {
		listen = []string{"127.0.0.1:0"}
	}
	for _, l := range listen {
		name, address, named := strings.Cut(l, "=")
		file := kubeconfig + "." + name
		if !named {
			name, address, file = "", l, kubeconfig
		}
		if err := p.Listen(name, address); err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "proxy:", name, p.addresses[name])
		if kubeconfig != "" {
			if err := p.Kubeconfig(name, file); err != nil {
				return err
			}
		}
	}
	if control == "" {
		return nil
	}
	at, err := p.Control(control)
	if err == nil {
		fmt.Fprintln(os.Stderr, "proxy: control", at)
	}
	return err
}
