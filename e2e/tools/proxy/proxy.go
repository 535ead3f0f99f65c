// Package proxy stands between a program and the API server: it numbers and logs each request, and does to it what rules say. It ends
// TLS and speaks HTTP/2 on both sides, passes the Authorization header on, and cannot serve who logs in with a client certificate.
package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vmgpu.io/e2e/kube"
)

// Proxy is one running proxy; it may listen for several programs, each by a name, and tells their requests apart by it.
type Proxy struct {
	// Wrote, if set before Listen, is told of each write that was answered: its line, body and answer.
	Wrote func(l Line, body, answer []byte)

	rules rules
	gate  gate
	log   logger

	upstream  kube.Config
	base      *url.URL
	transport *http.Transport
	cert      tls.Certificate
	ca        []byte
	servers   map[string]*http.Server
	addresses map[string]string
	count     atomic.Int64
	conns     conns
	open      open
}

// maxRequest is far above what an API server accepts (3 MiB).
const maxRequest = 16 << 20

// New makes a proxy to an API server that logs to out, and tells each line to those who hear; Listen starts it.
func New(upstream kube.Config, out io.Writer, hear ...func(Line)) (*Proxy, error) {
	base, err := url.Parse(upstream.Server)
	if err != nil {
		return nil, err
	}
	cert, ca, err := selfSigned()
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(upstream.CA)
	p := &Proxy{upstream: upstream, base: base, cert: cert, ca: ca, servers: map[string]*http.Server{}, addresses: map[string]string{}}
	p.transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true, DisableCompression: true}
	p.rules.hit = make(chan struct{})
	p.gate.open = make(chan struct{})
	close(p.gate.open)
	p.log.to, p.log.hear = out, hear
	return p, nil
}

// Listen serves one more program, known as name, at an address like 127.0.0.1:0.
func (p *Proxy) Listen(name, address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	p.addresses[name] = "https://" + l.Addr().String()
	s := &http.Server{
		Handler:     http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(name, w, r) }),
		TLSConfig:   &tls.Config{Certificates: []tls.Certificate{p.cert}, NextProtos: []string{"h2", "http/1.1"}},
		HTTP2:       &http.HTTP2Config{MaxConcurrentStreams: 100}, // as kube-apiserver
		ConnContext: withConn,
		ErrorLog:    log.New(io.Discard, "", 0),
	}
	p.servers[name] = s
	go s.ServeTLS(&listener{l, &p.conns}, "", "")
	return nil
}

// Config leads through the listener; user and token are those of the API server's.
func (p *Proxy) Config(name string) kube.Config {
	return kube.Config{Server: p.addresses[name], CA: p.ca, Token: p.upstream.Token}
}

// Kubeconfig writes that as a kubeconfig.
func (p *Proxy) Kubeconfig(name, path string) error { return p.Config(name).Write(path) }

// Close ends all, open connections too.
func (p *Proxy) Close() {
	p.Release()
	for _, s := range p.servers {
		s.Close()
	}
	p.transport.CloseIdleConnections()
}

// Add puts rules in force, behind those that are.
func (p *Proxy) Add(more ...Rule) error { return p.rules.add(more) }

// Clear removes all rules, and lets go what they held.
func (p *Proxy) Clear() {
	p.rules.clear()
	p.Release()
}

// Release lets everything go on that a rule froze, held or withheld.
func (p *Proxy) Release() { p.gate.release() }

// Wait returns when the named rule has acted, and tells through which listener that request came.
func (p *Proxy) Wait(ctx context.Context, name string) (via string, err error) {
	for {
		done, via, next := p.rules.state(name)
		if done {
			return via, nil
		}
		select {
		case <-ctx.Done():
			return "", errors.New("rule " + name + " was not met")
		case <-next:
		}
	}
}

// Acted tells whether the named rule has acted, and through which listener that request came.
func (p *Proxy) Acted(name string) (bool, string) {
	done, via, _ := p.rules.state(name)
	return done, via
}

// Mark writes a line of its own into the log.
func (p *Proxy) Mark(text string) { p.log.write(Line{Time: time.Now(), Mark: text}) }

// gate stops the world.
type gate struct {
	mu     sync.Mutex
	open   chan struct{} // closed while the world goes on
	frozen bool
	epoch  chan struct{} // closed at the next release
}

func (g *gate) freeze() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.frozen {
		g.frozen, g.open = true, make(chan struct{})
	}
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.frozen {
		g.frozen = false
		close(g.open)
	}
	if g.epoch != nil {
		close(g.epoch)
		g.epoch = nil
	}
}

// pass waits while the world is frozen.
func (g *gate) pass(ctx context.Context) error {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	return wait(ctx, open)
}

// released is closed at the next release, frozen or not.
func (g *gate) released() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.epoch == nil {
		g.epoch = make(chan struct{})
	}
	return g.epoch
}

func wait(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// serve is the life of one request.
func (p *Proxy) serve(via string, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
	if err != nil {
		panic(http.ErrAbortHandler) // the client went away while it was asking
	}
	if p.gate.pass(r.Context()) != nil {
		panic(http.ErrAbortHandler) // it gave up, or died, before anything was sent
	}
	q := &request{proxy: p, w: w, r: r, body: body, watch: r.URL.Query().Get("watch") == "1" || r.URL.Query().Get("watch") == "true"}
	q.Line = Line{Index: p.count.Add(1), Time: time.Now(), Via: via, Conn: connNumber(r.Context()), Method: r.Method, Path: r.URL.Path,
		Query: r.URL.RawQuery, Agent: r.UserAgent(), Type: r.Header.Get("Content-Type"), Sent: len(body)}
	if q.IsWrite() && !strings.Contains(q.Path, "/leases") {
		p.open.writing(1)
		defer p.open.writing(-1)
	}
	fault := p.rules.pick(q)
	if fault == nil {
		q.forward(q.copyAll)
		return
	}
	q.Fault = fault.Name + ":" + fault.Do
	q.act(fault)
}

// ask sends the request on. A write that was sent is seen through to its end, whatever becomes of who asked.
func (q *request) ask() (*http.Response, error) {
	ctx := q.r.Context()
	if q.IsWrite() {
		ctx = context.WithoutCancel(ctx)
	}
	target := *q.proxy.base
	target.Path, target.RawPath, target.RawQuery = q.r.URL.Path, q.r.URL.RawPath, q.r.URL.RawQuery
	out, err := http.NewRequestWithContext(ctx, q.Method, target.String(), bytes.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	copyHeader(out.Header, q.r.Header)
	if len(q.body) == 0 {
		out.Body = http.NoBody
	}
	return q.proxy.transport.RoundTrip(out)
}

var hopByHop = map[string]bool{"Connection": true, "Keep-Alive": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	"Proxy-Authorization": true}

func copyHeader(to, from http.Header) {
	for k, v := range from {
		if !hopByHop[k] {
			to[k] = v
		}
	}
}
