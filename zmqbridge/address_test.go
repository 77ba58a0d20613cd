package zmqbridge_test

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/zmqbridge"
	"github.com/zioflow/gateway/zmtp"
)

// bind opens a bridge at these addresses alone.
func bind(t *testing.T, addresses ...string) (zmqbridge.Bridge, error) {
	t.Helper()
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	o := zmqbridge.DefaultOptions(b.Options())
	o.Engine, o.Routers = "zmtp", addresses
	return zmqbridge.Open(b, o)
}

// reaches connects to an address as a peer does.
func reaches(t *testing.T, address string) {
	t.Helper()
	p, err := handshakes(t, dialing{Config: zmtp.Config{Type: zmtp.Dealer}, address: zmqbridge.Reachable(address), minor: 1})
	if err != nil {
		t.Errorf("%s: %v", address, err)
		return
	}
	_ = p.Close()
}

func TestTCPAddresses(t *testing.T) {
	t.Parallel()
	cases := map[string]string{ // what it is bound to, without the port
		"tcp://127.0.0.1:*":   "tcp://127.0.0.1:",
		"tcp://127.0.0.1:0":   "tcp://127.0.0.1:",
		"tcp://127.0.0.1:000": "tcp://127.0.0.1:",
		"tcp://localhost:*":   "tcp://127.0.0.1:",
		"tcp://lo:*":          "tcp://127.0.0.1:",
		"tcp://[127.0.0.1]:*": "tcp://127.0.0.1:",
		"tcp://0.0.0.0:*":     "tcp://0.0.0.0:",
		"tcp://*:*":           "tcp://0.0.0.0:",
	}
	if l, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		_ = l.Close()
		cases["tcp://*:*"] = "tcp://[::]:"
		cases["tcp://[::1]:*"] = "tcp://[::1]:"
		cases["tcp://[::]:*"] = "tcp://[::]:"
		cases["tcp://[0::1]:*"] = "tcp://[::1]:"
		cases["tcp://[::1%lo]:*"] = "tcp://[::1%lo]:"
	}
	if zone := linkLocal(); zone != "" {
		cases["tcp://["+zone+"]:*"] = "tcp://[" + zone + "]:"
	}
	for address, want := range cases {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			bridge, err := bind(t, address)
			if err != nil {
				t.Fatal(err)
			}
			bound := bridge.Routers()[0]
			if port, ok := strings.CutPrefix(bound, want); !ok || port == "0" || strings.Contains(port, ":") {
				t.Errorf("it is bound to %s, want %s and a port", bound, want)
			}
			reaches(t, bound)
			if err := bridge.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// linkLocal is an IPv6 address of this machine that needs its zone; empty if there is
// none.
func linkLocal() string {
	interfaces, err := net.Interfaces()
	if err != nil {
		return ""
	}
	for _, i := range interfaces {
		addresses, _ := i.Addrs()
		for _, a := range addresses {
			if network, ok := a.(*net.IPNet); ok && network.IP.To4() == nil && network.IP.IsLinkLocalUnicast() {
				return network.IP.String() + "%" + i.Name
			}
		}
	}
	return ""
}

// What is no address is refused, by a check beforehand as far as it can be.
func TestNoAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"tcp://127.0.0.1:99999":  `the port is "99999"`,
		"tcp://127.0.0.1:65536":  `the port is "65536"`,
		"tcp://127.0.0.1:12a":    `the port is "12a"`,
		"tcp://127.0.0.1:+5":     `the port is "+5"`,
		"tcp://127.0.0.1:-1":     `the port is "-1"`,
		"tcp://127.0.0.1: 5555":  `the port is " 5555"`,
		"tcp://127.0.0.1:":       `the port is ""`,
		"tcp://127.0.0.1:0x10":   `the port is "0x10"`,
		"tcp://127.0.0.1:1_000":  `the port is "1_000"`,
		"tcp://127.0.0.1":        "tcp://HOST:PORT",
		"tcp://:5555":            "tcp://HOST:PORT",
		"tcp://":                 "tcp://HOST:PORT",
		"udp://127.0.0.1:5555":   "begins with tcp:// or ipc://",
		"127.0.0.1:5555":         "begins with tcp:// or ipc://",
		"":                       "begins with tcp:// or ipc://",
		"ipc://":                 "needs a path",
		"tcp://no-such-if:5555":  "neither an IP address nor an interface",
		"tcp://127.0.0.1.5:5555": "neither an IP address nor an interface",
		"tcp://192.0.2.1:*":      "cannot assign requested address",
	} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			if beforehand := !strings.Contains(want, "neither") && !strings.Contains(want, "assign"); beforehand {
				if err := zmqbridge.CheckAddress(address); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the check says %v, want %s", err, want)
				}
			}
			bridge, err := bind(t, address)
			if err == nil {
				_ = bridge.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "bind "+address) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
}

// short is a folder whose name is short enough for a socket in it.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "zmq")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// An ipc path is for the gateway's user and group, and is locked while it is served.
func TestIPCPath(t *testing.T) {
	t.Parallel()
	path := filepath.Join(short(t), "socket")
	bridge, err := bind(t, "ipc://"+path)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]fs.FileMode{path: 0o660, path + ".lock": 0o600} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want mode %v", filepath.Base(file), info.Mode(), err, want)
		}
	}
	reaches(t, "ipc://"+path)
	if _, err := bind(t, "ipc://"+path); err == nil || !strings.Contains(err.Error(), "another process serves this path") {
		t.Errorf("it was bound twice: %v", err)
	}
	reaches(t, "ipc://"+path) // and is still there
	if err := bridge.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket is left behind")
	}
	if bridge, err = bind(t, "ipc://"+path); err != nil {
		t.Fatalf("it cannot be bound again: %v", err)
	}
	reaches(t, "ipc://"+path)
	_ = bridge.Close()
}

// What a crash has left behind does not stand in the way.
func TestStaleIPCPath(t *testing.T) {
	t.Parallel()
	path := filepath.Join(short(t), "socket")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	bridge, err := bind(t, "ipc://"+path)
	if err != nil {
		t.Fatal(err)
	}
	reaches(t, "ipc://"+path)
	_ = bridge.Close()
}

// What is no socket is not removed: it is somebody's file.
func TestIPCPathOfAFile(t *testing.T) {
	t.Parallel()
	dir := short(t)
	file, folder, link := filepath.Join(dir, "file"), filepath.Join(dir, "folder"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for path, kind := range map[string]string{file: "a file", folder: "a directory", link: "a symbolic link"} {
		bridge, err := bind(t, "ipc://"+path)
		if err == nil {
			_ = bridge.Close()
		}
		if want := path + " is no socket, but " + kind; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("it is gone: %v", err)
		}
	}
}

// Nothing is left of a path of the gateway's choice that cannot be bound.
func TestIPCPathThatFails(t *testing.T) {
	folder := filepath.Join(t.TempDir(), strings.Repeat("x", 200))
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", folder)
	if bridge, err := bind(t, "ipc://*"); err == nil {
		_ = bridge.Close()
		t.Fatal("a path of more than 108 bytes was bound")
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// The lock follows no link to a file elsewhere.
func TestIPCLockIsNoLink(t *testing.T) {
	t.Parallel()
	dir := short(t)
	target, path := filepath.Join(dir, "target"), filepath.Join(dir, "socket")
	if err := os.Symlink(target, path+".lock"); err != nil {
		t.Fatal(err)
	}
	bridge, err := bind(t, "ipc://"+path)
	if err == nil {
		_ = bridge.Close()
		t.Error("the lock is behind a link")
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("a file was made behind the link")
	}
}

func TestIPCPathsWithoutFile(t *testing.T) {
	t.Parallel()
	t.Run("abstract", func(t *testing.T) {
		t.Parallel()
		address := "ipc://@" + filepath.Base(short(t))
		bridge, err := bind(t, address)
		if err != nil {
			t.Fatal(err)
		}
		reaches(t, address)
		if second, err := bind(t, address); err == nil {
			_ = second.Close()
			t.Error("it was bound twice")
		}
		if err := bridge.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("of the gateway's choice", func(t *testing.T) {
		t.Parallel()
		bridge, err := bind(t, "ipc://*", "ipc://*")
		if err != nil {
			t.Fatal(err)
		}
		for _, address := range bridge.Routers() {
			reaches(t, address)
		}
		if bridge.Routers()[0] == bridge.Routers()[1] {
			t.Error("the paths are the same")
		}
		folder := filepath.Dir(strings.TrimPrefix(bridge.Routers()[0], "ipc://"))
		if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("the folder: %v, %v", info, err)
		}
		if err := bridge.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(folder); err == nil {
			t.Error("the folder is left behind")
		}
	})
	t.Run("too long", func(t *testing.T) {
		t.Parallel()
		if bridge, err := bind(t, "ipc://"+filepath.Join(short(t), strings.Repeat("x", 200))); err == nil {
			_ = bridge.Close()
			t.Error("it was bound")
		}
	})
}

// Where one address cannot be bound, none stays bound.
func TestAllAddressesOrNone(t *testing.T) {
	t.Parallel()
	path := "ipc://" + filepath.Join(short(t), "socket")
	if _, err := bind(t, path, "tcp://127.0.0.1:99999"); err == nil {
		t.Fatal("no error")
	}
	bridge, err := bind(t, path)
	if err != nil {
		t.Fatal(err)
	}
	_ = bridge.Close()
}
