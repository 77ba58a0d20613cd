package access

import (
	"context"
	"log/slog"

	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/internal/text"
)

// Cause is why somebody was not let in, or not allowed something, in one word.
type Cause string

// The causes. Those of refused BOTs are the broker's.
const (
	// NoCredentials: neither token nor certificate was shown.
	NoCredentials Cause = "no_credentials"
	// NoCertificate: the TLS handshake failed for want of a client certificate.
	NoCertificate Cause = "no_certificate"
	// BadCertificate: the client's certificate is not by the client CA, or not
	// valid now.
	BadCertificate Cause = "bad_certificate"
	// Handshake: a connection failed before it was one, for another reason.
	Handshake Cause = "handshake"
	// UnknownCertificate: no identity has the certificate's names.
	UnknownCertificate Cause = "unknown_certificate"
	// UnknownToken: no identity has the token.
	UnknownToken Cause = "unknown_token"
	// ExpiredToken: token or JWT is past its time.
	ExpiredToken Cause = "expired_token"
	// BadJWT: the signature, issuer, audience or a claim of a JWT is wrong.
	BadJWT Cause = "bad_jwt"
	// NoKeys: a JWT's issuer has not told its keys, so that it cannot be verified just now.
	NoKeys Cause = "no_issuer_keys"
	// UnknownKey: no identity has the CURVE key.
	UnknownKey Cause = "unknown_key"
	// NoCurve: a peer without CURVE came to an endpoint that wants it.
	NoCurve Cause = "no_curve"
	// WrongRole: the identity lacks the role that a method needs.
	WrongRole Cause = "role"
	// Remote: where callers are not authenticated, one on another machine has called a
	// method for operators.
	Remote Cause = "remote"
)

// Causes are all that can be counted, with those of refused BOTs.
var Causes = []Cause{
	NoCredentials, NoCertificate, BadCertificate, Handshake, UnknownCertificate, UnknownToken, ExpiredToken,
	BadJWT, NoKeys, UnknownKey, NoCurve, WrongRole, Remote, "direction", "attributes", "flows", "cid", "name",
}

// CauseWords are the Causes as they are counted.
func CauseWords() []string {
	words := make([]string, len(Causes))
	for i, cause := range Causes {
		words[i] = string(cause)
	}
	return words
}

// Denial is the error of somebody who is not let in.
type Denial struct {
	Cause Cause
	// Identity is who it was, where that is known.
	Identity string
	// Detail says the cause in words. It repeats no secret.
	Detail string
}

func (d *Denial) Error() string { return d.Detail }

// Observer is told of every denial, for counting. Front is where it happened:
// "grpc", "zmq-server" or "zmq-router". It may be called concurrently, and must
// not block.
type Observer func(front, cause, identity string)

// denialLines bounds the lines about each peer and cause: a peer that keeps trying
// shall not fill the log. Those about an identity are not touched by what strangers
// do.
var denialLines = logs.Options{Burst: 5, Rate: 0.1, TotalBurst: 500, TotalRate: 50}

// DenialLog logs and counts denials. It may be used concurrently.
type DenialLog struct {
	lines   *logs.Sampler
	observe Observer
}

// NewDenialLog makes a log of denials. Denials go to the log, as far as they are not too many, and to
// the observer; nil for none.
func NewDenialLog(log *slog.Logger, observe Observer) *DenialLog {
	if observe == nil {
		observe = func(string, string, string) {}
	}
	return &DenialLog{logs.NewSampler(log, denialLines), observe}
}

// Deny counts a denial, and logs it unless there were many like it. The address is the
// host of who was denied, without the port, which is another one each time.
func (l *DenialLog) Deny(front, address string, d *Denial) {
	defer l.observe(front, string(d.Cause), d.Identity) // who hears of it finds it in the log
	attributes := []any{"front", front, "cause", string(d.Cause), "address", text.Name(address), "detail", text.Detail(d.Detail)}
	if d.Identity != "" {
		attributes = append(attributes, "identity", text.Name(d.Identity))
	}
	l.lines.Log(context.Background(), slog.LevelWarn, "denied_"+string(d.Cause), logs.Of(d.Identity, address),
		"access denied", attributes...)
}
