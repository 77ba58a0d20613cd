package cluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zioflow/gateway/cluster"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/pki"
)

// write puts other texts into a folder of keys, each file at once.
func write(t *testing.T, folder string, files map[string][]byte) {
	t.Helper()
	for name, text := range files {
		fresh := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(fresh, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(fresh, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// inForce waits until the node has put changed keys in force so many times.
func (n *node) inForce(times int) {
	n.t.Helper()
	until(n.t, fmt.Sprintf("%s has its keys in force", n.name), func() bool {
		return strings.Count(n.log.String(), "certificates of the cluster: ") == times
	})
}

// TestRollover: one authority takes over from another while nodes run. What is carried goes
// on, both are trusted in between, and the old one is not in the end.
func TestRollover(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ca, bc, cc := r.config("a"), r.config("b"), r.config("c")
	a := r.run(ca)
	bc.Cluster.Join = []string{a.Addresses().Cluster}
	b := r.run(bc)
	l := b.listen(&gatewayv1.ListenRequest{Name: "raw"})
	a.knows(1, 1)
	bot := &gatewayv1.Bot{Direction: extract, Credit: 100}
	client := a.open(bot)
	handler := b.open(&gatewayv1.Bot{Cid: l.next().GetCid(), Direction: inject, Credit: 100})
	handler.next()
	client.next()
	goesOn := func(when string) {
		t.Helper()
		handler.pay(1)
		if client.next().GetPay().GetCredit() != 1 {
			t.Fatalf("%s: what is carried does not go on", when)
		}
		client.dat(when)
		if text := string(handler.next().GetDat().GetPayload()[0]); text != when {
			t.Fatalf("%s: %q has come", when, text)
		}
	}

	successor, bundle, err := r.ca.Successor()
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{ca.Cluster.Keys, bc.Cluster.Keys, cc.Cluster.Keys} {
		write(t, folder, map[string][]byte{cluster.CACertificate: bundle})
	}
	a.inForce(1)
	b.inForce(1)
	goesOn("both are trusted")
	renew := func(folder string, text []byte) {
		t.Helper()
		pair, err := successor.Peer("x", cluster.CommonName, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		write(t, folder, map[string][]byte{cluster.Key: pair.Key})
		write(t, folder, map[string][]byte{cluster.Certificate: pair.Certificate})
		if text != nil {
			write(t, folder, map[string][]byte{cluster.CACertificate: text})
		}
	}
	renew(cc.Cluster.Keys, nil)
	cc.Cluster.Join = []string{a.Addresses().Cluster}
	c := r.run(cc) // whose certificate is by the new one, to nodes whose are by the old one
	a.knows(2, 1)
	b.knows(2, 0)
	c.knows(2, 1)
	renew(ca.Cluster.Keys, nil)
	renew(bc.Cluster.Keys, nil)
	a.inForce(2)
	b.inForce(2)
	goesOn("both have new certificates")
	for _, folder := range []string{ca.Cluster.Keys, bc.Cluster.Keys, cc.Cluster.Keys} {
		write(t, folder, map[string][]byte{cluster.CACertificate: successor.Certificate})
	}
	a.inForce(3)
	b.inForce(3)
	c.inForce(1)
	goesOn("the new one alone is trusted")
	if s := a.log.String() + b.log.String(); strings.Contains(s, "node left") {
		t.Error("a node was lost")
	}

	x := r.start("x", a) // by the old one
	d := r.config("d", a)
	renew(d.Cluster.Keys, successor.Certificate)
	r.run(d)
	a.knows(3, 1) // a, b, c and d know each other
	until(t, "the log tells of who is no node", func() bool {
		return strings.Contains(a.log.String(), `msg="connection refused" endpoint=cluster address=127.0.0.1`)
	})
	if n := len(x.Status().Cluster.Nodes); n != 0 {
		t.Errorf("a node by the old authority knows %d others", n)
	}
	goesOn("a stranger has come")
}

// TestKeysThatCannotBeUsed leave those in force that were, and a certificate that expires is
// told of.
func TestKeysThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	config := r.config("a")
	a := r.run(config)
	foreign, err := authority(t).Peer("a", cluster.CommonName, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	write(t, config.Cluster.Keys, map[string][]byte{cluster.Certificate: foreign.Certificate, cluster.Key: foreign.Key})
	until(t, "the log tells", func() bool { return strings.Contains(a.log.String(), "--cluster-keys: ") })
	b := r.start("b", a)
	b.knows(1, 0)
	pair, err := r.ca.Peer("a", cluster.CommonName, 2*time.Minute) // less than a third of its time
	if err != nil {
		t.Fatal(err)
	}
	write(t, config.Cluster.Keys, map[string][]byte{cluster.Certificate: pair.Certificate, cluster.Key: pair.Key})
	a.inForce(1)
	until(t, "the log tells that it expires", func() bool {
		return strings.Contains(a.log.String(), "certificate of --cluster-keys expires at ")
	})
	families, err := a.Metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	expire := map[string]bool{}
	for _, f := range families {
		if f.GetName() != "zio_gateway_certificate_not_after_timestamp_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == "cluster-keys" {
				expire[time.Unix(int64(m.GetGauge().GetValue()), 0).UTC().Format(time.RFC3339)] = true
			}
		}
	}
	now, err := pki.Certificates(pair.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if len(expire) != 2 || !expire[now[0].NotAfter.UTC().Format(time.RFC3339)] || !expire[r.ca.Expires().UTC().Format(time.RFC3339)] {
		t.Errorf("the metrics have %v", expire)
	}
}
