//go:build libzmq

package main_test

import _ "github.com/zioflow/gateway/zmqbridge/libzmq" // the engine
