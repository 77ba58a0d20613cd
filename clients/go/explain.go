package zioflow

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// callError is a status that has no reason of the gateway's, in words for its user.
type callError struct {
	words  string
	status error // from gRPC
}

func (e *callError) Error() string { return "zioflow: " + e.words }

// Unwrap answers gRPC's status.
func (e *callError) Unwrap() error { return e.status }

// causes are what gRPC says of a connection that could not be made or was lost, and what
// that means; the first that is found counts. %s is the gateway's address.
var causes = []struct{ says, means string }{
	{"connection refused", "nothing listens at %s: is the gateway running, with this --grpc?"},
	{"actively refused it", "nothing listens at %s: is the gateway running, with this --grpc?"},
	{"connect: no such file or directory", "there is no socket at %s: is the gateway running, with this --grpc?"},
	{"connect: permission denied", "this user may not connect to %s: the socket is for its owner and group"},
	{"name resolver error", "there is no host of the name in %s"},
	{"no such host", "there is no host of the name in %s"},
	{"looked like an HTTP/1.1 header", "%s speaks HTTP, and not gRPC: is it the gateway's --http and not its --grpc?"},
	{"error reading server preface: http2", "what listens at %s does not speak gRPC: is it a port for ZeroMQ, and not --grpc?"},
	{"first record does not look like a TLS handshake", "the gateway at %s does not use TLS: leave WithTLS out"},
	{"x509: certificate is valid for", "the certificate of the gateway at %s is for another name"},
	{"x509: cannot validate certificate for", "the certificate of the gateway at %s is for another name"},
	{"certificate signed by unknown authority", "the certificate of the gateway at %s is not trusted: another authority has signed it"},
	{"failed to verify certificate", "the certificate of the gateway at %s is not trusted"},
	{"remote error: tls", "the gateway at %s refuses this program's certificate, or asks for one"},
	{"error reading server preface", "what listens at %s closed the connection: if the gateway uses TLS, give WithTLS"},
	{"error reading from server", "the connection to the gateway at %s was lost"},
	{"transport is closing", "the connection to the gateway at %s was lost"},
	{"keepalive ping failed", "the connection to the gateway at %s was lost"},
}

// Explain is an error of one of [Admin]'s calls in words for its user: which address nobody
// listens at, whose certificate is not trusted, what the gateway refuses and why. The
// gRPC status is within it. Errors of flows are so by themselves.
func (g *Gateway) Explain(err error) error {
	if err == nil {
		return nil
	}
	if refusal := g.notLetIn(err); refusal != nil {
		return refusal
	}
	switch s, ok := status.FromError(err); {
	case ok && s.Code() == codes.DeadlineExceeded:
		return &callError{fmt.Sprintf("the gateway at %s did not reply in time", g.address), err}
	case ok && s.Code() == codes.Unimplemented:
		return &callError{fmt.Sprintf("what listens at %s has no such call: is it a gateway, and not older than this program?", g.address), err}
	case ok && s.Code() != codes.Unavailable && s.Code() != codes.Unknown:
		return &callError{strings.Join(strings.Fields(s.Message()), " "), err}
	default:
		return g.explained(err)
	}
}

// noToken is how gRPC begins when a source of tokens has failed.
const noToken = "transport: per-RPC creds failed due to error: "

// noIssuerKeys is why the gateway cannot tell just now whom a JWT is from.
const noIssuerKeys = "NO_ISSUER_KEYS"

// explained is a status that tells of no flow's end.
func (g *Gateway) explained(err error) error {
	s, ok := status.FromError(err)
	if !ok {
		return fmt.Errorf("zioflow: %w", err)
	}
	if s.Code() == codes.Unavailable {
		for _, cause := range causes {
			if strings.Contains(s.Message(), cause.says) {
				return &callError{fmt.Sprintf(cause.means, g.address), err}
			}
		}
	}
	return &callError{fmt.Sprintf("%v: %s", s.Code(), strings.Join(strings.Fields(s.Message()), " ")), err}
}

// notLetIn is a refusal of who asks, and nil for anything else.
func (g *Gateway) notLetIn(err error) error {
	s, _ := status.FromError(err)
	why, noToken := strings.CutPrefix(s.Message(), noToken)
	switch {
	case s.Code() == codes.Unauthenticated && noToken:
		return &callError{"there is no token to show: " + why, err}
	case s.Code() == codes.Unauthenticated, infoOf(s).GetReason() == noIssuerKeys:
		return &callError{fmt.Sprintf("the gateway at %s does not let this program in: %s", g.address, why), err}
	case s.Code() == codes.PermissionDenied:
		return &callError{fmt.Sprintf("the gateway at %s does not allow this: %s", g.address, why), err}
	}
	return nil
}

var excess = regexp.MustCompile(`received message larger than max \((\d+) vs\. (\d+)\)`)

// tooLarge is gRPC's refusal of a message for its size, and nil for anything else.
func (g *Gateway) tooLarge(err error, id uint64) error {
	s, _ := status.FromError(err)
	sizes := excess.FindStringSubmatch(s.Message())
	if s.Code() != codes.ResourceExhausted || sizes == nil {
		return nil
	}
	detail := fmt.Sprintf("the message has %s bytes, the gateway takes %s: see its --max-message", sizes[1], sizes[2])
	if sizes[2] == fmt.Sprint(g.limit) { // nothing larger was sent from here
		detail = fmt.Sprintf("a message of %s bytes has come, more than %s: see WithMaxMessage", sizes[1], sizes[2])
	}
	return &FlowError{Reason: MessageTooLarge, Detail: detail, FlowID: id, status: err}
}

var scheme = regexp.MustCompile(`^(?i)(https?|grpcs?|tcp|zmq)://`)

// checkTarget refuses what no gRPC target can be.
func checkTarget(target string) error {
	if scheme.MatchString(target) {
		return fmt.Errorf("zioflow: the address is %s: want HOST:PORT, without a scheme", target)
	}
	if path, is := strings.CutPrefix(target, "unix:"); is && (path == "" || strings.HasPrefix(path, "//") && !strings.HasPrefix(path, "///")) {
		return fmt.Errorf("zioflow: the address is %s: want unix:PATH, or unix:///PATH", target)
	}
	return nil
}

var (
	errNoToken  = errors.New("the token is empty")
	errOddToken = errors.New("the token is no single line of letters and digits: is it the right file?")
)

// trimToken is a token without the space around it, which is no part of it.
func trimToken(token string) (string, error) {
	token = strings.TrimSpace(token)
	if token == "" {
		return "", errNoToken
	}
	for _, b := range []byte(token) {
		if b <= ' ' || b > '~' {
			return "", errOddToken
		}
	}
	return token, nil
}
