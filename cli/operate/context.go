package operate

import (
	"errors"

	"github.com/zioflow/gateway/cli/console"
	"github.com/zioflow/gateway/cli/contexts"
	"github.com/zioflow/gateway/cli/exit"
	"github.com/zioflow/gateway/cli/remote"
	"github.com/zioflow/gateway/cli/tables"
)

// contextCommand keeps named gateways.
type contextCommand struct {
	Add    addContext    `cmd:"" help:"Keep a gateway's address and what it is shown under a name. The first one comes into use."`
	Use    useContext    `cmd:"" help:"Have commands talk to that gateway, unless told otherwise."`
	List   listContexts  `cmd:"" default:"withargs" help:"List what is kept."`
	Remove removeContext `cmd:"" help:"Forget a gateway."`
}

// opened is the user's store.
func opened() (*contexts.Store, error) {
	path, err := contexts.Path()
	if err != nil {
		return nil, err
	}
	return contexts.Open(path)
}

// changed is the exit code of an error of the store's.
func changed(err error) error {
	switch {
	case errors.Is(err, contexts.ErrUnknown):
		return exit.With(exit.NotFound, err)
	case errors.Is(err, contexts.ErrExists), errors.Is(err, contexts.ErrName):
		return exit.With(exit.Usage, err)
	default:
		return err
	}
}

type addContext struct {
	Name      string `arg:"" help:"What to call it."`
	Address   string `required:"" env:"-" help:"Where it serves gRPC: HOST:PORT, or unix:PATH." placeholder:"HOST:PORT"`
	TokenFile string `env:"-" help:"Show the bearer token in this file. It is kept, the file is not needed any more." placeholder:"FILE"`
	TLSCA     string `name:"tls-ca" env:"-" help:"Encrypt, and trust gateways by the authority in this file." placeholder:"FILE"`
	TLSCert   string `name:"tls-cert" env:"-" help:"Show the client certificate in this file." placeholder:"FILE"`
	TLSKey    string `name:"tls-key" env:"-" help:"Its private key." placeholder:"FILE"`
	Replace   bool   `env:"-" help:"Also if there is one of that name."`
}

// Run keeps a context of which a connection could be made.
func (a *addContext) Run(c *console.Console) error {
	flags := remote.Flags{Address: a.Address, TokenFile: a.TokenFile, TLSCA: a.TLSCA, TLSCert: a.TLSCert, TLSKey: a.TLSKey}
	kept, err := flags.Resolve()
	if err != nil {
		return err
	}
	if err := remote.Check(kept); err != nil {
		return exit.With(exit.Usage, err)
	}
	store, err := opened()
	if err != nil {
		return err
	}
	if err := store.Add(a.Name, kept, a.Replace); err != nil {
		return changed(err)
	}
	if store.Current() == a.Name {
		return c.Printf("%s is kept, and in use\n", a.Name)
	}
	return c.Printf("%s is kept; gateway context use %s has it be in use\n", a.Name, a.Name)
}

type useContext struct {
	Name string `arg:"" optional:"" help:"Its name; without it, none is in use any more."`
}

// Run has another context be in use.
func (u *useContext) Run(c *console.Console) error {
	store, err := opened()
	if err != nil {
		return err
	}
	if err := store.Use(u.Name); err != nil {
		return changed(err)
	}
	if u.Name == "" {
		return c.Print("no context is in use\n")
	}
	return c.Printf("%s is in use\n", u.Name)
}

type removeContext struct {
	Name string `arg:"" help:"Its name."`
}

// Run forgets a context.
func (r *removeContext) Run(c *console.Console) error {
	store, err := opened()
	if err != nil {
		return err
	}
	if err := store.Remove(r.Name); err != nil {
		return changed(err)
	}
	return c.Printf("%s is forgotten\n", r.Name)
}

type listContexts struct {
	JSON bool `name:"json" env:"-" help:"Print them as JSON, without what they show."`
}

// Run lists contexts, and whether they have something to show, but not what.
func (l *listContexts) Run(c *console.Console) error {
	store, err := opened()
	if err != nil {
		return err
	}
	list := []tables.NamedGateway{}
	for _, name := range store.Names() {
		kept, err := store.Get(name)
		if err != nil {
			return err
		}
		list = append(list, tables.NamedGateway{
			Name: name, Address: kept.Address, Used: name == store.Current(), TLS: kept.TLSCA != "", Token: kept.Token != "", Certificate: kept.TLSCert != "",
		})
	}
	if l.JSON {
		text, err := tables.PlainJSON(map[string]any{"contexts": list})
		if err != nil {
			return err
		}
		return c.Print(text)
	}
	return c.Print(tables.NamedGateways(list).Render(c.Width()))
}
