package contract

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestEveryDescriptionComesBack: what the contract can say of a factory is read and written
// whole, field by field of every kind that there is or will be.
func TestEveryDescriptionComesBack(t *testing.T) {
	t.Parallel()
	for i := range factories.Fields().Len() {
		member := factories.Fields().Get(i)
		for j := range member.Message().Fields().Len() {
			field := member.Message().Fields().Get(j)
			t.Run(string(member.Name()+"."+field.Name()), func(t *testing.T) {
				t.Parallel()
				want := &gatewayv1.Route{}
				message := want.ProtoReflect().Mutable(member).Message()
				switch {
				case field.IsList():
					list := message.Mutable(field).List()
					list.Append(protoreflect.ValueOfString("a"))
					list.Append(protoreflect.ValueOfString("b c"))
				case field.Kind() == protoreflect.MessageKind:
					message.Set(field, protoreflect.ValueOfMessage(durationpb.New(1500*time.Millisecond).ProtoReflect()))
				case field.Kind() == protoreflect.StringKind:
					message.Set(field, protoreflect.ValueOfString("text"))
				default:
					number, ok := numberOf(1<<31-1, field.Kind())
					if !ok {
						t.Fatalf("a %v can't be described", field.Kind())
					}
					message.Set(field, number)
				}
				said, err := description(want)
				if err != nil {
					t.Fatal(err)
				}
				got := &gatewayv1.Route{}
				describe(got, said)
				if !proto.Equal(got, want) {
					t.Errorf("%v came back as %v", want, got)
				}
			})
		}
	}
}
