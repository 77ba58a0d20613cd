package admin

import (
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/zioflow/gateway/broker/routes"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
)

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
				return nil, contract.BadField("route."+string(member.Name()+"."+field.Name()), "is no duration")
			}
			fields[string(field.Name())] = limit.AsDuration().String()
		case uint32:
			fields[string(field.Name())] = int64(v)
		default:
			fields[string(field.Name())] = v
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
		message.Set(field, protoreflect.ValueOfUint32(uint32(v)))
	case string:
		if field.Kind() != protoreflect.MessageKind {
			message.Set(field, protoreflect.ValueOfString(v))
		} else if limit, err := time.ParseDuration(v); err == nil {
			message.Set(field, protoreflect.ValueOfMessage(durationpb.New(limit).ProtoReflect()))
		}
	}
}
