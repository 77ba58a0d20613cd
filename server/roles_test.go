package server

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/zioflow/gateway/broker"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestEveryMethodHasItsRoles: each method of the contract has a row, and no row
// is without a method.
func TestEveryMethodHasItsRoles(t *testing.T) {
	rows := 0
	for _, file := range []protoreflect.FileDescriptor{
		gatewayv1.File_zio_gateway_v1_flow_proto, gatewayv1.File_zio_gateway_v1_handler_proto,
		gatewayv1.File_zio_gateway_v1_admin_proto,
	} {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				method := "/" + string(service.FullName()) + "/" + string(service.Methods().Get(j).Name())
				if len(methodRoles[method]) == 0 {
					t.Errorf("%s has no row", method)
				}
				rows++
			}
		}
	}
	if rows != len(methodRoles) {
		t.Errorf("there are %d methods and %d rows", rows, len(methodRoles))
	}
}

// TestEveryServedMethodHasItsRoles: so has everything that a server serves.
func TestEveryServedMethodHasItsRoles(t *testing.T) {
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	s := New(b, DefaultOptions(b.Options()))
	defer s.Stop(t.Context())
	for service, info := range s.grpc.GetServiceInfo() {
		for _, method := range info.Methods {
			name := "/" + service + "/" + method.Name
			if !isOpen(name, false) && len(rolesFor(name)) == 0 {
				t.Errorf("nobody may call %s", name)
			}
		}
	}
	if rolesFor("/zio.gateway.v1.FlowService/Other") != nil || isOpen("/zio.gateway.v1.FlowService/Check", true) {
		t.Error("an unknown method may be called")
	}
}
