package settings

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/spawn"
	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/internal/version"
	"github.com/zioflow/gateway/server"
)

// Serve is what `gateway serve` can be told. The zero value of an address list is its
// default; the word "none" stands for no address.
type Serve struct {
	Addresses `embed:"" group:"Addresses"`
	Security  `embed:"" group:"Security"`
	Routing   `embed:"" group:"Routes"`
	Limits    `embed:"" group:"Limits"`
	Times     `embed:"" group:"Times"`
	Discovery `embed:"" group:"Discovery"`
	Cluster   `embed:"" group:"Cluster"`
	Telemetry `embed:"" group:"Logs and telemetry"`

	// Sockets are listeners that a service manager has bound: see config.Config.
	Sockets map[string][]net.Listener `kong:"-"`
}

// Addresses say where the gateway is reached.
type Addresses struct {
	ZMQServer []string `name:"zmq-server" default:"tcp://127.0.0.1:5555" help:"Address for CLIENT sockets; may repeat. \"none\" for none." placeholder:"ADDRESS"`
	ZMQRouter []string `name:"zmq-router" default:"tcp://127.0.0.1:5556" help:"Address for DEALER sockets; may repeat. \"none\" for none." placeholder:"ADDRESS"`
	ZMQEngine string   `name:"zmq-engine" default:"zmtp" enum:"zmtp,libzmq" help:"What speaks ZeroMQ: zmtp, the gateway itself, or libzmq, if the program was built with it (the build tag libzmq)."`
	GRPC      []string `name:"grpc" default:"127.0.0.1:7575" help:"Address for gRPC; may repeat. \"none\" for none. HOST:PORT, where a host of * is every interface, localhost both 127.0.0.1 and [::1], and a port of 0 or * any free one; or unix:PATH, a socket for the gateway's user and group." placeholder:"ADDRESS"`
	HTTP      string   `name:"http" default:"127.0.0.1:7576" help:"Address for health checks and metrics over HTTP, likewise, or \"none\"." placeholder:"ADDRESS"`
	ReadyFile string   `help:"When ready, write the bound addresses to this file, as JSON. It is there while they are served, and no longer." placeholder:"FILE" example:"/run/zio-gateway/ready.json"`
}

// Security says who is let in, and what is encrypted.
type Security struct {
	Insecure         openFronts `help:"Allow these fronts addresses beyond loopback as they are, encrypted and authenticated or not: grpc, zmq, http; cluster has its nodes do without keys. Where nobody is asked who he is, AdminService is for callers on this machine alone, unless admin is named as well. Without names: grpc, zmq and http." placeholder:"FRONT,..."`
	Identities       string     `help:"Let in only whom this YAML file knows, and only for what it allows." placeholder:"FILE" example:"/etc/zio-gateway/identities.yaml"`
	TLSCert          string     `name:"tls-cert" help:"Encrypt gRPC with this certificate, in PEM." placeholder:"FILE" example:"/etc/zio-gateway/server.pem"`
	TLSKey           string     `name:"tls-key" help:"The certificate's private key." placeholder:"FILE" example:"/etc/zio-gateway/server.key"`
	TLSClientCA      string     `name:"tls-client-ca" help:"Ask gRPC's clients for a certificate by one of these authorities." placeholder:"FILE" example:"/etc/zio-gateway/ca.pem"`
	TLSClientAuth    string     `name:"tls-client-auth" default:"required" enum:"required,optional" help:"Whether a client must have one: required, or optional for those with a token."`
	TLSMinVersion    string     `name:"tls-min-version" default:"1.3" enum:"1.2,1.3" help:"The oldest TLS version to take: 1.2 or 1.3."`
	ZMQCurveKey      string     `name:"zmq-curve-key" help:"Have every ZeroMQ address ask for CURVE, with the secret key in this file." placeholder:"FILE" example:"/etc/zio-gateway/server.curve"`
	ZMQPlainLocal    bool       `name:"zmq-plain-local" help:"But not those that only this machine can reach: whoever is on it may do everything there."`
	PublicReflection bool       `help:"Let everybody ask for the contract by gRPC reflection, not only identities."`
	PublicHTTP       bool       `name:"public-http" help:"Allow an --http address beyond loopback: it shows health and metrics to whoever asks."`
}

// Routing says how handlers are found.
type Routing struct {
	DefaultRoutes   bool      `negatable:"" help:"Have the built-in handlers dump and generate serve what nothing else takes: for demonstrations, as data is counted and thrown away."`
	Routes          routeList `hidden:"" env:"-" help:"What finds the handlers of which flows: see routes.md. In the file only." reload:""`
	MaxProcesses    int       `default:"${max_processes}" help:"How many commands of exec routes may run at once." reload:""`
	AllowExecRoutes bool      `help:"Let operators add routes that start commands: whoever may call AddRoute can then run any program here."`
}

// Limits bound flows, messages and memory.
type Limits struct {
	MaxCredit         int64   `default:"${max_credit}" help:"Largest credit of a flow; larger offers are lowered." reload:""`
	MaxMessage        Size    `default:"${max_message}" help:"Largest payload of a message, in bytes. A label and parts that take more than 4 KiB count as well." reload:""`
	MaxFlows          int     `default:"${max_flows}" help:"How many flows there may be at once." reload:""`
	MaxPending        int     `default:"${max_pending}" help:"How many of them may wait for a handler." reload:""`
	MaxBytes          Size    `default:"0" help:"Bytes that may wait in the gateway, besides a message of every flow; 0 for half of the memory that the machine has, or the container or service where that is less." reload:""`
	MaxFlowBytes      Size    `default:"0" help:"The same for one flow; 0 for all of --max-bytes." reload:""`
	GRPCRateLimit     float64 `name:"grpc-rate-limit" default:"0" help:"How many gRPC calls may begin in a second; 0 for any number." placeholder:"N" reload:""`
	GRPCPeerRateLimit float64 `name:"grpc-peer-rate-limit" default:"0" help:"The same for each host." placeholder:"N" reload:""`
}

// Times bound how long something may take.
type Times struct {
	PendingTimeout        time.Duration `default:"${pending_timeout}" help:"How long a flow waits for a handler." reload:""`
	HandlerWait           time.Duration `default:"${handler_wait}" help:"How long of it a flow that no route takes waits for one that does, or for a listener; 0s for not at all. With --default-routes there is none." reload:""`
	EOTTimeout            time.Duration `name:"eot-timeout" default:"${eot_timeout}" help:"How long a flow waits for the answer to an EOT." reload:""`
	IdleTimeout           time.Duration `default:"0s" help:"How long a flow may go without a message; 0 for ever." reload:""`
	Heartbeat             time.Duration `default:"2s" help:"How often a silent ZeroMQ peer is asked whether it is there; 0 for never."`
	HeartbeatTimeout      time.Duration `default:"6s" help:"How long it may take to answer."`
	Keepalive             time.Duration `default:"20s" help:"How often a silent gRPC connection is asked whether its peer is there."`
	KeepaliveTimeout      time.Duration `default:"60s" help:"How long it may take to answer. A peer that is too busy to read cannot: less than --stall-timeout cuts it sooner than that."`
	MaxConnectionAge      time.Duration `default:"0s" help:"How old a gRPC connection may become, give or take a tenth, before its peer is asked to go on by another one, as load balancers need it: flows go on, listeners are asked to listen again. 0s for any age."`
	MaxConnectionAgeGrace time.Duration `default:"0s" help:"How long the calls of such a connection may go on before they are cut; 0s for ever."`
	StallTimeout          time.Duration `default:"60s" help:"How long a peer may take no byte while something waits for it. One that takes its time is not cut."`
	DrainGrace            time.Duration `default:"0s" help:"How long flows may go on after SIGTERM before they are ended."`
}

// Discovery says how the gateway is found by other nodes, and finds them.
type Discovery struct {
	Node       string `default:"zio-gateway" help:"Be found by other ZIO nodes under this name, and find them (ZRE). \"none\" for no discovery." placeholder:"NAME"`
	PortName   string `default:"flow" help:"The port of the node that stands for the --zmq-server address; the --zmq-router address has the same name with -router." placeholder:"NAME"`
	NodePort   uint16 `default:"0" help:"TCP port at which other nodes connect; 0 for any free one." placeholder:"PORT"`
	PublicNode bool   `help:"Take part in discovery beyond loopback, where nobody is asked who he is. --insecure does so too, if there is a ZeroMQ address beyond loopback."`
}

// Cluster says of which cluster the gateway is a node.
type Cluster struct {
	ClusterName      string   `name:"cluster" help:"Be a node of the cluster of this name: gateways that are one broker. Without it nothing of a cluster is started." placeholder:"NAME" example:"lab"`
	ClusterNode      string   `name:"cluster-node" help:"The node's name in it; the host's if it is not set." placeholder:"NAME" example:"a"`
	ClusterListen    string   `name:"cluster-listen" help:"Where the NATS servers of other nodes connect. The host is told to them, so it must be an address at which they reach this machine." placeholder:"HOST:PORT" example:"10.1.2.3:7577"`
	ClusterPeer      string   `name:"cluster-peer" help:"Where other nodes connect for flows, by gRPC; likewise." placeholder:"HOST:PORT" example:"10.1.2.3:7578"`
	ClusterJoin      []string `name:"cluster-join" help:"The --cluster-listen addresses of some other nodes; those find the rest." placeholder:"HOST:PORT,..." example:"10.1.2.4:7577"`
	ClusterKeys      string   `name:"cluster-keys" help:"Folder with the node's keys, from gateway keygen cluster." placeholder:"FOLDER" example:"/etc/zio-gateway/cluster"`
	ClusterNATS      string   `name:"cluster-nats" help:"Use this NATS in the place of one of the gateway's own: no --cluster-listen and --cluster-join. \"none\" for its own." placeholder:"URL" default:"none"`
	ClusterNATSCreds string   `name:"cluster-nats-creds" help:"A credentials file for it, or \"none\"." placeholder:"FILE" default:"none"`
}

// Telemetry says what is told of what happens.
type Telemetry struct {
	LogLevel     slog.Level `default:"info" help:"debug, info, warn or error." reload:""`
	LogFormat    string     `default:"text" enum:"text,json" help:"text or json."`
	OTLPEndpoint string     `name:"otlp-endpoint" help:"Send a span of every flow to this OpenTelemetry collector, by OTLP: http://HOST:PORT, or https://HOST:PORT with TLS. OpenTelemetry's own environment variables do as well." placeholder:"URL" example:"http://127.0.0.1:4317"`
	OTLPProtocol string     `name:"otlp-protocol" help:"Speak OTLP over this: grpc, the default, or http/protobuf. OpenTelemetry's own environment variables do as well." placeholder:"PROTOCOL" example:"http/protobuf"`
}

// Defaults are the broker's own, for the help text and the flags.
func Defaults() kong.Vars {
	o := broker.DefaultOptions()
	return kong.Vars{
		"max_credit":      fmt.Sprint(o.MaxCredit),
		"max_message":     Size(o.MaxMessage).String(),
		"max_flows":       fmt.Sprint(o.MaxFlows),
		"max_pending":     fmt.Sprint(o.MaxPending),
		"pending_timeout": fmt.Sprint(o.PendingTimeout),
		"handler_wait":    fmt.Sprint(o.HandlerWait),
		"eot_timeout":     fmt.Sprint(o.EOTTimeout),
		"max_processes":   fmt.Sprint(spawn.DefaultOptions().MaxProcesses),
	}
}

// chosen is an option without the word "none".
func chosen(option string) string { return strings.Join(config.Chosen(option), "") }

// Config is what the options say.
func (s *Serve) Config() config.Config {
	limits := broker.DefaultOptions()
	limits.MaxCredit, limits.MaxMessage = s.MaxCredit, int(s.MaxMessage)
	limits.MaxFlows, limits.MaxPending = s.MaxFlows, s.MaxPending
	limits.MaxBytes, limits.MaxFlowBytes = int64(s.MaxBytes), int64(s.MaxFlowBytes)
	limits.PendingTimeout, limits.EOTTimeout, limits.IdleTimeout = s.PendingTimeout, s.EOTTimeout, s.IdleTimeout
	limits.HandlerWait = s.HandlerWait
	return config.Config{
		ZMQ: config.ZMQ{
			Servers: s.ZMQServer, Routers: s.ZMQRouter, Engine: s.ZMQEngine,
			Heartbeat: s.Heartbeat, HeartbeatTimeout: s.HeartbeatTimeout,
		},
		GRPC: config.GRPC{
			Addresses: s.GRPC, Keepalive: s.Keepalive, KeepaliveTimeout: s.KeepaliveTimeout,
			MaxConnectionAge: s.MaxConnectionAge, MaxConnectionAgeGrace: s.MaxConnectionAgeGrace,
			RateLimits: server.RateLimits{Total: s.GRPCRateLimit, Peer: s.GRPCPeerRateLimit},
		},
		HTTP: config.HTTP{Address: s.HTTP}, Sockets: s.Sockets,
		Node: config.Node{Name: s.Node, PortName: s.PortName, Port: s.NodePort, Public: s.PublicNode},
		Cluster: config.Cluster{
			Name: s.ClusterName, Node: s.ClusterNode, Listen: s.ClusterListen, Peer: s.ClusterPeer, Join: s.ClusterJoin,
			Keys: s.ClusterKeys, URL: chosen(s.ClusterNATS), Credentials: chosen(s.ClusterNATSCreds),
		},
		Routing: config.Routing{
			Routes: s.Routes.specs, Default: s.DefaultRoutes, MaxProcesses: s.MaxProcesses, AllowExec: s.AllowExecRoutes,
		},
		Security: config.Security{
			Identities: s.Identities,
			TLSCert:    s.TLSCert, TLSKey: s.TLSKey, TLSClientCA: s.TLSClientCA,
			TLSClientOptional: s.TLSClientAuth == "optional", TLSMinVersion: s.TLSMinVersion,
			CurveKey: s.ZMQCurveKey, PlainLocal: s.ZMQPlainLocal,
			PublicReflection: s.PublicReflection, PublicHTTP: s.PublicHTTP,
			Insecure: s.Insecure.Exposure,
		},
		Limits: limits, StallTimeout: s.StallTimeout, DrainGrace: s.DrainGrace, OTLPEndpoint: s.OTLPEndpoint, OTLPProtocol: s.OTLPProtocol,
		Version: version.Full(), LogLevel: s.LogLevel,
	}
}
