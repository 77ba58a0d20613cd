package contract

import (
	"math"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/zioflow/gateway/broker/routes"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// ToSpec is a route as it is made. The error is INVALID_ARGUMENT.
func ToSpec(r *gatewayv1.Route) (routes.Spec, error) {
	factory, err := description(r)
	return routes.Spec{
		Name: r.GetName(), Match: r.GetMatch(), Rules: r.GetRules(), Priority: r.GetPriority(), MaxCredit: r.GetMaxCredit(),
		Factory: factory,
	}, err
}

// ToRoute is ToSpec's inverse. What the contract has no field for is left out.
func ToRoute(s routes.Spec) *gatewayv1.Route {
	r := &gatewayv1.Route{Name: s.Name, Match: s.Match, Rules: s.Rules, Priority: s.Priority, MaxCredit: s.MaxCredit}
	describe(r, s.Factory)
	return r
}

// factories is the contract's oneof: each kind of factory has its member.
var factories = (*gatewayv1.Route)(nil).ProtoReflect().Descriptor().Oneofs().ByName("factory")

// description is what a route says of its factory; nil for nothing. The contract's names
// are those of the configuration file.
func description(r *gatewayv1.Route) (routes.Description, error) {
	member := r.ProtoReflect().WhichOneof(factories)
	if member == nil {
		return nil, nil
	}
	fields := map[string]any{}
	for field, value := range r.ProtoReflect().Get(member).Message().Range {
		switch v := value.Interface().(type) {
		case protoreflect.List:
			texts := make([]any, v.Len())
			for i := range texts {
				texts[i] = v.Get(i).Interface()
			}
			fields[string(field.Name())] = texts
		case protoreflect.Message:
			limit, ok := v.Interface().(*durationpb.Duration)
			if !ok || limit.CheckValid() != nil {
				return nil, BadField("route."+string(member.Name()+"."+field.Name()), "is no duration")
			}
			fields[string(field.Name())] = limit.AsDuration().String()
		case string:
			fields[string(field.Name())] = v
		default:
			n, ok := integer(value, field.Kind())
			if !ok {
				return nil, BadField("route."+string(member.Name()+"."+field.Name()), "is too large, or of a kind that this gateway can't read")
			}
			fields[string(field.Name())] = n
		}
	}
	return routes.Description{string(member.Name()): fields}, nil
}

// describe has a route say that of its factory. What the contract has no field for is left
// out.
func describe(r *gatewayv1.Route, d routes.Description) {
	for kind, values := range d {
		member := factories.Fields().ByName(protoreflect.Name(kind))
		fields, ok := values.(map[string]any)
		if member == nil || !ok {
			continue
		}
		message := r.ProtoReflect().Mutable(member).Message()
		for key, value := range fields {
			if field := message.Descriptor().Fields().ByName(protoreflect.Name(key)); field != nil {
				set(message, field, value)
			}
		}
	}
}

// set sets a field to a value of a description.
func set(message protoreflect.Message, field protoreflect.FieldDescriptor, value any) {
	switch v := value.(type) {
	case []any:
		list := message.Mutable(field).List()
		for _, item := range v {
			list.Append(protoreflect.ValueOf(item))
		}
	case int64:
		if number, ok := numberOf(v, field.Kind()); ok {
			message.Set(field, number)
		}
	case string:
		if field.Kind() != protoreflect.MessageKind {
			message.Set(field, protoreflect.ValueOfString(v))
		} else if limit, err := time.ParseDuration(v); err == nil {
			message.Set(field, protoreflect.ValueOfMessage(durationpb.New(limit).ProtoReflect()))
		}
	}
}

// integer is the value of a field that has a whole number; false for others, and for one
// beyond int64.
func integer(value protoreflect.Value, kind protoreflect.Kind) (int64, bool) {
	switch kind {
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return value.Int(), true
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return int64(value.Uint()), value.Uint() <= math.MaxInt64
	default:
		return 0, false
	}
}

// numberOf is integer's inverse.
func numberOf(n int64, kind protoreflect.Kind) (protoreflect.Value, bool) {
	switch kind {
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(n)), true
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(n), true
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(n)), true
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(n)), true
	default:
		return protoreflect.Value{}, false
	}
}
