package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// conns are the clients' connections, by number.
type conns struct {
	mu   sync.Mutex
	last int
	all  map[int]*conn
}

// conn can turn into a black hole: nothing is read from it or written to it any more, and it stays open.
type conn struct {
	net.Conn
	number int
	of     *conns
	closed chan struct{}
	once   sync.Once
	mu     sync.Mutex
	hole   bool
}

type listener struct {
	net.Listener
	conns *conns
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.conns.mu.Lock()
	defer l.conns.mu.Unlock()
	l.conns.last++
	if l.conns.all == nil {
		l.conns.all = map[int]*conn{}
	}
	mine := &conn{Conn: c, number: l.conns.last, of: l.conns, closed: make(chan struct{})}
	l.conns.all[mine.number] = mine
	return mine, nil
}

func (c *conn) isHole() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hole
}

func (c *conn) Read(b []byte) (int, error) {
	if c.isHole() {
		<-c.closed
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(b)
	if err == nil && c.isHole() { // it came while we were reading: lost
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	if c.isHole() {
		return len(b), nil // as the kernel would: it takes them, and nobody ever acknowledges
	}
	return c.Conn.Write(b)
}

func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.of.mu.Lock()
		delete(c.of.all, c.number)
		c.of.mu.Unlock()
	})
	return c.Conn.Close()
}

func (l *conns) get(number int) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[number]
}

func (l *conns) close(number int) {
	if c := l.get(number); c != nil {
		c.Close()
	}
}

func (l *conns) swallow(number int) {
	if c := l.get(number); c != nil {
		c.mu.Lock()
		c.hole = true
		c.mu.Unlock()
	}
}

func (l *conns) numbers() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []int
	for n := range l.all {
		all = append(all, n)
	}
	return all
}

type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if mine, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, mine.number)
	}
	return ctx
}

func connNumber(ctx context.Context) int {
	n, _ := ctx.Value(connKey{}).(int)
	return n
}
