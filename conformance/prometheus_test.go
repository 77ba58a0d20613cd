package main_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestPromtool runs the checks of docs/metrics.md as printed.
func TestPromtool(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```sh\npromtool ")
	if !found {
		t.Fatal("docs/metrics.md has no block that begins with promtool")
	}
	block, _, _ := strings.Cut(rest, "```")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-ec", "promtool "+block)
	command.Dir = ".."
	if out, err := command.CombinedOutput(); err != nil || strings.Count(string(out), "SUCCESS") < 3 {
		t.Errorf("%v (scripts/setup.sh test installs promtool)\n%s", err, out)
	}
}

// panel is a panel of the dashboard, a row of panels included.
type panel struct {
	Title   string
	Targets []struct{ Expr string }
	Panels  []panel
}

func dashboard(t *testing.T) []panel {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "deploy", "grafana", "zio-gateway.json"))
	if err != nil {
		t.Fatal(err)
	}
	var read struct{ Panels []panel }
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	return read.Panels
}

// TestDashboard: a Prometheus scrapes a gateway at work, and every query of the
// dashboard has an answer. The alert rules are loaded and sound.
func TestDashboard(t *testing.T) {
	notWithLibzmq(t, "does not say what becomes of connections")
	collected := startSpanCollector(t)
	s := &secured{keys: filepath.Join(t.TempDir(), "keys")}
	s.keygen(t, "server", s.keys)
	route := freeAddress(t)
	p := serve(t, []string{
		"--default-routes", "--otlp-endpoint=" + collected.URL, "--tls-cert=" + s.file("server.pem"), "--tls-key=" + s.file("server.key"),
		"--cluster=lab", "--cluster-node=a", "--cluster-listen=" + route, "--cluster-peer=127.0.0.1:0", "--insecure=cluster",
	}, []string{"OTEL_BSP_SCHEDULE_DELAY=50"})
	serve(t, []string{
		"--cluster=lab", "--cluster-node=b", "--cluster-listen=127.0.0.1:0", "--cluster-peer=127.0.0.1:0", "--insecure=cluster",
		"--cluster-join=" + route,
	}, nil)
	at := startPrometheus(t, p.http)

	ctx, cancel := context.WithCancel(t.Context())
	worked := make(chan error, 1)
	go func() { worked <- work(ctx, p) }()
	defer func() {
		cancel()
		if err := <-worked; err != nil {
			t.Errorf("the gateway was not at work: %v", err)
		}
	}()

	queries := 0
	for _, panel := range dashboard(t) {
		for _, target := range panel.Targets {
			queries++
			expr := strings.NewReplacer("$__rate_interval", "5s", "$instance", ".*").Replace(target.Expr)
			eventually(t, panel.Title+": "+expr, func() error { return at.hasData(expr) })
		}
	}
	if queries < 30 {
		t.Errorf("the dashboard has only %d queries", queries)
	}
	at.checkRules(t)
}

// work has a client take one flow after another, and another client find no
// handler.
func work(ctx context.Context, p *program) error {
	client, err := dial(viaDealer, p.addresses[viaDealer])
	if err != nil {
		return err
	}
	defer client.leave()
	anybody := credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}) //nolint:gosec // whose it is does not matter here
	conn, err := grpc.NewClient(p.addresses[viaGRPC], grpc.WithTransportCredentials(anybody))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for ctx.Err() == nil {
		bot := flowMessage(`{"flow":"BOT","direction":"inject","credit":20,"count":20,"size":1000}`)
		for _, m := range []*zio.Message{bot, payMessage(20)} {
			if err := client.send(m); err != nil {
				return err
			}
			if _, err := client.recv(); err != nil {
				return err
			}
		}
		for over := false; !over; {
			m, err := client.recv()
			if err != nil {
				return err
			}
			over = m.Type == zio.EOT
		}
		if err := client.send(eotMessage()); err != nil {
			return err
		}
		decline, cancel := context.WithTimeout(ctx, patience)
		_, _ = gatewayv1.NewHandlerServiceClient(conn).Decline(decline, &gatewayv1.DeclineRequest{Cid: 5})
		cancel()
	}
	return nil
}

// prometheus is a running Prometheus' address.
type prometheus string

// startPrometheus runs one with the configuration in deploy/, which scrapes the
// gateway a few times a second, until the test's end.
func startPrometheus(t *testing.T, gateway string) prometheus {
	t.Helper()
	source := filepath.Join("..", "deploy", "prometheus")
	text, err := os.ReadFile(filepath.Join(source, "prometheus.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := filepath.Abs(filepath.Join(source, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := strings.NewReplacer("15s", "200ms", "127.0.0.1:7576", gateway, "alerts.yaml", rules).Replace(string(text))
	file := filepath.Join(dir, "prometheus.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	log := newLogBuffer()
	command := exec.Command("prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--log.level=warn")
	command.Stderr = log
	if err := command.Start(); err != nil {
		t.Fatalf("%v (scripts/setup.sh test installs it)", err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(patience, func() { _ = command.Process.Kill() })
		defer kill.Stop()
		if err := command.Wait(); err != nil || t.Failed() {
			t.Errorf("Prometheus ended with %v:\n%s", err, log.text())
		}
	})
	at := prometheus(address)
	eventually(t, "Prometheus", func() error { return at.hasData("up") })
	return at
}

// freeAddress is one of the loopback interface that nobody has bound just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// get asks its API, and reads the answer's data.
func (at prometheus) get(path string, data any) error {
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	response, err := client.Get("http://" + string(at) + "/api/v1/" + path)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", answer.Status, answer.Error)
	}
	return nil
}

// hasData tells whether a query answers at least one number.
func (at prometheus) hasData(expr string) error {
	var data struct{ Result []struct{ Value [2]any } }
	if err := at.get("query?query="+url.QueryEscape(expr), &data); err != nil {
		return err
	}
	for _, sample := range data.Result {
		text, _ := sample.Value[1].(string)
		if value, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(value) {
			return nil
		}
	}
	return fmt.Errorf("no number in %v", data.Result)
}

// checkRules wants every alert of the documentation to be loaded, evaluated and
// silent, as nothing is wrong.
func (at prometheus) checkRules(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(ZioGateway\\w+)` \\|").FindAllStringSubmatch(string(text), -1) {
		documented[row[1]] = true
	}
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError, State string }
		}
	}
	eventually(t, "the alert rules", func() error {
		if err := at.get("rules", &data); err != nil {
			return err
		}
		for _, group := range data.Groups {
			for _, rule := range group.Rules {
				if rule.Health != "ok" {
					return fmt.Errorf("%s is %s: %s", rule.Name, rule.Health, rule.LastError)
				}
			}
		}
		return nil
	})
	for _, group := range data.Groups {
		for _, rule := range group.Rules {
			if !documented[rule.Name] {
				t.Errorf("%s is not documented", rule.Name)
			}
			delete(documented, rule.Name)
			if rule.State != "inactive" {
				t.Errorf("%s is %s", rule.Name, rule.State)
			}
		}
	}
	if len(documented) > 0 {
		t.Errorf("documented, but not loaded: %v", documented)
	}
}
