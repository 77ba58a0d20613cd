package config

import (
	"fmt"
	"log/slog"

	"github.com/zioflow/gateway/server/admin"
)

// validateReach refuses addresses that other machines can reach and that are not
// secured, unless their front is named.
func (c *Config) validateReach() error {
	for _, t := range Transports() {
		for _, address := range t.Configured(c) {
			if t.Local(address) || t.secured(c) || c.opened(&t) {
				continue
			}
			return fmt.Errorf("%s: %s is reachable from other machines, %s; %s, --insecure %s allows it as it is",
				t.option, address, t.lacks(c), t.want, t.Front)
		}
	}
	return nil
}

// opened tells whether a transport may be reached as it is.
func (c *Config) opened(t *Transport) bool {
	return *c.Security.Insecure.named(t.Front) || t.Front == "http" && c.Security.PublicHTTP
}

// WarnOpen logs a line for every bound address that others can reach without being
// asked who they are, or in clear text.
func (c *Config) WarnOpen(bound []admin.Endpoint, log *slog.Logger) {
	for _, t := range Transports() {
		for _, e := range bound {
			if e.Transport == t.Name && !t.Local(e.Address) && !t.secured(c) {
				log.Warn("address open to other machines", c.warning(&t, e.Address)...)
			}
		}
	}
}

// warning is what a line says of an open address.
func (c *Config) warning(t *Transport, address string) []any {
	attributes := []any{"front", t.Front, "address", address, "detail", t.lacks(c)}
	if t.Name == GRPCTransport && !t.asks(c) {
		attributes = append(attributes, "admin", c.adminReach())
	}
	if c.Security.Insecure.Unnamed {
		attributes = append(attributes, "hint", "--insecure "+t.Front+" opens this front alone")
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
