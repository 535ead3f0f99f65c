package kube

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

// Config is what the tools need of a kubeconfig: the server, whom it must prove to be, and who asks.
type Config struct {
	Server string
	CA     []byte
	Token  string
}

type kubeconfig struct {
	Clusters []struct {
		Name    string
		Cluster struct {
			Server string
			CA     string `json:"certificate-authority-data"`
			CAFile string `json:"certificate-authority"`
		}
	}
	Users []struct {
		Name string
		User struct{ Token string }
	}
	Contexts []struct {
		Name    string
		Context struct{ Cluster, User string }
	}
	Current string `json:"current-context"`
}

// LoadConfig reads a kubeconfig, or the one in a folder that e2e/cluster's up.sh made.
func LoadConfig(path string) (Config, error) {
	if s, err := os.Stat(path); err == nil && s.IsDir() {
		path = filepath.Join(path, "kubeconfig")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	var k kubeconfig
	if err := yaml.Unmarshal(text, &k); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	c, err := k.pick()
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func (k *kubeconfig) pick() (c Config, err error) {
	for _, context := range k.Contexts {
		if context.Name != k.Current {
			continue
		}
		for _, cluster := range k.Clusters {
			if cluster.Name != context.Context.Cluster {
				continue
			}
			c.Server = cluster.Cluster.Server
			if cluster.Cluster.CAFile != "" {
				c.CA, err = os.ReadFile(cluster.Cluster.CAFile)
			} else {
				c.CA, err = base64.StdEncoding.DecodeString(cluster.Cluster.CA)
			}
		}
		for _, user := range k.Users {
			if user.Name == context.Context.User {
				c.Token = user.User.Token
			}
		}
	}
	if err == nil && (c.Server == "" || c.Token == "") {
		err = fmt.Errorf("no server or no token in context %q", k.Current)
	}
	return c, err
}

// Write makes a kubeconfig with one context.
func (c Config) Write(path string) error {
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: u, user: {token: %q}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
`, c.Server, base64.StdEncoding.EncodeToString(c.CA), c.Token)
	return os.WriteFile(path, []byte(text), 0o600)
}
