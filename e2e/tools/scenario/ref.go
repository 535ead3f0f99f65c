package scenario

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"vmgpu.io/e2e/kube"
)

// A REF names an object: "Kind NAME", "Kind.group NAMESPACE/NAME", or, for what has no name known before, "Kind ?label=value", which is a
// list with items. The namespace is the scenario's if none is given.
func (s *stage) path(ref string) (string, error) {
	kind, name, ok := strings.Cut(ref, " ")
	if !ok {
		return "", fmt.Errorf("%q names no object: Kind NAME", ref)
	}
	r, err := s.resources.Find(kind)
	if err != nil {
		return "", err
	}
	if selector, list := strings.CutPrefix(name, "?"); list {
		return r.Path(s.namespace, "") + "?labelSelector=" + url.QueryEscape(selector), nil
	}
	namespace := s.namespace
	if ns, rest, given := strings.Cut(name, "/"); given {
		namespace, name = ns, rest
	}
	return r.Path(namespace, name), nil
}

// look gets what a REF names; nil if it is not there.
func (s *stage) look(ctx context.Context, ref string) (kube.Object, error) {
	path, err := s.path(ref)
	if err != nil {
		return nil, err
	}
	o, err := s.client.Get(ctx, path)
	if kube.IsCode(err, 404) {
		return nil, nil
	}
	return o, err
}

// see is the object that a check is of, or what kubectl shows of it.
func (s *stage) see(ctx context.Context, c *Check) (kube.Object, error) {
	if c.Columns == nil {
		return s.look(ctx, c.Of)
	}
	path, err := s.path(c.Of)
	if err != nil {
		return nil, err
	}
	return s.client.Columns(ctx, path)
}

// pathOf is where an object is, or goes to.
func (s *stage) pathOf(o kube.Object) (string, error) {
	r, err := s.resources.Of(o)
	if err != nil {
		return "", err
	}
	namespace := o.Namespace()
	if namespace == "" {
		namespace = s.namespace
	}
	return r.Path(namespace, o.Name()), nil
}
