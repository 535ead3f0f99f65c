// Package kube is a small client of the Kubernetes API: objects are decoded JSON, resources come from discovery, and a watch goes on
// until its context ends. It is for tests' tools only; nothing that ships uses it.
package kube

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	JSON       = "application/json"
	MergePatch = "application/merge-patch+json"
	JSONPatch  = "application/json-patch+json"
	ApplyPatch = "application/apply-patch+yaml"
)

// Client talks to one API server as one user.
type Client struct {
	Config
	Agent string
	http  *http.Client
	table bool // objects are asked for as what kubectl shows of them
}

// Error is an answer that is not 2xx.
type Error struct {
	Code    int
	Message string
	What    string
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %d %s", e.What, e.Code, e.Message) }

// IsCode tells whether the server answered with one of these codes.
func IsCode(err error, codes ...int) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	for _, c := range codes {
		if e.Code == c {
			return true
		}
	}
	return false
}

// New makes a client; agent is its User-Agent.
func New(c Config, agent string) *Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(c.CA)
	t := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: pool},
		ForceAttemptHTTP2: true,
		IdleConnTimeout:   90 * time.Second,
	}
	return &Client{Config: c, Agent: agent, http: &http.Client{Transport: t}}
}

// Open makes a client from a kubeconfig or a cluster's folder.
func Open(path, agent string) (*Client, error) {
	c, err := LoadConfig(path)
	if err != nil {
		return nil, err
	}
	return New(c, agent), nil
}

// As is the same client with another token.
func (c *Client) As(token string) *Client {
	other := *c
	other.Token = token
	return &other
}

func (c *Client) send(ctx context.Context, method, path, kind string, body any) (*http.Response, error) {
	var data io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		data = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		data = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.Server+path, data)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.Token)
	r.Header.Set("User-Agent", c.Agent)
	r.Header.Set("Accept", "application/json, */*;q=0.1")
	if strings.HasPrefix(path, "/apis?") || strings.HasPrefix(path, "/api?") {
		r.Header.Set("Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
	}
	if c.table {
		r.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	}
	if body != nil {
		r.Header.Set("Content-Type", kind)
	}
	return c.http.Do(r)
}

// Raw sends one request and reads the whole answer.
func (c *Client) Raw(ctx context.Context, method, path, kind string, body any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	r, err := c.send(ctx, method, path, kind, body)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if r.StatusCode/100 != 2 {
		return nil, failure(method+" "+path, r.StatusCode, text)
	}
	return text, nil
}

// Do is Raw for an answer that is an object.
func (c *Client) Do(ctx context.Context, method, path, kind string, body any) (Object, error) {
	text, err := c.Raw(ctx, method, path, kind, body)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return Object{}, nil
	}
	return Decode(text)
}

func failure(what string, code int, text []byte) error {
	var s struct{ Message string }
	if json.Unmarshal(text, &s) != nil || s.Message == "" {
		s.Message = strings.TrimSpace(string(text[:min(len(text), 300)]))
	}
	return &Error{Code: code, Message: s.Message, What: what}
}

func (c *Client) Get(ctx context.Context, path string) (Object, error) {
	return c.Do(ctx, "GET", path, "", nil)
}

// Columns is what `kubectl get -o wide` shows of an object, by the names of the columns.
func (c *Client) Columns(ctx context.Context, path string) (Object, error) {
	other := *c
	other.table = true
	t, err := other.Get(ctx, path)
	if err != nil {
		return nil, err
	}
	shown := Object{}
	for i, column := range t.Objects("columnDefinitions") {
		if cells := t.List("rows[0].cells"); i < len(cells) {
			shown[column.Str("name")] = cells[i]
		}
	}
	return shown, nil
}

func (c *Client) Create(ctx context.Context, path string, o any) (Object, error) {
	return c.Do(ctx, "POST", path, JSON, o)
}

func (c *Client) Put(ctx context.Context, path string, o any) (Object, error) {
	return c.Do(ctx, "PUT", path, JSON, o)
}

func (c *Client) Merge(ctx context.Context, path string, patch any) (Object, error) {
	return c.Do(ctx, "PATCH", path, MergePatch, patch)
}

// Apply is a forced server-side apply.
func (c *Client) Apply(ctx context.Context, path, manager string, o any) (Object, error) {
	return c.Do(ctx, "PATCH", path+"?force=true&fieldValidation=Strict&fieldManager="+url.QueryEscape(manager), ApplyPatch, o)
}

// Delete deletes; options may be nil.
func (c *Client) Delete(ctx context.Context, path string, options any) error {
	_, err := c.Do(ctx, "DELETE", path, JSON, options)
	return err
}
