#!/usr/bin/env bash
# Builds the matrix's peer in C++ from the contract:
#     build.sh INTO
# Needs scripts/setup.sh cpp.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../../..
into=$1
mkdir -p "$into/gen"

# handler.proto needs the rules' own types, which stand in another folder.
protoc -I"$root/proto" -I"$root/third_party" --cpp_out="$into/gen" \
  zio/gateway/v1/flow.proto zio/gateway/v1/handler.proto buf/validate/validate.proto
protoc -I"$root/proto" -I"$root/third_party" --grpc_out="$into/gen" \
  --plugin=protoc-gen-grpc="$(command -v grpc_cpp_plugin)" \
  zio/gateway/v1/flow.proto zio/gateway/v1/handler.proto

mapfile -t sources < <(find "$into/gen" -name '*.cc')
read -ra flags < <(pkg-config --cflags --libs grpc++ protobuf libcrypto)
"${CXX:-c++}" -std=c++17 -O1 -Wall -Wextra -I"$into/gen" "$here/peer.cc" "${sources[@]}" -o "$into/peer" "${flags[@]}"
