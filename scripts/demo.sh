#!/usr/bin/env bash
# Starts the gateway, lets first flows cross, and keeps serving until Ctrl-C.
# Arguments go to `gateway serve`.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
gateway=$root/bin/gateway
work=$(mktemp -d)
ready=$work/ready.json

"$gateway" serve --ready-file "$ready" "$@" &
pid=$!
# Ctrl-C reaches the gateway too, which then ends by itself.
trap 'kill "$pid" 2>/dev/null || true; wait "$pid" || true; rm -rf "$work"' EXIT
trap 'exit 0' INT TERM

until [[ -e $ready ]]; do
  kill -0 "$pid" 2>/dev/null || exit 1 # it has said why
  sleep 0.05
done

# The first address of that name in the ready file.
address() { sed -E "s/.*\"$1\":\[?\"([^\"]*)\".*/\1/" "$ready"; }

echo
echo "A native client (a ZeroMQ CLIENT socket) takes from the built-in handler 'generate':"
"$gateway" get --via zmq-server --address "$(address zmq_server)" builtin=generate count=1000 size=65536
echo "A native client (a ZeroMQ DEALER socket) gives to the built-in handler 'dump':"
"$gateway" put --via zmq-router --address "$(address zmq_router)" --count 1000 --size 65536 builtin=dump
echo "A gRPC client takes, and one gives:"
"$gateway" get --via grpc --address "$(address grpc)" builtin=generate count=1000 size=65536
"$gateway" put --via grpc --address "$(address grpc)" --count 1000 --size 65536 builtin=dump
echo
echo "The gateway goes on serving. Try, in another terminal:"
echo "  .deps/bin/grpcurl -plaintext -d '{\"bot\":{\"credit\":3,\"attributes\":{\"builtin\":\"generate\",\"count\":3}}}' $(address grpc) zio.gateway.v1.FlowService/Get"
echo "Ctrl-C ends it."
wait "$pid"
