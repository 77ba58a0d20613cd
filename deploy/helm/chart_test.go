// Package helm_test lints the chart, renders it, and has the gateway check what it would be
// configured with.
package helm_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/zioflow/gateway/internal/version"
)

const chart = "zio-gateway"

// kubernetes is the version for which charts are rendered; helm's own is what it was built with.
const kubernetes = "--kube-version=1.31.0"

// needTools skips a test where nothing has been installed for it: helm takes minutes to build.
func needTools(t *testing.T) {
	t.Helper()
	if os.Getenv("TEST_PACKAGES") == "" {
		t.Skip("needs scripts/setup.sh dist: make soak runs it, and TEST_PACKAGES=1")
	}
}

// kinds are what each of the chart's values files makes, in no order.
var kinds = map[string][]string{
	"open": {
		"ConfigMap lab-zio-gateway", "PodDisruptionBudget lab-zio-gateway", "Service lab-zio-gateway",
		"Service lab-zio-gateway-nodes", "ServiceAccount lab-zio-gateway", "StatefulSet lab-zio-gateway",
	},
	"secure": {
		"ConfigMap lab-zio-gateway", "PodDisruptionBudget lab-zio-gateway", "PrometheusRule lab-zio-gateway", "Service lab-zio-gateway",
		"Service lab-zio-gateway-nodes", "ServiceAccount lab-zio-gateway", "ServiceMonitor lab-zio-gateway", "StatefulSet lab-zio-gateway",
	},
	"cluster": {
		"ConfigMap lab-zio-gateway", "NetworkPolicy lab-zio-gateway", "PodDisruptionBudget lab-zio-gateway", "Service lab-zio-gateway",
		"Service lab-zio-gateway-nodes", "ServiceAccount lab-zio-gateway", "StatefulSet lab-zio-gateway",
	},
	"nats": {
		"ConfigMap lab-zio-gateway", "Service lab-zio-gateway", "Service lab-zio-gateway-nodes", "StatefulSet lab-zio-gateway",
	},
}

func TestChart(t *testing.T) {
	needTools(t)
	gateway := filepath.Join(t.TempDir(), "gateway")
	output(t, nil, "go", "build", "-o", gateway, "github.com/zioflow/gateway/cmd/gateway")
	keys := keysFor(t, gateway)
	for name, want := range kinds {
		t.Run(name, func(t *testing.T) {
			values := filepath.Join(chart, "ci", name+"-values.yaml")
			output(t, nil, "helm", "lint", kubernetes, "--strict", "--quiet", "--values", values, chart)
			rendered := output(t, nil, "helm", "template", "lab", chart, kubernetes, "--namespace", "daq", "--values", values)
			got := strings.Split(strings.TrimSpace(output(t, []byte(rendered), "manifests")), "\n")
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("it makes %q, want %q", got, want)
			}
			check(t, gateway, keys, objects(t, rendered))
		})
	}
	t.Run("documents", func(t *testing.T) { documented(t, gateway, keys) })
}

// documented: the values that the documents print make a gateway.
func documented(t *testing.T, gateway, keys string) {
	for _, name := range []string{"kubernetes.md", "cluster.md"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?s)\n```yaml\n(.*?)```\n").FindAllSubmatch(text, -1)
		if len(blocks) != 1 {
			t.Fatalf("%s has %d blocks", name, len(blocks))
		}
		values := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(values, blocks[0][1], 0o600); err != nil {
			t.Fatal(err)
		}
		rendered := output(t, nil, "helm", "template", "lab", chart, kubernetes, "--values", values)
		output(t, []byte(rendered), "manifests")
		check(t, gateway, keys, objects(t, rendered))
	}
}

// TestChart_refuses: values that make no sense, or a gateway for everybody, are told in words.
func TestChart_refuses(t *testing.T) {
	needTools(t)
	for values, words := range map[string]string{
		"replicas=1": "grpc and zmq would serve everybody",
		"security.identitiesSecret=a,security.tlsSecret=b":                     "zmq would serve everybody",
		"security.insecure=true,cluster.enabled=true":                          "cluster.keysSecret names the Secret",
		"security.insecure=true,security.clientCertificates=optional":          "security.clientCertificates needs security.tlsSecret",
		"security.insecure=true,replica=2":                                     "'replica' not allowed",
		"security.insecure=true,service.type=Sometimes":                        "must be one of 'ClusterIP', 'NodePort', 'LoadBalancer'",
		"security.insecure=true,cluster.enabled=true,cluster.name=two\\ words": "does not match pattern",
	} {
		command := exec.CommandContext(t.Context(), "helm", "template", chart, kubernetes, "--set", values)
		out, err := command.CombinedOutput()
		if err == nil || !strings.Contains(string(out), words) {
			t.Errorf("%s: %v\n%s\nwant %q", values, err, out, words)
		}
	}
}

// TestChart_version: the chart is of the gateway's version.
func TestChart_version(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(chart, "Chart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Version    string
		AppVersion string `yaml:"appVersion"`
	}
	if err := yaml.Unmarshal(text, &c); err != nil || c.Version != version.Number || c.AppVersion != version.Number {
		t.Errorf("%v: it is %+v, want %s", err, c, version.Number)
	}
}

// output is what a program prints, which succeeds.
func output(t *testing.T, stdin []byte, program string, arguments ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, arguments...)
	var stderr strings.Builder
	command.Stdin, command.Stderr = bytes.NewReader(stdin), &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(arguments, " "), err, out, stderr.String())
	}
	return string(out)
}

// keysFor is a folder with what the chart's Secrets have, where it mounts them.
func keysFor(t *testing.T, gateway string) string {
	t.Helper()
	dir, made := t.TempDir(), t.TempDir()
	output(t, nil, gateway, "keygen", "server", made)
	output(t, nil, gateway, "keygen", "cluster", filepath.Join(made, "cluster"), "node")
	for name, from := range map[string]string{
		"tls/tls.crt": "server.pem", "tls/tls.key": "server.key", "tls/ca.crt": "ca.pem", "curve/server.curve": "server.curve",
		"cluster/ca.pem": "cluster/node/ca.pem", "cluster/node.pem": "cluster/node/node.pem", "cluster/node.key": "cluster/node/node.key",
		"identities/identities.yaml": "", "nats/nats.creds": "",
	} {
		text := []byte("identities: []\n")
		if from != "" {
			var err error
			if text, err = os.ReadFile(filepath.Join(made, from)); err != nil {
				t.Fatal(err)
			}
		}
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// object is what the test wants of a manifest.
type object struct {
	Kind string
	Data map[string]string
	Spec struct {
		Template struct {
			Spec struct {
				TerminationGracePeriodSeconds int `yaml:"terminationGracePeriodSeconds"`
				Containers                    []struct {
					Args         []string
					Env          []struct{ Name, Value string }
					VolumeMounts []struct {
						MountPath string `yaml:"mountPath"`
					} `yaml:"volumeMounts"`
				}
			}
		}
	}
}

// objects are the manifests by their kinds; of several of one kind the last.
func objects(t *testing.T, rendered string) map[string]object {
	t.Helper()
	all := map[string]object{}
	for decoder := yaml.NewDecoder(strings.NewReader(rendered)); ; {
		var o object
		err := decoder.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all[o.Kind] = o
	}
}

// check has the gateway check its configuration, in the pod's environment on top of that of
// the image, with keys where the Secrets would be.
func check(t *testing.T, gateway, keys string, objects map[string]object) {
	t.Helper()
	pod := objects["StatefulSet"].Spec.Template.Spec
	config := objects["ConfigMap"].Data["gateway.yaml"]
	if len(pod.Containers) != 1 || config == "" {
		t.Fatalf("%+v", objects)
	}
	// Whatever the configuration names is mounted.
	named := regexp.MustCompile(`/etc/zio-gateway/[a-z]+`).FindAllString(config, -1)
	for _, path := range named {
		if !slices.ContainsFunc(pod.Containers[0].VolumeMounts, func(m struct {
			MountPath string `yaml:"mountPath"`
		}) bool {
			return m.MountPath == path
		}) {
			t.Errorf("%s is not mounted", path)
		}
	}
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(config, "/etc/zio-gateway/", keys+"/")), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := append(imageEnvironment(t), "PATH="+os.Getenv("PATH"))
	for _, e := range pod.Containers[0].Env {
		environment = append(environment, e.Name+"="+strings.ReplaceAll(e.Value, "$(POD_IP)", "10.1.2.3"))
	}
	command := exec.CommandContext(t.Context(), gateway, "check", file)
	command.Env = environment
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("gateway check: %v\n%s\n%s", err, out, config)
	}
	var drain struct {
		Grace string `yaml:"drain-grace"`
	}
	if err := yaml.Unmarshal([]byte(config), &drain); err != nil || drain.Grace == "" || pod.TerminationGracePeriodSeconds < 30 {
		t.Errorf("%v: drains for %q, and may take %d s", err, drain.Grace, pod.TerminationGracePeriodSeconds)
	}
}

// imageEnvironment are the variables that the image sets, of which the chart wants none.
func imageEnvironment(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../tools/image/main.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, match := range regexp.MustCompile(`"(ZIO_GATEWAY_[A-Z_]+)="?`).FindAllSubmatch(text, -1) {
		all = append(all, string(match[1])+"=/not/there")
	}
	if len(all) < 5 {
		t.Fatalf("the image sets %v", all)
	}
	return all
}
