package breakoff

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Proxy is a running proxy for gRPC.
type Proxy struct {
	// Address is where it listens.
	Address string
	process *exec.Cmd
}

const haproxyConfig = `defaults
  mode http
  option abortonclose
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen gateway
  bind LISTEN proto h2
  server gateway BACKEND proto h2
`

const nginxConfig = `daemon off;
worker_processes 1;
pid DIR/pid;
error_log DIR/log;
events { worker_connections 256; }
http {
  access_log off;
  client_max_body_size 0;
  client_body_temp_path DIR/1;
  proxy_temp_path DIR/2;
  fastcgi_temp_path DIR/3;
  uwsgi_temp_path DIR/4;
  scgi_temp_path DIR/5;
  server {
    listen LISTEN http2;
    location / {
      grpc_pass grpc://BACKEND;
      grpc_read_timeout 60s;
    }
  }
}
`

// HAProxy starts one in front of a gateway, with its files in dir.
func HAProxy(ctx context.Context, dir, backend string) (*Proxy, error) {
	return start(ctx, dir, backend, haproxyConfig, "haproxy", "-f")
}

// Nginx starts one in front of a gateway, with its files in dir.
func Nginx(ctx context.Context, dir, backend string) (*Proxy, error) {
	return start(ctx, dir, backend, nginxConfig, "nginx", "-p", dir, "-c")
}

func start(ctx context.Context, dir, backend, config, program string, arguments ...string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{Address: listener.Addr().String()}
	_ = listener.Close() // for the program to take
	config = strings.NewReplacer("LISTEN", p.Address, "BACKEND", backend, "DIR", dir).Replace(config)
	file := filepath.Join(dir, program+".conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	var output strings.Builder
	p.process = exec.Command(program, append(arguments, file)...)
	p.process.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin") // where Debian has them
	if path, err := exec.LookPath("/usr/sbin/" + program); err == nil {
		p.process.Path, p.process.Err = path, nil
	}
	p.process.Stdout, p.process.Stderr = &output, &output
	if err := p.process.Start(); err != nil {
		return nil, fmt.Errorf("%w (scripts/setup.sh test installs it)", err)
	}
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.Address)
		if err == nil {
			_ = conn.Close()
			return p, nil
		}
		select {
		case <-ctx.Done():
			p.Close()
			return nil, fmt.Errorf("%s: %w\n%s", program, err, output.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Close ends the proxy.
func (p *Proxy) Close() {
	// Not os.Interrupt, which who was started in a shell's background ignores.
	_ = p.process.Process.Signal(syscall.SIGTERM)
	_ = p.process.Wait() // its exit code says that it was terminated
}
