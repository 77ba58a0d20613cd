package main_test

import (
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestAHandlerMayRestart: a gateway that nobody configured swallows nothing. What a
// client gives while its handler is away waits, and goes to the handler that comes; if
// none does, the client is told so.
func TestAHandlerMayRestart(t *testing.T) {
	p := serve(t, []string{"--handler-wait=500ms"}, nil)
	onEveryTransport(t, func(t *testing.T, via transportName) {
		client := p.dial(t, via)
		bot := flowMessage(`{"flow":"BOT","direction":"extract","credit":2,"stream":"raw"}`)
		begin := time.Now()
		mustSend(t, client, bot)
		wantEOT(t, client, flow.NoHandler, "2 routes and 0 listeners were asked")
		if took := time.Since(begin); took < 500*time.Millisecond {
			t.Errorf("it was told after %v", took)
		}
	})
	long := serve(t, []string{"--handler-wait=5s"}, nil)
	onEveryTransport(t, func(t *testing.T, via transportName) {
		client := long.dial(t, via)
		mustSend(t, client, flowMessage(`{"flow":"BOT","direction":"extract","credit":2,"stream":"raw"}`))
		l := long.listen(t, &gatewayv1.ListenRequest{Name: "store " + string(via), Match: "attributes.stream == 'raw'"})
		handler := long.dial(t, viaDealer)
		mustSend(t, handler, botMessage(zio.Inject, 2, l.offer(t).GetCid()))
		mustRecv(t, handler, zio.BOT)
		mustRecv(t, client, zio.BOT)
	})
}
