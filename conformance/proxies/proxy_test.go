// Package proxies_test runs the configurations in docs/proxies.md, each with the proxy that it
// is for, side by side before one gateway, and has flows go through them.
package proxies_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	zioflow "github.com/zioflow/gateway/clients/go"
	"github.com/zioflow/gateway/gateway"
	"github.com/zioflow/gateway/internal/pki"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

// site is a gateway, and the keys of what stands before it.
type site struct {
	gateway *gateway.Gateway
	keys    string // the folder
	trust   *tls.Config
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{keys: t.TempDir()}
	ca, err := pki.NewCA("proxies", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Server([]string{"127.0.0.1"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"server.pem": pair.Certificate, "server.key": pair.Key, "haproxy.pem": append(bytes.Clone(pair.Certificate), pair.Key...),
	} {
		if err := os.WriteFile(filepath.Join(s.keys, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.trust = &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12}
	s.gateway = run(t)
	return s
}

// run runs a gateway whose connections are not allowed to become old, until the test's end.
func run(t *testing.T) *gateway.Gateway {
	t.Helper()
	c := gateway.DefaultConfig()
	c.ZMQ.Servers, c.ZMQ.Routers = []string{"tcp://127.0.0.1:*"}, []string{"tcp://127.0.0.1:*"}
	c.GRPC.Addresses, c.HTTP.Address, c.Node.Name = []string{"127.0.0.1:0"}, "127.0.0.1:0", "none"
	c.GRPC.MaxConnectionAge = 2 * time.Second
	g, err := gateway.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("the gateway stopped with %v", err)
		}
	})
	return g
}

var configuration = regexp.MustCompile("(?s)<!-- run: ([a-z-]+) -->\n```\n(.*?)```\n")

// configurations are those of the document, by their names.
func configurations(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/proxies.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, match := range configuration.FindAllStringSubmatch(string(text), -1) {
		found[match[1]] = match[2]
	}
	if len(found) != strings.Count(string(text), "\n```\n")/2 {
		t.Fatalf("the document has other blocks than the %d configurations", len(found))
	}
	return found
}

// free is an address that nobody listens at.
func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// start runs a proxy with a configuration as printed, at addresses and in folders of the
// test's own, and returns where the printed addresses are.
func (s *site) start(t *testing.T, name, config string) map[string]string {
	t.Helper()
	dir, is := t.TempDir(), s.gateway.Addresses()
	at := map[string]string{":443": free(t), "192.0.2.10:7575": free(t), "192.0.2.10:5555": free(t), "192.0.2.10:5556": free(t)}
	_, front, _ := strings.Cut(at[":443"], ":")
	_, http, _ := strings.Cut(is.HTTP, ":")
	comma, yaml := strings.NewReplacer(":", ","), strings.NewReplacer(":", ", port_value: ")
	config = strings.NewReplacer(
		"0.0.0.0:443", at[":443"], "0.0.0.0,443", comma.Replace(at[":443"]), "https://:443", "https://:"+front, "bind 0.0.0.0\n", "bind 127.0.0.1\n",
		"192.0.2.10:7575", at["192.0.2.10:7575"], "192.0.2.10:5555", at["192.0.2.10:5555"], "192.0.2.10:5556", at["192.0.2.10:5556"],
		"0.0.0.0, port_value: 443", yaml.Replace(at[":443"]), "127.0.0.1, port_value: 7575", yaml.Replace(is.GRPC), "port_value: 7576", "port_value: "+http,
		"127.0.0.1:7575", is.GRPC, "127.0.0.1,7575", comma.Replace(is.GRPC), "port 7576", "port "+http, "127.0.0.1:7576", is.HTTP,
		"127.0.0.1:5555", strings.TrimPrefix(is.ZMQServer[0], "tcp://"), "127.0.0.1:5556", strings.TrimPrefix(is.ZMQRouter[0], "tcp://"),
		"/etc/zio-gateway/", s.keys+"/", "/run/", dir+"/", "/var/log/nginx/", dir+"/",
		"http {", fmt.Sprintf("http { client_body_temp_path %[1]s/1; proxy_temp_path %[1]s/2; fastcgi_temp_path %[1]s/3; uwsgi_temp_path %[1]s/4; scgi_temp_path %[1]s/5;", dir),
	).Replace(config)
	file := filepath.Join(dir, "config.yaml") // Envoy goes by the name
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	program, _, _ := strings.Cut(name, "-")
	var listens []string
	for _, address := range at {
		if strings.Contains(config, address) || strings.Contains(config, comma.Replace(address)) || strings.Contains(config, yaml.Replace(address)) ||
			strings.Contains(config, "https://:"+front) && address == at[":443"] {
			listens = append(listens, address)
		}
	}
	launch(t, dir, listens, program, map[string][]string{
		"haproxy": {"-db", "-f", file},
		"nginx":   {"-c", file, "-g", "daemon off;"},
		"caddy":   {"run", "--adapter", "caddyfile", "--config", file},
		"nghttpx": {"--conf=" + file},
		"envoy":   {"-c", file, "--concurrency", "2", "--disable-hot-restart", "--log-level", "warning"},
	}[program])
	return at
}

// launch runs a program until the test's end, and returns when it listens.
func launch(t *testing.T, dir string, listens []string, program string, arguments []string) {
	t.Helper()
	command := exec.Command(program, arguments...)
	for _, folder := range []string{"/usr/sbin/", "../../.deps/python/bin/"} { // where Debian has some, and pip one
		if path, err := exec.LookPath(folder + program); err == nil {
			command.Path, command.Err = path, nil
		}
	}
	command.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	var log output
	command.Stdout, command.Stderr = &log, &log
	if err := command.Start(); err != nil {
		t.Fatalf("%v (scripts/setup.sh test installs it)", err)
	}
	exited := make(chan error, 1)
	go func() { exited <- command.Wait() }()
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		if err := <-exited; t.Failed() {
			t.Logf("%s: %v\n%s", program, err, log.text())
		}
	})
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	late := time.After(patience)
	for len(listens) > 0 {
		conn, err := net.Dial("tcp", listens[0])
		if err == nil {
			_ = conn.Close()
			listens = listens[1:]
			continue
		}
		select {
		case err := <-exited:
			exited <- err
			t.Fatalf("%s: %v\n%s", program, err, log.text())
		case <-late:
			t.Fatalf("%s does not listen at %s\n%s", program, listens[0], log.text())
		case <-ticker.C:
		}
	}
}

// output is what a program has written so far.
type output struct {
	mu      sync.Mutex
	written bytes.Buffer // guarded by mu
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.written.Write(p)
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.written.String()
}

// client is a program on another machine, which may die.
type client struct {
	*zioflow.Gateway
	mu    sync.Mutex
	conns []net.Conn // guarded by mu
}

// connect has a client come to the address, over TLS, from a host that is not the proxy's.
func (s *site) connect(t *testing.T, address string, more ...zioflow.DialOption) *client {
	t.Helper()
	c := &client{}
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := from.DialContext(ctx, "tcp", address)
		if err == nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.conns = append(c.conns, conn)
		}
		return conn, err
	}
	g, err := zioflow.Dial(address, append(more, zioflow.WithTLS(s.trust), zioflow.WithDialOptions(grpc.WithContextDialer(dial)))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	c.Gateway = g
	return c
}

// die closes the client's connections, as the kernel does when a process is killed.
func (c *client) die() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}
