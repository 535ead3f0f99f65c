package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Control serves what changes the proxy at run time, in plain HTTP:
//
//	POST /rules           a rule or a list of rules: in force from now on
//	GET /rules            the rules, and how often each matched and acted
//	DELETE /rules         none is in force any more, and what they held goes on
//	GET /wait?rule=NAME   answers when that rule has acted, or with 408 after ?timeout=10s
//	POST /release         what is frozen, held or withheld goes on
//	POST /now?do=close    close or black-hole: at once, all open connections
//	POST /mark?text=...   a line of its own in the log
func (p *Proxy) Control(address string) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /rules", p.postRules)
	mux.HandleFunc("GET /rules", p.getRules)
	mux.HandleFunc("DELETE /rules", func(http.ResponseWriter, *http.Request) { p.Clear() })
	mux.HandleFunc("GET /wait", p.waitRule)
	mux.HandleFunc("POST /release", func(http.ResponseWriter, *http.Request) { p.Release() })
	mux.HandleFunc("POST /now", p.postNow)
	mux.HandleFunc("POST /mark", func(_ http.ResponseWriter, r *http.Request) { p.Mark(r.FormValue("text")) })
	s := &http.Server{Handler: mux}
	p.servers["control "+l.Addr().String()] = s
	go s.Serve(l)
	return "http://" + l.Addr().String(), nil
}

// ParseRules reads one rule or a list of them.
func ParseRules(text []byte) ([]Rule, error) {
	var many []Rule
	if json.Unmarshal(text, &many) == nil {
		return many, nil
	}
	var one Rule
	if err := json.Unmarshal(text, &one); err != nil {
		return nil, err
	}
	return []Rule{one}, nil
}

func (p *Proxy) postRules(w http.ResponseWriter, r *http.Request) {
	var text json.RawMessage
	err := json.NewDecoder(r.Body).Decode(&text)
	var all []Rule
	if err == nil {
		all, err = ParseRules(text)
	}
	if err == nil {
		err = p.Add(all...)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

func (p *Proxy) getRules(w http.ResponseWriter, _ *http.Request) {
	p.rules.mu.Lock()
	defer p.rules.mu.Unlock()
	type row struct {
		*Rule
		Matched, Acted int
	}
	all := []row{}
	for _, r := range p.rules.all {
		all = append(all, row{r, r.seen, r.done})
	}
	json.NewEncoder(w).Encode(all)
}

func (p *Proxy) waitRule(w http.ResponseWriter, r *http.Request) {
	limit, err := time.ParseDuration(r.FormValue("timeout"))
	if err != nil {
		limit = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	defer cancel()
	if _, err := p.Wait(ctx, r.FormValue("rule")); err != nil {
		http.Error(w, err.Error(), http.StatusRequestTimeout)
	}
}

func (p *Proxy) postNow(w http.ResponseWriter, r *http.Request) {
	if err := p.Now(r.FormValue("do")); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

// Now does something to all open connections.
func (p *Proxy) Now(do string) error {
	act := map[string]func(int){"close": p.conns.close, "black-hole": p.conns.swallow}[do]
	if act == nil {
		return fmt.Errorf("do %q is neither close nor black-hole", do)
	}
	for _, n := range p.conns.numbers() {
		act(n)
	}
	return nil
}
