package main_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/native"
)

// TestNativeFlow: the client that the gateway's own commands use gives to
// another one like it, each of which may end the flow.
func TestNativeFlow_FLOW_14_FLOW_15_FLOW_16_FLOW_18(t *testing.T) {
	g := startGateway(t)
	l := g.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	for _, takerEnds := range []bool{false, true} {
		giver, taker := dialKind(t, g, native.Client), dialKind(t, g, native.Dealer)
		var both errgroup.Group
		both.Go(func() error { return giveNative(giver, 50, takerEnds) })
		cid := l.offer(t).GetCid()
		both.Go(func() error { return takeNative(taker, cid, 30, takerEnds) })
		if err := both.Wait(); err != nil {
			t.Errorf("taker ends: %t: %v", takerEnds, err)
		}
		g.wantEnd(t, flow.Completed)
	}
}

func dialKind(t *testing.T, g *inProcess, kind native.Kind) *native.Peer {
	t.Helper()
	via := map[native.Kind]transportName{native.Client: viaClient, native.Dealer: viaDealer}[kind]
	p, err := native.Dial(kind, g.addresses[via], "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(time.Second) })
	return p
}

func giveNative(p *native.Peer, count int, takerEnds bool) error {
	f, err := native.Open(p, 1, botMessage(zio.Extract, 4, 0).Label, nil, patience)
	if err != nil {
		return err
	}
	for range count {
		if err = f.Put([]byte(`{"flow":"DAT"}`), [][]byte{{1}, {2, 3}}); err != nil {
			break
		}
	}
	if end := (*native.EndError)(nil); takerEnds && (!errors.As(err, &end) || end.Reason != "") {
		return errors.Join(errors.New("the giver was not told of the EOT"), err)
	} else if !takerEnds && err != nil {
		return err
	}
	return f.Close()
}

func takeNative(p *native.Peer, cid uint64, enough int, ends bool) error {
	f, err := native.Open(p, 2, botMessage(zio.Inject, 3, cid).Label, nil, patience)
	if err != nil {
		return err
	}
	for n := 0; !ends || n < enough; n++ {
		if _, err := f.Get(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	return f.Close()
}

// TestNativeRefused: an EOT instead of the BOT is an error that says why.
func TestNativeRefused_FLOW_5(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	for _, kind := range []native.Kind{native.Client, native.Dealer} {
		_, err := native.Open(dialKind(t, g, kind), 0, botMessage(zio.Inject, 2, 0).Label, nil, patience)
		if end := (*native.EndError)(nil); !errors.As(err, &end) || end.Reason != flow.NoHandler.String() || end.Detail == "" {
			t.Errorf("%v: Open answers %v, want no_handler with its detail", kind, err)
		}
	}
}
