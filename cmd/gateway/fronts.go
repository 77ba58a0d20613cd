package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/zioflow/gateway/zmqbridge"
)

// openFronts are the fronts that --insecure names: those that other machines may reach
// although they are not secured.
type openFronts struct {
	grpc, zmq, http bool
	// admin has the AdminService answer to them as well.
	admin bool
	// unnamed says that --insecure named none, as it was written once.
	unnamed bool
}

// frontNames are what --insecure takes.
const frontNames = "grpc, zmq, http, admin"

// Decode implements kong.MapperValue. It may be called again to add more. Without a
// value, and as true, --insecure stands for all addresses, as it has always done; the
// AdminService has to be named.
func (o *openFronts) Decode(ctx *kong.DecodeContext) error {
	if !ctx.Scan.Peek().IsValue() {
		return o.add("true")
	}
	token := ctx.Scan.Pop()
	for name := range strings.SplitSeq(fmt.Sprint(token.Value), ",") {
		if err := o.add(strings.TrimSpace(name)); err != nil {
			return err
		}
	}
	return nil
}

func (o *openFronts) add(name string) error {
	switch name {
	case "grpc":
		o.grpc = true
	case "zmq":
		o.zmq = true
	case "http":
		o.http = true
	case "admin":
		o.admin = true
	case "true":
		o.grpc, o.zmq, o.http, o.unnamed = true, true, true, true
	case "false", "none", "":
	default:
		return fmt.Errorf("%q is no front; there are %s", name, frontNames)
	}
	return nil
}

// String is the option as it can be written.
func (o openFronts) String() string {
	var names []string
	for _, front := range []struct {
		name string
		open bool
	}{{"grpc", o.grpc}, {"zmq", o.zmq}, {"http", o.http}, {"admin", o.admin}} {
		if front.open {
			names = append(names, front.name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ",")
}

// front is one that may be reached by others.
type front struct {
	name   string // for --insecure
	option string
	local  func(address string) bool // tells whether only this machine can reach it
	// encrypted, and asks tells of what those who come find.
	encrypted, asks bool
	// open tells whether it may be reached as it is, and want how to secure it.
	open bool
	want string
}

// secured tells whether anybody may reach the front.
func (f *front) secured() bool { return f.encrypted && f.asks }

// how is what is missing, in words.
func (f *front) how() string {
	switch {
	case !f.encrypted && !f.asks:
		return "in clear text, and nobody is asked who he is"
	case !f.encrypted:
		return "in clear text"
	}
	return "nobody is asked who he is"
}

// eachFront calls a function with every address there is, and the front that it is of,
// until one returns an error.
func (c *serveCommand) eachFront(a addresses, visit func(f *front, address string) error) error {
	flags := &c.securityFlags
	curve := flags.ZMQCurveKey != ""
	zmq := front{
		name: "zmq", local: zmqbridge.IsLocal, encrypted: curve, asks: curve, open: c.Insecure.zmq,
		want: "--zmq-curve-key and --identities secure it",
	}
	server, router := zmq, zmq
	server.option, router.option = "--zmq-server", "--zmq-router"
	grpc := front{
		name: "grpc", option: "--grpc", local: isLocal, encrypted: flags.TLSCert != "", asks: flags.Identities != "",
		open: c.Insecure.grpc, want: "--tls-cert, --tls-key and --identities secure it",
	}
	http := front{
		name: "http", option: "--http", local: isLocal, open: c.Insecure.http || flags.PublicHTTP, want: "--public-http allows it",
	}
	for _, part := range []struct {
		front     front
		addresses []string
	}{{server, a.ZMQServer}, {router, a.ZMQRouter}, {grpc, []string{a.GRPC}}, {http, []string{a.HTTP}}} {
		for _, address := range chosen(part.addresses) {
			if err := visit(&part.front, address); err != nil {
				return err
			}
		}
	}
	return nil
}

// validateReach refuses addresses that other machines can reach and that are not
// secured, unless their front is named.
func (c *serveCommand) validateReach() error {
	configured := addresses{ZMQServer: c.ZMQServer, ZMQRouter: c.ZMQRouter, GRPC: c.GRPC, HTTP: c.HTTP}
	return c.eachFront(configured, func(f *front, address string) error {
		if f.local(address) || f.secured() || f.open {
			return nil
		}
		return fmt.Errorf("%s: %s is reachable from other machines, %s; %s, --insecure %s allows it as it is",
			f.option, address, f.how(), f.want, f.name)
	})
}

// warnOpen logs a line for every bound address that others can reach without being
// asked who they are, or in clear text.
func (c *serveCommand) warnOpen(bound addresses, log *slog.Logger) {
	_ = c.eachFront(bound, func(f *front, address string) error {
		if f.local(address) || f.secured() {
			return nil
		}
		attributes := []any{"front", f.name, "address", address, "detail", f.how()}
		if f.name == "grpc" && !f.asks {
			attributes = append(attributes, "admin", c.adminReach())
		}
		if c.Insecure.unnamed {
			attributes = append(attributes, "hint", "--insecure "+f.name+" opens this front alone")
		}
		log.Warn("address open to other machines", attributes...)
		return nil
	})
}

// adminReach is from where the AdminService may be called, where nobody is asked who he
// is.
func (c *serveCommand) adminReach() string {
	if c.Insecure.admin {
		return "open"
	}
	return "from this machine alone"
}
