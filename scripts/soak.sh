#!/usr/bin/env bash
# Runs the soak programs: all of them, or those that -run names. Arguments go to
# go test. SOAK_SCALE and SOAK_SEED: see soak/doc.go. Without arguments, other tests
# follow that take too long for every day.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/env-test.sh"
cd "$root"

# Thousands of peers, each with a descriptor on both ends.
ulimit -n "$(ulimit -Hn)"

status=0
go test -tags soak,libzmq -count 1 -timeout 90m -v "$@" ./soak || status=1
(($# == 0)) || exit $status

echo "== Python's handlers through twenty restarts of the gateway"
(cd clients/python && ZIOFLOW_RESTARTS=20 "$root/.deps/python/bin/python" -m pytest -q tests/test_reconnect.py tests/test_native.py) || status=1

echo "== JeroMQ among the peers on other libraries"
go test -tags soak,libzmq -count 1 -timeout 20m -run '^TestForeign' ./conformance || status=1

echo "== the Python client on CLIENT sockets"
(cd clients/python && "$root/.deps/python-draft/bin/python" -m pytest -q tests/test_native{,_sync,_wire}.py) || status=1

echo "== C++ in the matrix of clients and handlers"
go test -tags soak -count 1 -timeout 20m ./conformance/matrix || status=1

echo "== the packages, from clean environments, and the other languages"
TEST_PACKAGES=1 TEST_LANGUAGES=1 go test -count 1 -timeout 90m -run '^(TestPackages|TestLanguages)$' ./conformance || status=1
TEST_PACKAGES=1 go test -count 1 -timeout 20m ./deploy/helm || status=1

echo "== proxies, before which flows are silent for longer than any waits by itself"
TEST_PROXIES_IDLE=200s go test -count 1 -timeout 20m ./conformance/proxies || status=1

echo "== libzmq as the ZeroMQ engine"
TEST_ZMQ_ENGINE=libzmq go test -tags soak,libzmq -count 1 -timeout 20m ./conformance ./zmqbridge/... || status=1

echo "== the file server: a thousand flows at once, killed 50 times, and at any write; a full disk"
(cd clients/python && ZIOFLOW_SOAK_FLOWS=1000 ZIOFLOW_SOAK_KILLS=50 ZIOFLOW_SOAK_DISK=1 \
  "$root/.deps/python/bin/python" -m pytest -q -s -rs tests/test_files_many.py \
  tests/test_files_crash.py tests/test_files_full_disk.py tests/test_files_docs.py) || status=1

echo "== the Node client's handlers, whose gateway is killed again and again"
TEST_RESTARTS=20 npm --prefix clients/node test --silent || status=1

echo "== nodes of a cluster that are killed, frozen and cut off, a hundred times each"
ZIO_CLUSTER_TRIALS=100 go test -count 1 -timeout 60m -v -run '^Test(DeadNode|CutNetwork)$' ./cluster || status=1

echo "== a cluster in two for half a minute, twenty times; without NATS; restarted ten times, under load"
ZIO_CLUSTER_TRIALS=20 ZIO_CLUSTER_SPAN=30s go test -count 1 -timeout 30m -v -run '^Test(Split|NATSAway)$' ./cluster || status=1
ZIO_CLUSTER_TRIALS=10 go test -count 1 -timeout 30m -v -run '^Test(RollingRestart|ManyListeners)$' ./cluster || status=1

for threads in 1 2 8; do
  echo "== the ZeroMQ endpoints and the broker with GOMAXPROCS=$threads"
  race=(-race)
  ((threads > 1)) || race=() # with one thread everything together is slower than peers may be
  go test "${race[@]}" -exec "env GOMAXPROCS=$threads" -count 1 -timeout 20m ./zmqbridge/... ./zmtp/... ./broker/... || status=1
done

exit $status
