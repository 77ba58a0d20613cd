package routes

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/routing"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Kind is a way to find handlers: a member of the contract's oneof Route.factory, whose
// message describes a factory wherever one is written, in the contract and in the
// configuration file, which has the same fields.
//
// A new kind is its own package, a member of that oneof, and its place among the Kinds of
// the gateway.
type Kind struct {
	// Name is the member's.
	Name string
	// Make makes the factory of a route of that name. Where a field of the description
	// makes no sense, the error is a *FieldError with its name.
	Make func(route string, description proto.Message) (broker.Factory, error)
	// Describe is the inverse: nil for a factory of another kind.
	Describe func(broker.Factory) proto.Message
	// RunsCommands: whoever may add such a route may run any program as the gateway's
	// user.
	RunsCommands bool
}

// KindOf is the kind that a message of type M describes.
func KindOf[M proto.Message](make func(route string, description M) (broker.Factory, error), describe func(broker.Factory) (M, bool)) Kind {
	var none M
	return Kind{
		Name: memberOf(none),
		Make: func(route string, description proto.Message) (broker.Factory, error) {
			return make(route, description.(M))
		},
		Describe: func(f broker.Factory) proto.Message {
			if description, ok := describe(f); ok {
				return description
			}
			return nil
		},
	}
}

// factories is the contract's oneof.
var factories = (*gatewayv1.Route)(nil).ProtoReflect().Descriptor().Oneofs().ByName("factory")

// memberOf is the name of the oneof's member that has the type of m.
func memberOf(m proto.Message) string {
	name := m.ProtoReflect().Descriptor().FullName()
	for i := range factories.Fields().Len() {
		if member := factories.Fields().Get(i); member.Message().FullName() == name {
			return string(member.Name())
		}
	}
	panic(fmt.Sprintf("%s describes no factory in the contract", name))
}

// Descriptions is the members of the contract's oneof, in its order: every way in which a
// factory can be described.
func Descriptions() []protoreflect.FieldDescriptor {
	members := make([]protoreflect.FieldDescriptor, factories.Fields().Len())
	for i := range members {
		members[i] = factories.Fields().Get(i)
	}
	return members
}

// DescriptionOf is what a route in the contract's words says of its factory; nil for
// nothing.
func DescriptionOf(r *gatewayv1.Route) proto.Message {
	m := r.ProtoReflect()
	member := m.WhichOneof(factories)
	if member == nil {
		return nil
	}
	return m.Get(member).Message().Interface()
}

// Describe has a route in the contract's words say that of its factory; nil is nothing.
func Describe(r *gatewayv1.Route, description proto.Message) {
	if description == nil {
		return
	}
	member := factories.Fields().ByName(protoreflect.Name(memberOf(description)))
	r.ProtoReflect().Set(member, protoreflect.ValueOfMessage(description.ProtoReflect()))
}

// Kinds are those that a gateway has.
type Kinds []Kind

// named is the kind of that name; false if the gateway has none.
func (k Kinds) named(name string) (Kind, bool) {
	if i := slices.IndexFunc(k, func(kind Kind) bool { return kind.Name == name }); i >= 0 {
		return k[i], true
	}
	return Kind{}, false
}

// RunsCommands tells whether a route that is described so runs commands.
func (k Kinds) RunsCommands(description proto.Message) bool {
	if description == nil {
		return false
	}
	kind, _ := k.named(memberOf(description))
	return kind.RunsCommands
}

// describe is what describes the factory; nil if it is of no kind.
func (k Kinds) describe(f broker.Factory) proto.Message {
	for _, kind := range k {
		if description := kind.Describe(f); description != nil {
			return description
		}
	}
	return nil
}

// factory makes the factory that is described.
func (k Kinds) factory(route string, description proto.Message) (broker.Factory, error) {
	if description == nil {
		return nil, wrong("factory", "one of %s must be set", Names())
	}
	name := memberOf(description)
	kind, found := k.named(name)
	if !found {
		return nil, wrong(name, "this gateway has no such routes")
	}
	f, err := kind.Make(route, description)
	if err == nil {
		return f, nil
	}
	if field, ok := errors.AsType[*FieldError](err); ok {
		return nil, &FieldError{Field: name + "." + field.Field, Err: field.Err}
	}
	return nil, &FieldError{Field: name, Err: err}
}

// Names is the ways in which a factory can be described, in words.
func Names() string {
	var names []string
	for _, member := range Descriptions() {
		names = append(names, string(member.Name()))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// Listener is the kind of the factories that offer flows to the listeners of a name.
func Listener() Kind {
	return KindOf(
		func(_ string, d *gatewayv1.ListenerFactory) (broker.Factory, error) {
			switch n := len(d.GetName()); {
			case n == 0:
				return nil, routing.WrongField("name", "is missing")
			case n > maxName:
				return nil, routing.WrongField("name", "has %d bytes, %d are allowed", n, maxName)
			}
			return broker.ToListeners{Name: d.GetName()}, nil
		},
		func(f broker.Factory) (*gatewayv1.ListenerFactory, bool) {
			to, ok := f.(broker.ToListeners)
			return &gatewayv1.ListenerFactory{Name: to.Name}, ok
		})
}
