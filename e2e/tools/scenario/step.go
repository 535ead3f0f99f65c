package scenario

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"vmgpu.io/e2e/kube"
)

const (
	defaultWithin = 10 * time.Second
	defaultFor    = 2 * time.Second
	lookEvery     = 100 * time.Millisecond
	lookAnyway    = 500 * time.Millisecond
)

// do runs one step, as often as it says.
func (s *stage) do(ctx context.Context, p *Step) error {
	if p.Through != "" {
		b, through := *s.Bench, *s
		b.client = kube.New(s.proxy.Config(p.Through), "vmgpu-e2e/scenario")
		through.Bench, s = &b, &through
	}
	if p.Meanwhile {
		s.meanwhile.begin(func() error { return s.rounds(ctx, p) })
		return nil
	}
	return s.rounds(ctx, p)
}

func (s *stage) rounds(ctx context.Context, p *Step) error {
	for i := range max(1, p.Times) {
		step, err := p.round(i + 1)
		if err == nil {
			err = s.once(ctx, step)
		}
		if err != nil {
			return err
		}
		s.rest(ctx, p)
	}
	return nil
}

// rest pauses between one time and the next.
func (s *stage) rest(ctx context.Context, p *Step) {
	select {
	case <-time.After(p.Every.In(s.lease, 0)):
	case <-ctx.Done():
	}
}

// meanwhile is what goes on beside the steps.
type meanwhile struct {
	wait sync.WaitGroup
	mu   sync.Mutex
	err  error
}

func (m *meanwhile) begin(do func() error) {
	m.wait.Go(func() {
		if err := do(); err != nil {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.err = errors.Join(m.err, err)
		}
	})
}

func (m *meanwhile) join() error {
	m.wait.Wait()
	return m.err
}

func (s *stage) once(ctx context.Context, p *Step) error {
	within := time.Duration(float64(p.Within.In(s.lease, defaultWithin)) * s.slack)
	switch {
	case p.Apply != nil:
		return s.each(p.Apply, func(path string, o kube.Object) error {
			defer s.rest(ctx, p)
			return s.apply(ctx, path, p.By, o)
		})
	case p.Status != nil:
		return s.each(p.Status, func(path string, o kube.Object) error { return s.setStatus(ctx, path, o) })
	case p.Patch != nil:
		return s.patch(ctx, p.Patch, p.By)
	case p.Append != nil:
		return s.append(ctx, p.Append, p.By)
	case p.Delete != nil:
		return s.remove(ctx, p.Delete)
	case p.Call != nil:
		_, err := s.client.Raw(ctx, p.Call.Method, p.Call.Path, kube.JSON, p.Call.Body)
		return err
	case p.Refused != nil:
		return s.refused(ctx, p.Refused, p.By)
	case p.Wait != nil:
		return s.await(ctx, p.Wait, within)
	case p.Expect != nil:
		return s.await(ctx, p.Expect, 0)
	case p.Stays != nil:
		return s.stays(ctx, p.Stays, p.For.In(s.lease, defaultFor))
	case p.Remember != nil:
		o, err := s.look(ctx, p.Remember.Of)
		s.remembered[p.Remember.As] = o.Get(p.Remember.Path)
		return err
	case p.Controller != nil:
		return s.controllers(ctx, p.Controller)
	case p.Rule != nil:
		return s.proxy.Add(*p.Rule)
	case p.Hit != "":
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		_, err := s.proxy.Wait(ctx, p.Hit)
		return err
	case p.Proxy != "":
		return s.proxyOrder(p.Proxy)
	case p.Join:
		return s.meanwhile.join()
	case p.Settle:
		return s.settle(ctx, s.quiet)
	}
	select {
	case <-time.After(p.Pause.In(s.lease, 0)):
	case <-ctx.Done():
	}
	return ctx.Err()
}

func (s *stage) each(all Objects, do func(path string, o kube.Object) error) error {
	for _, o := range all {
		path, err := s.pathOf(o)
		if err != nil {
			return err
		}
		if err := do(path, o); err != nil {
			return err
		}
	}
	return nil
}

func manager(by string) string {
	if by == "" {
		return "e2e"
	}
	return by
}

// apply is a server-side apply. What a webhook refuses while its program starts anew is tried again for a moment.
func (s *stage) apply(ctx context.Context, path, by string, o kube.Object) error {
	var err error
	for range 20 {
		if _, err = s.client.Apply(ctx, path, manager(by), o); !kube.IsCode(err, 500, 503) {
			return err
		}
		time.Sleep(250 * time.Millisecond)
	}
	return err
}

func (s *stage) setStatus(ctx context.Context, path string, o kube.Object) error {
	_, err := s.client.Merge(ctx, path+"/status", kube.Object{"status": o["status"]})
	return err
}

func (s *stage) patch(ctx context.Context, p *Patch, by string) error {
	path, err := s.path(p.Of)
	if err != nil {
		return err
	}
	if p.Subresource != "" {
		path += "/" + p.Subresource
	}
	path += "?fieldManager=" + manager(by)
	if p.JSON != nil {
		_, err = s.client.Do(ctx, "PATCH", path, kube.JSONPatch, p.JSON)
		return err
	}
	_, err = s.client.Merge(ctx, path, p.Merge)
	return err
}

// append gets the object, adds to the list and puts it back, again and again while somebody else is faster.
func (s *stage) append(ctx context.Context, a *Append, by string) error {
	path, err := s.path(a.Of)
	if err != nil {
		return err
	}
	parent, field := a.Path[:strings.LastIndexByte(a.Path, '.')], a.Path[strings.LastIndexByte(a.Path, '.')+1:]
	for range 100 {
		o, err := s.client.Get(ctx, path)
		if err != nil {
			return err
		}
		at, ok := o.Get(parent).(map[string]any)
		if !ok {
			return fmt.Errorf("%s has no %s", a.Of, parent)
		}
		list, _ := at[field].([]any)
		at[field] = append(list, a.Value)
		if _, err = s.client.Put(ctx, path+"?fieldManager="+manager(by), o); !kube.IsCode(err, 409) {
			return err
		}
	}
	return fmt.Errorf("%s: a conflict each time", a.Of)
}

func (s *stage) remove(ctx context.Context, refs Texts) error {
	for _, ref := range refs {
		path, err := s.path(ref)
		if err != nil {
			return err
		}
		if err := s.client.Delete(ctx, path, nil); err != nil && !kube.IsCode(err, 404) {
			return err
		}
	}
	return nil
}

func (s *stage) refused(ctx context.Context, r *Refused, by string) error {
	path, err := s.pathOf(r.Apply)
	if err != nil {
		return err
	}
	_, err = s.client.Apply(ctx, path, manager(by), r.Apply)
	var refusal *kube.Error
	switch {
	case err == nil:
		return fmt.Errorf("%s was accepted", path)
	case !errors.As(err, &refusal):
		return err
	case !strings.Contains(refusal.Message, r.Contains):
		return fmt.Errorf("refused, but with: %s", refusal.Message)
	}
	return nil
}

// await looks until the check holds.
func (s *stage) await(ctx context.Context, c *Check, within time.Duration) error {
	for end := time.Now().Add(within); ; {
		before := s.noticed(c.Of)
		o, err := s.see(ctx, c)
		why := ""
		if err == nil {
			var ok bool
			if ok, why = c.holds(o, s.remembered); ok {
				return nil
			}
			err = fmt.Errorf("%s: %s", c.Of, why)
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return err
		}
		s.untilNoticed(c.Of, before)
	}
}

func (s *stage) stays(ctx context.Context, c *Check, long time.Duration) error {
	for end := time.Now().Add(long); time.Now().Before(end); {
		before := s.noticed(c.Of)
		if err := s.await(ctx, c, 0); err != nil {
			return err
		}
		s.untilNoticed(c.Of, before)
	}
	return nil
}

// noticed is when the observer last heard of what a REF names; zero for a list, and for what nobody watches.
func (s *stage) noticed(ref string) time.Time {
	path, err := s.path(ref)
	if err != nil {
		return time.Time{}
	}
	return s.observer.Heard(path)
}

// untilNoticed waits until there may be something new to see, so that to look often costs the server nothing.
func (s *stage) untilNoticed(ref string, before time.Time) {
	limit := lookAnyway
	if strings.Contains(ref, " ?") {
		limit = lookEvery
	}
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if s.noticed(ref).After(before) {
			return
		}
	}
}

func (s *stage) controllers(ctx context.Context, orders Texts) error {
	for _, order := range orders {
		if err := s.act(ctx, order); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) proxyOrder(order string) error {
	switch order {
	case "release":
		s.proxy.Release()
	case "clear":
		s.proxy.Clear()
	default:
		return s.proxy.Now(order)
	}
	return nil
}

// settle waits until all is done and nothing was written for the time of quiet; what is not done is for the observer to report.
func (s *stage) settle(ctx context.Context, quiet time.Duration) error {
	limit := time.Duration(float64(convergeLimit) * s.slack)
	if s.scenario.Violates != "" {
		limit = 2 * time.Second // what is broken on purpose does not heal
	}
	if found := s.observer.Converge(ctx, quiet, limit); len(found) > 0 {
		return fmt.Errorf("%s: %s: %s", found[0].Invariant, found[0].Object, found[0].Message)
	}
	return nil
}
