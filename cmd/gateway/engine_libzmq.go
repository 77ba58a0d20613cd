//go:build cgo && libzmq

package main

import _ "github.com/zioflow/gateway/zmqbridge/libzmq" // the engine
