package config

import "fmt"

// Security configures who is let in, and what is encrypted. The files are read when the
// gateway starts, and again when they change.
type Security struct {
	// Identities is a YAML file of those who are let in, and what for; empty for
	// everybody and everything.
	Identities string
	// TLSCert and TLSKey are the gRPC endpoint's certificate and key, in PEM; empty for
	// clear text. TLSClientCA has the authorities of its clients' certificates, which
	// TLSClientOptional lets them do without. TLSMinVersion is "1.2" or "1.3".
	TLSCert, TLSKey, TLSClientCA string
	TLSClientOptional            bool
	TLSMinVersion                string
	// CurveKey is a file with the secret key of the ZeroMQ endpoints, in Z85; empty for
	// NULL. PlainLocal exempts addresses that only this machine can reach.
	CurveKey   string
	PlainLocal bool
	// PublicReflection lets everybody ask for the contract by gRPC reflection.
	PublicReflection bool
	// PublicHTTP allows an HTTP address beyond loopback.
	PublicHTTP bool
	// Insecure allows fronts addresses beyond loopback as they are.
	Insecure Exposure
}

// validateSecurity names the option that makes no sense, or is not safe.
func (s *Security) validate() error {
	for _, need := range []struct {
		set, there  bool
		option, why string
	}{
		{s.TLSCert != "", s.TLSKey != "", "--tls-cert", "needs --tls-key"},
		{s.TLSKey != "", s.TLSCert != "", "--tls-key", "needs --tls-cert"},
		{s.TLSClientCA != "", s.TLSCert != "", "--tls-client-ca", "needs --tls-cert and --tls-key"},
		{s.TLSClientCA != "", s.Identities != "", "--tls-client-ca", "needs --identities, which says whose the certificates are"},
		{s.CurveKey != "", s.Identities != "", "--zmq-curve-key", "needs --identities, which says whose the keys are"},
		{s.PlainLocal, s.CurveKey != "", "--zmq-plain-local", "needs --zmq-curve-key: without it no address asks for CURVE"},
	} {
		if need.set && !need.there {
			return fmt.Errorf("%s: %s", need.option, need.why)
		}
	}
	return nil
}

// tlsWord is how gRPC is secured, as operators see it.
func (s *Security) tlsWord() string {
	switch {
	case s.TLSCert == "":
		return "none"
	case s.TLSClientCA != "" && !s.TLSClientOptional:
		return "mtls"
	}
	return "tls"
}
