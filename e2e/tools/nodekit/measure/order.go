package measure

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// OrderUsage is one line for the tool's help.
const OrderUsage = "order --card ADDRESS --device VENDOR:DEVICE [--kubeconfig FILE --node NAME] [--turns N] -- PLUGIN..."

// ordered is one life of a plugin on a real kernel: a card that no driver has is ordered to vfio-pci, leaves its bus, and comes back.
//
// With --kubeconfig the order is a GPUNode's, and reaches the plugin through a listener here, which sees when: bytes are bytes, no TLS is
// ended. Without, it is a line on the plugin's stdin: floor.c's `order`.
type ordered struct {
	card, device, kubeconfig, node, log string
	turns                               int
	most                                time.Duration
	plugin                              []string
	api                                 *apiServer
	wire                                *wire
	events                              *events
}

// OrderCommand is the subcommand. It prints a line of JSON a turn.
func OrderCommand(_ context.Context, args []string) int {
	o := &ordered{}
	f := flag.NewFlagSet("order", flag.ContinueOnError)
	f.StringVar(&o.card, "card", "", "address of the card")
	f.StringVar(&o.device, "device", "", "its ids, as an order has them")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "of the API server; in the plugin's arguments KUBECONFIG is one that leads there through here")
	f.StringVar(&o.node, "node", "", "name of the GPUNode")
	f.StringVar(&o.log, "log", "/dev/null", "file for what the plugin says")
	f.IntVar(&o.turns, "turns", 1, "lives of the plugin")
	f.DurationVar(&o.most, "timeout", 60*time.Second, "limit of each step")
	if f.Parse(args) != nil || f.NArg() == 0 || o.card == "" {
		fmt.Fprintln(os.Stderr, "usage:", OrderUsage)
		return 2
	}
	o.plugin = f.Args()
	if err := o.all(); err != nil {
		fmt.Fprintln(os.Stderr, "order:", err)
		return 1
	}
	return 0
}

func (o *ordered) all() (err error) {
	if o.events, err = listenEvents(); err != nil {
		return err
	}
	if o.kubeconfig != "" {
		if o.api, err = newAPIServer(o.kubeconfig, o.node); err != nil {
			return err
		}
		if o.wire, err = forward(o.api.host); err != nil {
			return err
		}
		file := filepath.Join(os.TempDir(), "kubeconfig.order")
		if err := os.WriteFile(file, bytes.ReplaceAll(o.api.text, []byte(o.api.host), []byte(o.wire.address)), 0o600); err != nil {
			return err
		}
		for i, a := range o.plugin {
			if a == "KUBECONFIG" {
				o.plugin[i] = file
			}
		}
	}
	for range o.turns {
		f, err := o.turn()
		if err != nil {
			return err
		}
		_ = json.NewEncoder(os.Stdout).Encode(f)
	}
	return nil
}

func (o *ordered) turn() (figures, error) {
	k := &kubelet{folder: "/var/lib/kubelet/device-plugins", change: make(chan struct{}, 1)}
	if err := os.MkdirAll(k.folder, 0o755); err != nil {
		return nil, err
	}
	k.sweep()
	_ = os.WriteFile("/sys/bus/pci/rescan", []byte("1"), 0) // a life before may have failed while the card was away
	if err := k.serve(); err != nil {
		return nil, err
	}
	defer k.stop()
	pods := &holders{}
	if err := pods.serve(filepath.Join(filepath.Dir(k.folder), "pod-resources/kubelet.sock")); err != nil {
		return nil, err
	}
	log, err := os.Create(o.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(o.plugin[0], o.plugin[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() {
		_ = o.order(in, false)
		time.Sleep(3 * time.Second) // it gives the card back
		_ = cmd.Process.Signal(syscall.SIGTERM)
		t := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		t.Stop()
	}()
	return o.steps(k, in)
}

// healthy waits until the card is listed so, and says when that was seen.
func (o *ordered) healthy(k *kubelet, want bool) (time.Time, error) {
	if !k.wait(o.most, func() bool { return (k.count(true) > 0) == want }) {
		return time.Time{}, fmt.Errorf("in %s it did not come about that healthy is %v", o.most, want)
	}
	return time.Now(), nil
}

func (o *ordered) steps(k *kubelet, in io.Writer) (figures, error) {
	f := figures{}
	time.Sleep(5 * time.Second) // its start
	sent := time.Now()
	if err := o.order(in, true); err != nil {
		return nil, err
	}
	listed, err := o.healthy(k, true)
	if err != nil {
		return nil, err
	}
	got := sent
	if o.wire != nil {
		if got = o.wire.after(sent); got.IsZero() {
			return nil, fmt.Errorf("the order was not seen on its way")
		}
		f["api_ms"] = ms(got.Sub(sent))
	}
	f["order_to_list_ms"] = ms(listed.Sub(got))
	bus := "/sys/bus/pci/"
	for _, step := range []struct {
		key, file string
		healthy   bool
	}{{"remove_to_list_ms", bus + "devices/" + o.card + "/remove", false}, {"add_to_list_ms", bus + "rescan", true}} {
		time.Sleep(4 * time.Second) // what follows an event is done
		from := time.Now()
		go os.WriteFile(step.file, []byte("1"), 0) // a rescan takes longer than the card's event
		listed, err := o.healthy(k, step.healthy)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", step.file, err)
		}
		at := o.events.after(from)
		if at.IsZero() {
			return nil, fmt.Errorf("%s: the kernel told of nothing", step.file)
		}
		f[step.key] = ms(listed.Sub(at))
	}
	return f, nil
}

// order is that the card is for virtual machines, or the host's again.
func (o *ordered) order(in io.Writer, vfio bool) error {
	if o.api != nil {
		return o.api.order(o.card, o.device, vfio)
	}
	_, err := io.WriteString(in, map[bool]string{true: "vfio\n", false: "host\n"}[vfio])
	return err
}

// --- the API server ----------------------------------------------------------------------------------------------------------------

// apiServer is one that takes a token (e2e/cluster).
type apiServer struct {
	host, token, path string
	text              []byte
	client            *http.Client
}

func newAPIServer(kubeconfig, node string) (*apiServer, error) {
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		return nil, err
	}
	found := regexp.MustCompile(`(?s)https://([0-9.]+:[0-9]+).*?certificate-authority-data: (\w[\w+/=]*).*?token: (\w+)`).FindSubmatch(text)
	if found == nil {
		return nil, fmt.Errorf("%s: no server with a CA and a token", kubeconfig)
	}
	ca, err := base64.StdEncoding.DecodeString(string(found[2]))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &apiServer{host: string(found[1]), token: string(found[3]), path: "/apis/vmgpu.io/v1alpha1/gpunodes/" + node, text: text,
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}}}}, nil
}

func (a *apiServer) order(card, device string, vfio bool) error {
	want := map[bool]string{true: "vfio", false: "host"}[vfio]
	body := fmt.Sprintf(`{"spec": {"units": [{"id": %q, "device": %q, "want": %q}]}}`, card, device, want)
	q, err := http.NewRequest("PATCH", "https://"+a.host+a.path, strings.NewReader(body))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/merge-patch+json")
	q.Header.Set("Authorization", "Bearer "+a.token)
	r, err := a.client.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	text, _ := io.ReadAll(r.Body)
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("PATCH %s: %s: %s", a.path, r.Status, text)
	}
	return nil
}

// --- on the way --------------------------------------------------------------------------------------------------------------------

const eventLeast = 200 // bytes: an event is longer than a ping or an acknowledgement

// wire leads connections on, and knows when what was given to the client.
type wire struct {
	address, to string
	mu          sync.Mutex
	given       []time.Time
}

func forward(to string) (*wire, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &wire{address: l.Addr().String(), to: to}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.lead(c)
		}
	}()
	return w, nil
}

func (w *wire) lead(c net.Conn) {
	defer c.Close()
	s, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer s.Close()
	go func() {
		_, _ = io.Copy(s, c)
		_ = s.Close()
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := s.Read(b)
		if n >= eventLeast {
			w.mu.Lock()
			w.given = append(w.given, time.Now())
			w.mu.Unlock()
		}
		if _, e := c.Write(b[:n]); err != nil || e != nil {
			return
		}
	}
}

func (w *wire) after(from time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return first(w.given, from)
}

func first(all []time.Time, from time.Time) time.Time {
	for _, t := range all {
		if t.After(from) {
			return t
		}
	}
	return time.Time{}
}

// --- the kernel --------------------------------------------------------------------------------------------------------------------

// events are the times at which the kernel said something, heard before anybody else, by a thread that goes first. All of them count: the
// event of a card's vfio group comes before the card's own.
type events struct {
	mu    sync.Mutex
	heard []time.Time
}

func listenEvents() (*events, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		return nil, err
	}
	e := &events{}
	go func() {
		runtime.LockOSThread()
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: 10}, 0)
		b := make([]byte, 16<<10)
		for {
			_, err := unix.Read(fd, b)
			now := time.Now()
			if err != nil && err != unix.EINTR {
				return
			}
			e.mu.Lock()
			e.heard = append(e.heard, now)
			e.mu.Unlock()
		}
	}()
	return e, nil
}

func (e *events) after(from time.Time) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return first(e.heard, from)
}
