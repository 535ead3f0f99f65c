package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vmgpu.io/e2e/kube"
)

// rig is a played API server, the proxy before it, and a client of the proxy.
type rig struct {
	t      *testing.T
	proxy  *Proxy
	client *http.Client
	url    string
	log    string
	writes atomic.Int64
	events chan string
}

func newRig(t *testing.T, rules ...Rule) *rig {
	r := &rig{t: t, events: make(chan string, 100), log: filepath.Join(t.TempDir(), "log")}
	s := httptest.NewUnstartedServer(http.HandlerFunc(r.serve))
	s.EnableHTTP2 = true
	s.StartTLS()
	out, err := os.Create(r.log)
	if err != nil {
		t.Fatal(err)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	r.proxy, err = New(kube.Config{Server: s.URL, CA: ca, Token: "t"}, out)
	if err == nil {
		err = r.proxy.Listen("a", "127.0.0.1:0")
	}
	if err == nil {
		err = r.proxy.Add(rules...)
	}
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(r.proxy.ca)
	r.url = r.proxy.addresses["a"]
	r.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	t.Cleanup(func() { r.proxy.Close(); s.CloseClientConnections(); s.Close() })
	return r
}

func (r *rig) serve(w http.ResponseWriter, q *http.Request) {
	if q.Header.Get("Authorization") != "Bearer t" {
		http.Error(w, "who?", 401)
		return
	}
	switch {
	case q.Header.Get("If-None-Match") != "":
		w.WriteHeader(304)
	case q.URL.Query().Get("watch") != "":
		for {
			w.(http.Flusher).Flush()
			select {
			case e := <-r.events:
				if e == "" {
					return
				}
				fmt.Fprintln(w, e)
			case <-q.Context().Done():
				return
			}
		}
	case q.Method != "GET":
		body, _ := io.ReadAll(q.Body)
		fmt.Fprintf(w, `{"metadata":{"resourceVersion":"%d","uid":"u"},"spec":{"holderIdentity":"me"},"sent":%q}`, r.writes.Add(1), body)
	default:
		fmt.Fprint(w, `{"kind":"List","items":[]}`)
	}
}

func (r *rig) ask(ctx context.Context, method, path string) (*http.Response, string, error) {
	q, err := http.NewRequestWithContext(ctx, method, r.url+path, strings.NewReader("x"))
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer t")
	q.Header.Set("User-Agent", "test")
	a, err := r.client.Do(q)
	if err != nil {
		return nil, "", err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	return a, string(text), err
}

func (r *rig) get(path string) (int, string, error) {
	a, text, err := r.ask(context.Background(), "GET", path)
	if a == nil {
		return 0, text, err
	}
	return a.StatusCode, text, err
}

func (r *rig) lines() []Line {
	r.t.Helper()
	l, _, err := ReadLog(r.log, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

func TestEverythingPassesOverHTTP2AndIsLogged(t *testing.T) {
	r := newRig(t)
	a, text, err := r.ask(context.Background(), "PATCH", "/apis/x/leases/l?a=b")
	if err != nil || a.ProtoMajor != 2 || !strings.Contains(text, `"sent":"x"`) {
		t.Fatal(a, text, err)
	}
	l := r.lines()
	if len(l) != 1 {
		t.Fatal(l)
	}
	l[0].Time, l[0].Millis = time.Time{}, 0
	got, _ := json.Marshal(l[0])
	want := `{"i":1,"phase":"done","t":"0001-01-01T00:00:00Z","via":"a","conn":1,"method":"PATCH","path":"/apis/x/leases/l","query":"a=b","agent":"test","status":200,"sent":1,"bytes":88,"rv":"1","uid":"u","holder":"me"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAnAnswerWithoutBodyPasses(t *testing.T) {
	r := newRig(t)
	q, _ := http.NewRequest("GET", r.url+"/", nil)
	q.Header.Set("Authorization", "Bearer t")
	q.Header.Set("If-None-Match", "x")
	if a, err := r.client.Do(q); err != nil || a.StatusCode != 304 {
		t.Error(a, err)
	}
}

func TestStatusIsAnsweredForTheNthMatchOnly(t *testing.T) {
	r := newRig(t, Rule{Name: "s", Match: Match{Path: "/x"}, Nth: 2, Times: 2, Do: "status", Status: 429, RetryAfter: "3"})
	var codes []int
	for range 5 {
		code, _, _ := r.get("/x")
		codes = append(codes, code)
		r.get("/y")
	}
	if fmt.Sprint(codes) != "[200 429 429 200 200]" {
		t.Error(codes)
	}
	a, _, _ := newRig(t, Rule{Do: "status", Status: 429, RetryAfter: "3"}).ask(context.Background(), "GET", "/")
	if a.Header.Get("Retry-After") != "3" {
		t.Error("no Retry-After")
	}
}

func TestDropBeforeSendsNothingAndDropAnswerSends(t *testing.T) {
	for do, want := range map[string]int64{"drop-before": 0, "drop-answer": 1} {
		r := newRig(t, Rule{Name: do, Match: Match{Writes: true}, Do: do})
		r.get("/")
		if _, text, err := r.ask(context.Background(), "POST", "/"); err == nil {
			t.Errorf("%s: answered %s", do, text)
		}
		if n := r.writes.Load(); n != want {
			t.Errorf("%s: %d writes reached the server", do, n)
		}
		if _, _, err := r.ask(context.Background(), "POST", "/"); err != nil {
			t.Errorf("%s: the next one: %v", do, err)
		}
		l := r.lines()
		if l[1].Fault != do+":"+do || (l[1].RV == "1") != (want == 1) {
			t.Errorf("%s: log %+v", do, l[1])
		}
	}
}

func TestFreezeStopsTheWorldUntilReleased(t *testing.T) {
	for when, sent := range map[string]int64{"before": 0, "lost": 1, "after": 1} {
		r := newRig(t, Rule{Name: "f", Match: Match{Writes: true}, Do: "freeze", When: when})
		first := make(chan error, 1)
		go func() { _, _, err := r.ask(context.Background(), "POST", "/"); first <- err }()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if via, err := r.proxy.Wait(ctx, "f"); err != nil || via != "a" {
			t.Fatal(when, err)
		}
		if n := r.writes.Load(); n != sent {
			t.Errorf("%s: %d writes reached the server", when, n)
		}
		if r.proxy.Writing() != (when != "after") {
			t.Errorf("%s: a write is on its way: %v", when, r.proxy.Writing())
		}
		short, cancelShort := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancelShort()
		if _, _, err := r.ask(short, "GET", "/"); err == nil {
			t.Errorf("%s: a frozen world answered", when)
		}
		r.proxy.Release()
		if err := <-first; (err != nil) != (when == "lost") {
			t.Errorf("%s: %v", when, err)
		}
		if code, _, _ := r.get("/"); code != 200 {
			t.Errorf("%s: released and no answer", when)
		}
	}
}

func TestAHeldRequestOfADeadClientIsNeverSent(t *testing.T) {
	r := newRig(t, Rule{Name: "h", Match: Match{Writes: true}, Do: "hold"})
	ctx, die := context.WithCancel(context.Background())
	gone := make(chan bool)
	go func() { r.ask(ctx, "POST", "/"); close(gone) }()
	limit, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if _, err := r.proxy.Wait(limit, "h"); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := r.get("/"); code != 200 {
		t.Error("hold stops more than one request")
	}
	die()
	<-gone
	for len(r.lines()) < 2 { // the held one is logged when the proxy knows of the death
		time.Sleep(time.Millisecond)
	}
	r.proxy.Release()
	if n := r.writes.Load(); n != 0 {
		t.Errorf("%d writes of a dead client", n)
	}
}

func TestWhatWasHeldCanBeDropped(t *testing.T) {
	r := newRig(t, Rule{Name: "h", Match: Match{Writes: true}, Do: "hold", Then: "drop"})
	answered := make(chan error, 1)
	go func() { _, _, err := r.ask(context.Background(), "POST", "/"); answered <- err }()
	limit, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if _, err := r.proxy.Wait(limit, "h"); err != nil {
		t.Fatal(err)
	}
	r.proxy.Clear()
	if err := <-answered; err == nil || r.writes.Load() != 0 {
		t.Error(err, r.writes.Load())
	}
}

func TestCutEndsAtTheByte(t *testing.T) {
	r := newRig(t, Rule{Do: "cut", At: 7, Times: -1})
	for _, method := range []string{"GET", "PATCH"} {
		a, text, err := r.ask(context.Background(), method, "/")
		if err == nil || len(text) != 7 || a.StatusCode != 200 {
			t.Errorf("%s: %q %v", method, text, err)
		}
	}
}

func TestGoawayAndCloseMakeANewConnection(t *testing.T) {
	for _, do := range []string{"goaway", "close"} {
		r := newRig(t, Rule{Match: Match{Path: "/x"}, Do: do})
		r.get("/")
		_, _, err := r.get("/x")
		if (err == nil) != (do == "goaway") {
			t.Errorf("%s: %v", do, err)
		}
		r.get("/")
		l := r.lines()
		if first, last := l[0].Conn, l[len(l)-1].Conn; first == last {
			t.Errorf("%s: the connection is still used", do)
		}
	}
}

func TestABlackHoleAnswersNothingAndStaysOpen(t *testing.T) {
	r := newRig(t, Rule{Match: Match{Path: "/x"}, Do: "black-hole"})
	r.get("/")
	short, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, _, err := r.ask(short, "GET", "/x"); err == nil || time.Since(begin) < 190*time.Millisecond {
		t.Error("ended early:", err)
	}
	short2, cancel2 := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel2()
	if _, _, err := r.ask(short2, "GET", "/"); err == nil {
		t.Error("another request on the same connection was answered")
	}
	r.client.Transport.(*http.Transport).CloseIdleConnections()
	fresh := newRigClient(r)
	if a, err := fresh.Get(r.url + "/"); err != nil || a.StatusCode != 401 {
		t.Error("a new connection is not served:", err)
	}
}

func newRigClient(r *rig) *http.Client {
	old := r.client.Transport.(*http.Transport)
	return &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{TLSClientConfig: old.TLSClientConfig.Clone(), ForceAttemptHTTP2: true}}
}

func TestReplacedBodies(t *testing.T) {
	for body, check := range map[string]func(string) bool{
		"html":  func(s string) bool { return strings.HasPrefix(s, "<!DOCTYPE html>") },
		"half":  func(s string) bool { return !json.Valid([]byte(s)) },
		"utf8":  func(s string) bool { return strings.Contains(s, "\xff") },
		"huge":  func(s string) bool { return len(s) > 100<<20 && json.Valid([]byte(s)) },
		"empty": func(s string) bool { return s == "" },
		"deep":  func(s string) bool { return strings.Count(s, "[") == 100000 },
		"{}":    func(s string) bool { return s == "{}" },
	} {
		r := newRig(t, Rule{Do: "replace", Body: body})
		if code, text, err := r.get("/"); err != nil || code != 200 || !check(text) {
			t.Errorf("%s: %d, %d bytes, %v", body, code, len(text), err)
		}
	}
}

func event(kind, name string) string {
	return fmt.Sprintf(`{"type":%q,"object":{"metadata":{"namespace":"n","name":%q}}}`, kind, name)
}

func TestEventFaults(t *testing.T) {
	bookmark := `{"type":"BOOKMARK","object":{}}`
	for _, c := range []struct {
		rule Rule
		want string
	}{
		{Rule{Do: "skip", Event: EventMatch{Name: "n/b"}}, "a a B"},
		{Rule{Do: "skip", Nth: 3}, "a b B"},
		{Rule{Do: "repeat", Event: EventMatch{Type: "MODIFIED"}}, "a b a a B"},
		{Rule{Do: "reorder", Nth: 2}, "a a b B"},
		{Rule{Do: "drop-bookmarks", Times: -1}, "a b a"},
		{Rule{Do: "expire", Nth: 2}, "a E410"},
		{Rule{Do: "withhold", Nth: 2, For: Duration(50 * time.Millisecond)}, "a b a B"},
	} {
		r := newRig(t, c.rule)
		for _, e := range []string{event("ADDED", "a"), event("ADDED", "b"), event("MODIFIED", "a"), bookmark, ""} {
			r.events <- e
		}
		begin := time.Now()
		_, text, err := r.get("/x?watch=1")
		if got := events(t, text); got != c.want || err != nil {
			t.Errorf("%s: %s, want %s (%v)", c.rule.Do, got, c.want, err)
		}
		if c.rule.Do == "withhold" && time.Since(begin) < 50*time.Millisecond {
			t.Error("not withheld")
		}
		if l := r.lines(); len(l) != 2 || l[0].Phase != "open" || l[1].Phase != "done" || l[1].Index != l[0].Index || !strings.HasSuffix(l[1].Fault, c.rule.Do) {
			t.Errorf("log %+v", l)
		}
	}
}

// TestReorderOfTheLast: what nothing follows is not kept for good, which would be loss and no other order.
func TestReorderOfTheLast(t *testing.T) {
	r := newRig(t, Rule{Do: "reorder", Nth: 2, For: Duration(50 * time.Millisecond)})
	r.events <- event("ADDED", "a")
	r.events <- event("ADDED", "b")
	begin := time.Now()
	q, _ := http.NewRequest("GET", r.url+"/x?watch=1", nil)
	q.Header.Set("Authorization", "Bearer t")
	a, err := r.client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	lines := bufio.NewScanner(a.Body)
	for _, want := range []string{"a", "b"} {
		if !lines.Scan() || events(t, lines.Text()) != want {
			t.Fatalf("%s, want %s (%v)", lines.Text(), want, lines.Err())
		}
	}
	if time.Since(begin) < 50*time.Millisecond {
		t.Error("not kept at all")
	}
	r.events <- ""
}

func events(t *testing.T, text string) string {
	var all []string
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		var e struct {
			Type   string
			Object struct {
				Code     int
				Metadata struct{ Name string }
			}
		}
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		switch e.Type {
		case "BOOKMARK":
			all = append(all, "B")
		case "ERROR":
			all = append(all, fmt.Sprint("E", e.Object.Code))
		default:
			all = append(all, e.Object.Metadata.Name)
		}
	}
	return strings.Join(all, " ")
}

func TestAWatchWithoutRulesStreamsEventByEvent(t *testing.T) {
	r := newRig(t)
	q, _ := http.NewRequest("GET", r.url+"/x?watch=1", nil)
	q.Header.Set("Authorization", "Bearer t")
	a, err := r.client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	defer func() {
		if open := r.proxy.Open(); len(open) != 1 || open[0].Events != 3 {
			t.Errorf("open: %+v", open)
		}
		r.events <- ""
		for len(r.lines()) < 2 {
			time.Sleep(time.Millisecond)
		}
		if n := r.lines()[1].Events; n != 3 {
			t.Errorf("%d events in the log", n)
		}
	}()
	lines := bufio.NewReader(a.Body)
	for i := range 3 {
		r.events <- event("ADDED", fmt.Sprint(i))
		if text, err := lines.ReadString('\n'); err != nil || !strings.Contains(text, fmt.Sprintf(`"name":"%d"`, i)) {
			t.Fatal(text, err)
		}
	}
}

func TestControlPort(t *testing.T) {
	r := newRig(t)
	control, err := r.proxy.Control("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	post := func(path, body string) int {
		a, err := http.Post(control+path, "application/json", bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		return a.StatusCode
	}
	if post("/rules", `{"name":"n","match":{"path":"/x"},"do":"status","status":503}`) != 200 || post("/rules", `[{"do":"dance"}]`) != 400 {
		t.Error("rules")
	}
	if a, _ := http.Get(control + "/wait?rule=n&timeout=10ms"); a.StatusCode != 408 {
		t.Error("waited for what has not happened:", a.StatusCode)
	}
	if code, _, _ := r.get("/x"); code != 503 {
		t.Error("rule not in force:", code)
	}
	if a, _ := http.Get(control + "/wait?rule=n"); a.StatusCode != 200 {
		t.Error("does not know what happened:", a.StatusCode)
	}
	if post("/now?do=close", "") != 200 || post("/now?do=dance", "") != 400 {
		t.Error("now")
	}
}

func TestRulesThatCannotBeAreRefused(t *testing.T) {
	for _, r := range []Rule{{Do: "dance"}, {Do: "hold", When: "never"}, {Do: "hold", Then: "send"}, {Do: "status"}, {Do: "skip", Match: Match{Path: "("}}} {
		if r.compile() == nil {
			t.Errorf("%+v is taken", r)
		}
	}
}
