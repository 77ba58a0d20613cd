package config

import (
	"fmt"
	"strings"
)

// Exposure says which fronts other machines may reach although they are not secured.
type Exposure struct {
	GRPC, ZMQ, HTTP bool
	// Cluster has the nodes of a cluster do without keys, on this machine alone as well.
	Cluster bool
	// Admin has the AdminService serve them as well.
	Admin bool
	// Unnamed says that --insecure named none, as it was written once.
	Unnamed bool
}

// exposureNames are what Add takes.
const exposureNames = "grpc, zmq, http, admin, cluster"

// Add opens the front of that name. "true" stands for all but admin and cluster, which have to be
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
	case "cluster":
		return &e.Cluster
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
