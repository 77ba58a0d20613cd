package gateway

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/zioflow/gateway/server/admin"
)

// Exposure says which fronts other machines may reach although they are not secured.
type Exposure struct {
	GRPC, ZMQ, HTTP bool
	// Admin has the AdminService serve them as well.
	Admin bool
	// Unnamed says that --insecure named none, as it was written once.
	Unnamed bool
}

// exposureNames are what Add takes.
const exposureNames = "grpc, zmq, http, admin"

// Add opens the front of that name. "true" stands for all but admin, which has to be
// named; "false", "none" and "" for nothing.
func (e *Exposure) Add(name string) error {
	switch name {
	case "true":
		e.GRPC, e.ZMQ, e.HTTP, e.Unnamed = true, true, true, true
	case "false", "none", "":
	default:
		front := e.named(name)
		if front == nil {
			return fmt.Errorf("%q is no front; there are %s", name, exposureNames)
		}
		*front = true
	}
	return nil
}

// named is the field of a front; nil if there is none of that name.
func (e *Exposure) named(name string) *bool {
	switch name {
	case "grpc":
		return &e.GRPC
	case "zmq":
		return &e.ZMQ
	case "http":
		return &e.HTTP
	case "admin":
		return &e.Admin
	}
	return nil
}

// String is the names, as --insecure takes them; "none" for nothing.
func (e Exposure) String() string {
	var open []string
	for name := range strings.SplitSeq(exposureNames, ", ") {
		if *e.named(name) {
			open = append(open, name)
		}
	}
	if len(open) == 0 {
		return "none"
	}
	return strings.Join(open, ",")
}

// validateReach refuses addresses that other machines can reach and that are not
// secured, unless their front is named.
func (c *Config) validateReach() error {
	for _, k := range kinds() {
		for _, t := range k.transports {
			for _, address := range t.configured(c) {
				if t.local(address) || t.secured(c) || c.opened(&t) {
					continue
				}
				return fmt.Errorf("%s: %s is reachable from other machines, %s; %s, --insecure %s allows it as it is",
					t.option, address, t.lacks(c), t.want, t.front)
			}
		}
	}
	return nil
}

// opened tells whether a transport may be reached as it is.
func (c *Config) opened(t *transport) bool {
	return *c.Security.Insecure.named(t.front) || t.front == "http" && c.Security.PublicHTTP
}

// warnOpen logs a line for every bound address that others can reach without being
// asked who they are, or in clear text.
func (c *Config) warnOpen(bound []admin.Endpoint, log *slog.Logger) {
	for _, k := range kinds() {
		for _, t := range k.transports {
			for _, e := range bound {
				if e.Transport == t.name && !t.local(e.Address) && !t.secured(c) {
					log.Warn("address open to other machines", c.warning(&t, e.Address)...)
				}
			}
		}
	}
}

// warning is what a line says of an open address.
func (c *Config) warning(t *transport, address string) []any {
	attributes := []any{"front", t.front, "address", address, "detail", t.lacks(c)}
	if t.name == transportGRPC && !t.asks(c) {
		attributes = append(attributes, "admin", c.adminReach())
	}
	if c.Security.Insecure.Unnamed {
		attributes = append(attributes, "hint", "--insecure "+t.front+" opens this front alone")
	}
	return attributes
}

// adminReach is from where the AdminService may be called, where nobody is asked who he
// is.
func (c *Config) adminReach() string {
	if c.Security.Insecure.Admin {
		return "open"
	}
	return "from this machine alone"
}
