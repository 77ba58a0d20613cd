//go:build libzmq

package conformance_test

import _ "github.com/zioflow/gateway/zmqbridge/libzmq" // the engine
