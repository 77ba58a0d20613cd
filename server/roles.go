package server

import (
	"strings"

	channelzpb "google.golang.org/grpc/channelz/grpc_channelz_v1"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionalphapb "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	"github.com/zioflow/gateway/access"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// either are the roles of a flow's two sides: which one a BOT needs is seen when
// it has come.
var either = []access.Role{access.Client, access.Handler}

// methodRoles is what the contract's methods need: one of these roles.
var methodRoles = map[string][]access.Role{
	gatewayv1.FlowService_Open_FullMethodName: either,
	gatewayv1.FlowService_Put_FullMethodName:  either,
	gatewayv1.FlowService_Get_FullMethodName:  either,

	gatewayv1.HandlerService_Listen_FullMethodName:  {access.Handler},
	gatewayv1.HandlerService_Decline_FullMethodName: {access.Handler},

	gatewayv1.AdminService_GetStatus_FullMethodName:     {access.Admin},
	gatewayv1.AdminService_ListFlows_FullMethodName:     {access.Admin},
	gatewayv1.AdminService_GetFlow_FullMethodName:       {access.Admin},
	gatewayv1.AdminService_WatchFlows_FullMethodName:    {access.Admin},
	gatewayv1.AdminService_EndFlow_FullMethodName:       {access.Admin},
	gatewayv1.AdminService_ListPeers_FullMethodName:     {access.Admin},
	gatewayv1.AdminService_ListListeners_FullMethodName: {access.Admin},
	gatewayv1.AdminService_ListNodes_FullMethodName:     {access.Admin},
	gatewayv1.AdminService_WatchNodes_FullMethodName:    {access.Admin},
	gatewayv1.AdminService_ListRoutes_FullMethodName:    {access.Admin},
	gatewayv1.AdminService_AddRoute_FullMethodName:      {access.Admin},
	gatewayv1.AdminService_RemoveRoute_FullMethodName:   {access.Admin},
	gatewayv1.AdminService_TestRoute_FullMethodName:     {access.Admin},
	gatewayv1.AdminService_Drain_FullMethodName:         {access.Admin},
	gatewayv1.AdminService_Undrain_FullMethodName:       {access.Admin},
	gatewayv1.AdminService_SetLogLevel_FullMethodName:   {access.Admin},
	gatewayv1.AdminService_Reload_FullMethodName:        {access.Admin},

	gatewayv1.AdminService_DisconnectPeer_FullMethodName: {access.Admin},
}

// serviceRoles is the same for gRPC's own services.
var serviceRoles = map[string][]access.Role{
	channelzpb.Channelz_ServiceDesc.ServiceName:                {access.Admin},
	reflectionpb.ServerReflection_ServiceDesc.ServiceName:      access.Roles,
	reflectionalphapb.ServerReflection_ServiceDesc.ServiceName: access.Roles,
}

// rolesFor returns the roles of which a method needs one; none if it is not
// known, so that nobody may call it.
func rolesFor(method string) []access.Role {
	if roles, ok := methodRoles[method]; ok {
		return roles
	}
	return serviceRoles[serviceOf(method)]
}

// isOpen tells whether a method is for everybody: health checks are, reflection
// may be.
func isOpen(method string, publicReflection bool) bool {
	switch serviceOf(method) {
	case healthpb.Health_ServiceDesc.ServiceName:
		return true
	case reflectionpb.ServerReflection_ServiceDesc.ServiceName, reflectionalphapb.ServerReflection_ServiceDesc.ServiceName:
		return publicReflection
	}
	return false
}

// serviceOf is the service in "/service/method".
func serviceOf(method string) string {
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	return service
}

// unknownMethod is the name by which they are counted and logged: their own are
// strangers' texts.
const unknownMethod = "/unknown/unknown"

// unknownKey marks the context of a call of one.
type unknownKey struct{}
