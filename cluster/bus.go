package cluster

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/internal/logs"
)

// bus is how beats and changes go to all nodes: over a NATS server of this node's own, or
// one that there is.
type bus struct {
	server   *natsserver.Server // nil for one that there is
	conn     *nats.Conn
	messages chan *nats.Msg
	prefix   string // of the subjects
}

// How long things may take.
const (
	startTimeout = 10 * time.Second
	pingInterval = time.Second // of routes: a cut is seen, and healed, in about as long
)

// maxMessages is how many messages may wait for the node. What comes beyond is lost, which
// the tables' numbers show.
const maxMessages = 8192

// openBus starts what there is to start, and connects. The id is this node's own.
func openBus(o *Options, id string, secure *tls.Config) (b *bus, err error) {
	b = &bus{messages: make(chan *nats.Msg, maxMessages), prefix: "zio." + o.Name + "."}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	lines := logs.NewSampler(o.Log, logs.Options{})
	options := []nats.Option{
		nats.Name(o.Node), nats.NoEcho(), nats.MaxReconnects(-1), nats.ReconnectWait(500 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, 100*time.Millisecond), nats.ReconnectBufSize(-1), // what is late is worth nothing
		nats.PingInterval(2 * time.Second), nats.MaxPingsOutstanding(2),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			lines.Log(context.Background(), slog.LevelWarn, "cluster_bus", logs.Of(o.Node, ""), "NATS", "error", err.Error())
		}),
	}
	address := o.URL
	if o.URL == "" {
		token := rand.Text()
		if b.server, err = startServer(o, id, token, secure); err != nil {
			return b, err
		}
		address = b.server.ClientURL()
		options = append(options, nats.InProcessServer(b.server), nats.Token(token))
	} else {
		options = append(options, nats.RetryOnFailedConnect(true), nats.Timeout(2*time.Second),
			nats.ConnectHandler(func(c *nats.Conn) { o.Log.Info("NATS connected", "server", c.ConnectedUrlRedacted()) }),
			nats.ReconnectHandler(func(c *nats.Conn) { o.Log.Info("NATS connected again", "server", c.ConnectedUrlRedacted()) }),
			nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
				if err != nil {
					o.Log.Warn("NATS is not there: nodes are asked one by one", "error", err)
				}
			}))
		if o.Credentials != "" {
			options = append(options, nats.UserCredentials(o.Credentials))
		}
	}
	if b.conn, err = nats.Connect(address, options...); err != nil {
		return b, fmt.Errorf("NATS: %w", err)
	}
	if _, err = b.conn.ChanSubscribe(b.prefix+">", b.messages); err != nil {
		return b, fmt.Errorf("NATS: %w", err)
	}
	return b, nil
}

// startServer starts a NATS server whose routes go to other nodes'. Clients it has none but
// this node: for others it listens nowhere but on loopback, with a token that nobody is told.
func startServer(o *Options, id, token string, secure *tls.Config) (*natsserver.Server, error) {
	host, portText, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("port %s is no number", portText)
	}
	if port == 0 {
		port = natsserver.RANDOM_PORT
	}
	options := &natsserver.Options{
		ServerName: id, Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, Authorization: token,
		NoSigs: true, NoSystemAccount: true, MaxTracedMsgLen: 256,
		Cluster: natsserver.ClusterOpts{
			Name: "zio-" + o.Name, Host: host, Port: port, TLSConfig: secure, TLSTimeout: 5,
			PingInterval: pingInterval, MaxPingsOut: 2, PoolSize: -1,
		},
	}
	for _, address := range o.Join {
		options.Routes = append(options.Routes, &url.URL{Scheme: "nats-route", Host: address})
	}
	s, err := natsserver.NewServer(options)
	if err != nil {
		return nil, err
	}
	s.SetLoggerV2(&natsLog{logs.NewSampler(o.Log, logs.Options{}), logs.NewSampler(o.Log, logs.Seldom())}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		s.Shutdown()
		return nil, errors.New("cannot be bound, or takes too long; the log says why")
	}
	return s, nil
}

// address is where routes come to; empty for a NATS that there is.
func (b *bus) address() string {
	if b.server == nil || b.server.ClusterAddr() == nil {
		return ""
	}
	return b.server.ClusterAddr().String()
}

// publish sends a message to all other nodes. What cannot be sent now is lost.
func (b *bus) publish(kind, id string, m proto.Message) {
	if data, err := proto.Marshal(m); err == nil {
		_ = b.conn.Publish(b.prefix+kind+"."+id, data)
	}
}

// flush waits until what was published has left, for a short time.
func (b *bus) flush() { _ = b.conn.FlushTimeout(500 * time.Millisecond) }

func (b *bus) close() {
	if b.conn != nil {
		b.conn.Close()
	}
	if b.server != nil {
		b.server.Shutdown()
		b.server.WaitForShutdown()
	}
}

// natsLog has the log take what the NATS server says: of what it says of its own accord,
// nothing.
type natsLog struct{ lines, strangers *logs.Sampler }

func (l *natsLog) say(level slog.Level, format string, args []any) {
	text := fmt.Sprintf(format, args...)
	if _, why, is := strings.Cut(text, "TLS route handshake error: "); is {
		address, _, _ := strings.Cut(text, " ")
		if host, _, err := net.SplitHostPort(address); err == nil {
			address = host
		}
		l.strangers.Log(context.Background(), slog.LevelWarn, "cluster_stranger", logs.Of("", address), "connection refused",
			"endpoint", "cluster", "address", address, "detail", "TLS handshake: "+why)
		return
	}
	l.lines.Log(context.Background(), level, "cluster_nats", logs.Of("", ""), "NATS server", "detail", text)
}
func (l *natsLog) Noticef(format string, args ...any) { l.say(slog.LevelDebug, format, args) }

// Warnf implements natsserver.Logger. That routes are not verified is not so: KeyRing does.
func (l *natsLog) Warnf(format string, args ...any) {
	level := slog.LevelWarn
	if strings.HasPrefix(format, "TLS certificate chain and hostname of solicited routes will not be verified") {
		level = slog.LevelDebug
	}
	l.say(level, format, args)
}
func (l *natsLog) Errorf(format string, args ...any) { l.say(slog.LevelWarn, format, args) }
func (l *natsLog) Fatalf(format string, args ...any) { l.say(slog.LevelError, format, args) }
func (l *natsLog) Debugf(string, ...any)             {}
func (l *natsLog) Tracef(string, ...any)             {}
