package main

import "github.com/zioflow/gateway/gateway/config"

// nodeFlags say how the gateway is found by other nodes, and finds them.
type nodeFlags struct {
	Node       string `default:"zio-gateway" help:"Be found by other ZIO nodes under this name, and find them (ZRE). \"none\" for no discovery." placeholder:"NAME"`
	PortName   string `default:"flow" help:"The port of the node that stands for the --zmq-server address; the --zmq-router address has the same name with -router." placeholder:"NAME"`
	NodePort   uint16 `default:"0" help:"TCP port at which other nodes connect; 0 for any free one." placeholder:"PORT"`
	PublicNode bool   `help:"Take part in discovery beyond loopback, where nobody is asked who he is. --insecure does so too, if there is a ZeroMQ address beyond loopback."`
}

// telemetryFlags say what is measured, and how much is let in.
type telemetryFlags struct {
	OTLPEndpoint      string  `name:"otlp-endpoint" help:"Send a span of every flow to this OpenTelemetry collector, by OTLP: http://HOST:PORT, or https://HOST:PORT with TLS. OpenTelemetry's own environment variables do as well." placeholder:"URL"`
	OTLPProtocol      string  `name:"otlp-protocol" help:"Speak OTLP over this: grpc, the default, or http/protobuf. OpenTelemetry's own environment variables do as well." placeholder:"PROTOCOL"`
	GRPCRateLimit     float64 `name:"grpc-rate-limit" default:"0" help:"How many gRPC calls may begin in a second; 0 for any number." placeholder:"N" reload:""`
	GRPCPeerRateLimit float64 `name:"grpc-peer-rate-limit" default:"0" help:"The same for each host." placeholder:"N" reload:""`
}

// securityFlags say who is let in, and what is encrypted.
type securityFlags struct {
	Identities       string `help:"Let in only whom this YAML file knows, and only for what it allows." placeholder:"FILE"`
	TLSCert          string `name:"tls-cert" help:"Encrypt gRPC with this certificate, in PEM." placeholder:"FILE"`
	TLSKey           string `name:"tls-key" help:"The certificate's private key." placeholder:"FILE"`
	TLSClientCA      string `name:"tls-client-ca" help:"Ask gRPC's clients for a certificate by one of these authorities." placeholder:"FILE"`
	TLSClientAuth    string `name:"tls-client-auth" default:"required" enum:"required,optional" help:"Whether a client must have one: required, or optional for those with a token."`
	TLSMinVersion    string `name:"tls-min-version" default:"1.3" enum:"1.2,1.3" help:"The oldest TLS version to take: 1.2 or 1.3."`
	ZMQCurveKey      string `name:"zmq-curve-key" help:"Have every ZeroMQ address ask for CURVE, with the secret key in this file." placeholder:"FILE"`
	ZMQPlainLocal    bool   `name:"zmq-plain-local" help:"But not those that only this machine can reach: whoever is on it may do everything there."`
	PublicReflection bool   `help:"Let everybody ask for the contract by gRPC reflection, not only identities."`
	PublicHTTP       bool   `name:"public-http" help:"Allow an --http address beyond loopback: it shows health and metrics to whoever asks."`
}

// config is what they say, with the fronts that are open.
func (f *securityFlags) config(open openFronts) config.Security {
	return config.Security{
		Identities: f.Identities,
		TLSCert:    f.TLSCert, TLSKey: f.TLSKey, TLSClientCA: f.TLSClientCA,
		TLSClientOptional: f.TLSClientAuth == "optional", TLSMinVersion: f.TLSMinVersion,
		CurveKey: f.ZMQCurveKey, PlainLocal: f.ZMQPlainLocal,
		PublicReflection: f.PublicReflection, PublicHTTP: f.PublicHTTP,
		Insecure: open.Exposure,
	}
}
