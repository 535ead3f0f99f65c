package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// request is one request on its way. The embedded Line is what the log will say.
type request struct {
	Line
	proxy *Proxy
	w     http.ResponseWriter
	r     *http.Request
	body  []byte
	watch bool
}

func (q *request) isRead() bool { return q.Method == "GET" && !q.watch }

// forward asks the API server and hands its answer to pass, which passes on of it what it likes.
func (q *request) forward(pass func(*http.Response)) {
	answer, err := q.ask()
	if err != nil {
		q.Error = err.Error()
		q.done(0)
		panic(http.ErrAbortHandler)
	}
	defer answer.Body.Close()
	q.done(answer.StatusCode, func() {
		if q.watch {
			q.proxy.log.write(q.asOpened(answer.StatusCode))
			q.proxy.open.add(q)
			defer q.proxy.open.remove(q)
		}
		pass(answer)
	})
}

// done logs the request when what is left of it is over, also when that ends in an abort.
func (q *request) done(status int, rest ...func()) {
	q.Status = status
	defer q.logDone()
	for _, f := range rest {
		f()
	}
}

func (q *request) logDone() {
	if q.Phase == "done" {
		return
	}
	q.Millis = float64(time.Since(q.Time).Microseconds()) / 1000
	q.Phase = "done"
	q.proxy.log.write(q.Line)
}

func (q *request) asOpened(status int) Line {
	l := q.Line
	l.Status, l.Phase = status, "open"
	return l
}

// copyAll passes the whole answer on.
func (q *request) copyAll(answer *http.Response) {
	copyHeader(q.w.Header(), answer.Header)
	if q.IsWrite() {
		text := q.noted(answer)
		q.w.WriteHeader(answer.StatusCode)
		q.send(text)
		return
	}
	q.w.WriteHeader(answer.StatusCode)
	if q.watch && answer.StatusCode == 200 {
		q.flush()
		q.stream(answer.Body)
		return
	}
	q.pump(answer.Body, -1)
}

// noted reads the answer to a write and logs the state of the object that it made, before anybody hears of it.
func (q *request) noted(answer *http.Response) []byte {
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		q.Error = err.Error()
		panic(http.ErrAbortHandler)
	}
	var o struct {
		Metadata struct{ ResourceVersion, UID string }
		Spec     struct{ HolderIdentity string }
	}
	if answer.StatusCode/100 == 2 && json.Unmarshal(text, &o) == nil {
		q.RV, q.UID = o.Metadata.ResourceVersion, o.Metadata.UID
		if strings.Contains(q.Path, "/leases") {
			q.Holder = o.Spec.HolderIdentity
		}
	}
	q.Status, q.Bytes = answer.StatusCode, len(text)
	if q.proxy.Wrote != nil {
		q.proxy.Wrote(q.Line, q.body, text)
	}
	q.logDone()
	return text
}

func (q *request) send(text []byte) {
	if len(text) == 0 { // a 304 must not have even that
		return
	}
	n, err := q.w.Write(text)
	q.proxy.open.sent(q, text[:n])
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	q.flush()
}

func (q *request) flush() { http.NewResponseController(q.w).Flush() }

// pump passes bytes on as they come, at most limit of them if limit is not negative; true if there would have been more.
func (q *request) pump(from io.Reader, limit int) bool {
	chunk := make([]byte, 32<<10)
	for {
		n, err := from.Read(chunk)
		if q.proxy.gate.pass(q.r.Context()) != nil {
			panic(http.ErrAbortHandler)
		}
		if limit >= 0 && q.Bytes+n > limit {
			q.send(chunk[:limit-q.Bytes])
			return true
		}
		q.send(chunk[:n])
		if err == io.EOF {
			return false
		}
		if err != nil {
			q.Error = err.Error()
			panic(http.ErrAbortHandler)
		}
	}
}

// act does what the rule says.
func (q *request) act(r *Rule) {
	p := q.proxy
	announce := func() { p.rules.acted(r, q) }
	if r.Do != "hold" && r.Do != "freeze" {
		announce()
	}
	switch r.Do {
	case "status":
		q.done(r.Status, func() { q.refuse(r) })
	case "drop-before":
		q.abandon()
	case "drop-answer":
		q.forward(func(a *http.Response) { q.lose(a) })
	case "hold", "freeze":
		q.halt(r, announce)
	case "delay":
		select {
		case <-time.After(time.Duration(r.For)):
		case <-q.r.Context().Done():
			q.abandon()
		}
		q.forward(q.copyAll)
	case "cut":
		q.forward(func(a *http.Response) { q.cut(a, r.At) })
	case "replace":
		q.done(200, func() { q.replace(r.Body) })
	case "goaway":
		q.w.Header().Set("Connection", "close") // Go's server turns that into GOAWAY, as kube-apiserver's --goaway-chance does
		q.forward(q.copyAll)
	case "close":
		p.conns.close(q.Conn)
		q.abandon()
	case "black-hole":
		p.conns.swallow(q.Conn)
		q.done(0, func() { <-q.r.Context().Done() })
	default:
		panic("proxy: no such fault: " + r.Do)
	}
}

// abandon resets the stream; nothing was sent.
func (q *request) abandon() {
	q.done(0)
	panic(http.ErrAbortHandler)
}

// lose sees a request through and answers nothing.
func (q *request) lose(a *http.Response) {
	if q.IsWrite() {
		q.noted(a)
	}
	panic(http.ErrAbortHandler)
}

// halt stops this request (hold) or the world (freeze) until it is released: before the request is sent; when it is answered, and
// that answer is then lost; or after the answer was passed on.
func (q *request) halt(r *Rule, announce func()) {
	released := q.proxy.gate.released()
	stop := func() {
		if r.Do == "freeze" {
			q.proxy.gate.freeze()
		}
		announce()
	}
	switch r.When {
	case "lost":
		q.forward(func(a *http.Response) {
			if q.IsWrite() {
				q.noted(a)
			}
			stop()
			wait(q.r.Context(), released)
			panic(http.ErrAbortHandler)
		})
	case "after":
		q.forward(q.copyAll)
		if r.Do == "freeze" {
			q.proxy.gate.freeze()
		}
		time.AfterFunc(10*time.Millisecond, announce) // the answer ends when this function returns, and is read by then
	default:
		stop()
		if wait(q.r.Context(), released) != nil {
			q.abandon() // who asked is dead: nothing is sent
		}
		if r.Then == "drop" {
			q.abandon()
		}
		q.forward(q.copyAll)
	}
}

func (q *request) refuse(r *Rule) {
	if r.RetryAfter != "" {
		q.w.Header().Set("Retry-After", r.RetryAfter)
	}
	reason := map[int]string{410: "Expired", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"}[r.Status]
	q.w.Header().Set("Content-Type", "application/json")
	q.w.WriteHeader(r.Status)
	q.send([]byte(status(r.Status, reason)))
}

func status(code int, reason string) string {
	return fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"fault proxy","reason":%q,"code":%d}`+"\n", reason, code)
}

// cut passes the first bytes on and resets the stream.
func (q *request) cut(a *http.Response, at int) {
	copyHeader(q.w.Header(), a.Header)
	if q.IsWrite() {
		text := q.noted(a)
		q.w.WriteHeader(a.StatusCode)
		q.send(text[:min(at, len(text))])
		panic(http.ErrAbortHandler)
	}
	q.w.WriteHeader(a.StatusCode)
	q.flush()
	if q.pump(a.Body, at) {
		panic(http.ErrAbortHandler)
	}
}
