package zmtp

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"testing"
)

// ends are configurations of two ends that fit, under both mechanisms.
func ends(t testing.TB, mechanism Mechanism, client, server SocketType) (c, s *Config) {
	t.Helper()
	c, s = &Config{Type: client}, &Config{Type: server, AsServer: true}
	if client == Dealer {
		c.Identity = "detector-7"
	}
	if mechanism == Curve {
		c.Curve, s.Curve = newKeys(t), newKeys(t)
		c.Curve.Server = s.Curve.Public
	}
	for _, end := range []*Config{c, s} {
		if err := end.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	return c, s
}

func newKeys(t testing.TB) *CurveKeys {
	t.Helper()
	secret, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &CurveKeys{Secret: [32]byte(secret.Bytes()), Public: [32]byte(secret.PublicKey().Bytes())}
}

func TestHandshake(t *testing.T) {
	for _, mechanism := range []Mechanism{Null, Curve} {
		cc, sc := ends(t, mechanism, Dealer, Router)
		client, server := NewHandshake(cc), NewHandshake(sc)
		toServer, toClient := client.Start(), server.Start()
		for len(toServer)+len(toClient) > 0 {
			n, out, err := server.Receive(toServer)
			if err != nil || n != len(toServer) {
				t.Fatal(mechanism, n, err)
			}
			toServer, toClient = nil, append(toClient, out...)
			n, out, err = client.Receive(toClient)
			if err != nil || n != len(toClient) {
				t.Fatal(mechanism, n, err)
			}
			toServer, toClient = out, nil
		}
		if !client.Done() || !server.Done() {
			t.Fatal("not done")
		}
		t.Logf("%+v %+v", client.Peer(), server.Peer())
		if mechanism == Curve {
			f := client.Session().Seal(nil, Header{More: true}, []byte("he"), []byte("llo"))
			h, n, _ := ParseHeader(f)
			if int(h.Size) != len(f)-n {
				t.Fatal("header")
			}
			h, plain, err := server.Session().Open(nil, f[n:])
			if err != nil || !h.More || !bytes.Equal(plain, []byte("hello")) {
				t.Fatal(h, plain, err)
			}
		}
	}
}
