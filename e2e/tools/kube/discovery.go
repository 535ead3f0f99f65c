package kube

import (
	"context"
	"fmt"
	"net/url"
	"strings"
)

// Resource is one kind as the server serves it.
type Resource struct {
	Group, Version, Plural, Kind string
	Namespaced                   bool
}

// Path is the URL path of all objects (name empty) or one of them.
func (r Resource) Path(namespace, name string) string {
	p := "/apis/" + r.Group + "/" + r.Version
	if r.Group == "" {
		p = "/api/" + r.Version
	}
	if r.Namespaced && namespace != "" {
		p += "/namespaces/" + url.PathEscape(namespace)
	}
	p += "/" + r.Plural
	if name != "" {
		p += "/" + url.PathEscape(name)
	}
	return p
}

// Resources are all kinds that the server serves, each in its preferred version.
type Resources []Resource

// Discover asks the server what it serves.
func (c *Client) Discover(ctx context.Context) (Resources, error) {
	var all Resources
	for _, root := range []string{"/api?", "/apis?"} {
		l, err := c.Get(ctx, root)
		if err != nil {
			return nil, err
		}
		for _, group := range l.Objects("items") {
			seen := map[string]bool{}
			for _, version := range group.Objects("versions") {
				for _, r := range version.Objects("resources") {
					kind := r.Str("responseKind.kind")
					if seen[kind] {
						continue
					}
					seen[kind] = true
					all = append(all, Resource{group.Name(), version.Str("version"), r.Str("resource"), kind, r.Str("scope") == "Namespaced"})
				}
			}
		}
	}
	return all, nil
}

// Find looks up Kind.group; the group may be shortened ("VirtualMachine.kubevirt.io") or, if only one has the kind, left out.
func (all Resources) Find(name string) (Resource, error) {
	kind, group, qualified := strings.Cut(name, ".")
	var found []Resource
	for _, r := range all {
		if r.Kind == kind && (!qualified || r.Group == group) {
			found = append(found, r)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	if len(found) == 0 {
		return Resource{}, fmt.Errorf("the server has no %s", name)
	}
	for _, r := range found {
		if r.Group == "" {
			return r, nil
		}
	}
	return Resource{}, fmt.Errorf("%s is in %s and %s: write Kind.group", name, found[0].Group, found[1].Group)
}

// Of is the resource of an object.
func (all Resources) Of(o Object) (Resource, error) {
	version, _ := o["apiVersion"].(string)
	if i := strings.IndexByte(version, '/'); i >= 0 {
		version = version[i+1:]
	}
	for _, r := range all {
		if r.Kind == o.Kind() && r.Group == o.Group() {
			r.Version = version
			return r, nil
		}
	}
	return Resource{}, fmt.Errorf("the server has no %s of %v", o.Kind(), o["apiVersion"])
}
