package guard

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/telemetry"
)

const day = 24 * time.Hour

func valid(option string, from, until time.Duration) validity {
	now := time.Now()
	return validity{Certificate: telemetry.Certificate{
		Option: option, Serial: until.String(), NotBefore: now.Add(from), NotAfter: now.Add(until),
	}, file: "it.pem", vital: true}
}

// TestExpiryIsTold: a line in time, once a day, another at the end; none of what is well.
func TestExpiryIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		e := newExpiry(slog.New(slog.NewTextHandler(&text, nil)))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			e.run(ctx)
			close(ended)
		}()
		lines := func() (told []string) {
			e.mu.Lock()
			defer e.mu.Unlock()
			for line := range strings.Lines(text.String()) {
				_, message, _ := strings.Cut(line, "level=")
				message, _, _ = strings.Cut(message, " at 20")
				told = append(told, message)
			}
			text.Reset()
			return told
		}
		want := func(when string, want ...string) {
			t.Helper()
			synctest.Wait()
			if got := lines(); strings.Join(got, ";") != strings.Join(want, ";") {
				t.Errorf("%s: told is %q, want %q", when, got, want)
			}
		}
		const soon, over = `WARN msg="certificate of --tls-cert expires`, `ERROR msg="certificate of --tls-cert has expired`
		e.use([]validity{valid("tls-cert", -65*day, 300*day), valid("tls-client-ca", -day, 9000*day)})
		want("at the begin")
		time.Sleep(269 * day)
		want("31 days before the end")
		time.Sleep(day + time.Hour)
		want("30 days before it", soon)
		e.use(e.all) // read again, as it was
		want("when it was read again")
		time.Sleep(2 * day)
		want("two days later", soon, soon)
		e.use([]validity{valid("tls-cert", -time.Hour, 23*time.Hour)})
		want("with another, valid for a day")
		time.Sleep(16 * time.Hour)
		want("eight hours before its end", soon)
		time.Sleep(7*time.Hour + 11*time.Minute)
		want("after its end", over)
		e.use([]validity{valid("tls-cert", time.Hour, 2*day)})
		want("with one of tomorrow", `ERROR msg="certificate of --tls-cert is not valid before 2000-09-30T01:11:00Z" file=it.pem subject="" serial=48h0m0s`+"\n")
		stop()
		<-ended
	})
}

// TestExpiryNotReady: gRPC serves nobody without a valid certificate, or, where clients
// must have one, without one authority that is valid. What comes is told.
func TestExpiryNotReady(t *testing.T) {
	good, soon, over := valid("tls-cert", -day, 300*day), valid("tls-cert", -300*day, day), valid("tls-cert", -day, -time.Hour)
	ca, oldCA := valid("tls-client-ca", -day, 300*day), valid("tls-client-ca", -9*day, -time.Hour)
	optional := oldCA
	optional.vital = false
	for name, c := range map[string]struct {
		all             []validity
		notReady, tells string
	}{
		"good":                        {[]validity{good, ca}, "", ""},
		"soon":                        {[]validity{soon}, "", "--tls-cert expires"},
		"over":                        {[]validity{over, ca}, "--tls-cert has expired", "--tls-cert has expired"},
		"one of two authorities over": {[]validity{good, oldCA, ca}, "", "--tls-client-ca has expired"},
		"all authorities over":        {[]validity{good, oldCA}, "--tls-client-ca has expired", "--tls-client-ca has expired"},
		"clients may have none":       {[]validity{good, optional}, "", "--tls-client-ca has expired"},
	} {
		e := newExpiry(slog.New(slog.DiscardHandler))
		e.use(c.all)
		if got := e.NotReady(); !strings.Contains(got, c.notReady) || (got == "") != (c.notReady == "") {
			t.Errorf("%s: not ready: %q, want %q", name, got, c.notReady)
		}
		if got := e.Soon(); !strings.Contains(got, c.tells) || (got == "") != (c.tells == "") {
			t.Errorf("%s: told: %q, want %q", name, got, c.tells)
		}
	}
}

// TestValiditiesBound: of a file of many, those that expire first.
func TestValiditiesBound(t *testing.T) {
	var many []*x509.Certificate
	for i := range watchedCertificates + 10 {
		many = append(many, &x509.Certificate{
			Raw: []byte{byte(i)}, Subject: pkix.Name{CommonName: "x"}, SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Duration(100-i) * day),
		})
	}
	all := watched(new(config.Security), append(many, many...))
	if len(all) != watchedCertificates {
		t.Fatalf("%d are watched", len(all))
	}
	if first := time.Until(all[0].NotAfter); first > 59*day {
		t.Errorf("the first expires in %v", first)
	}
}
