//go:build libzmq

package zmqbridge_test

import _ "github.com/zioflow/gateway/zmqbridge/libzmq" // the engine
