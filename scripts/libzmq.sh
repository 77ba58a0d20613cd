#!/usr/bin/env bash
# Provides a libzmq with draft sockets (CLIENT, SERVER), which distributions
# leave out, as .deps/libzmq; `. scripts/env.sh` makes cgo find it.
#
# An installed libzmq of 4.3.5 or later that has drafts is used as it is.
# Otherwise the distribution's own source package is built as a static library,
# so that the gateway is one file that needs nothing but glibc.
#
# Does nothing, at once, when there is nothing to do.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps=$root/.deps
dest=$deps/libzmq
pc=lib/pkgconfig/libzmq.pc

# Our own libzmq.pc must not pass for an installed one.
PKG_CONFIG_PATH=${PKG_CONFIG_PATH-}
export PKG_CONFIG_PATH=${PKG_CONFIG_PATH//"$dest/lib/pkgconfig"/}

installed=$(pkg-config --modversion libzmq 2>/dev/null || echo none)
patch=$root/scripts/libzmq.patch
hash=$(cat "${BASH_SOURCE[0]}" "$patch" | sha256sum)
hash=${hash:0:16}
stamp="$hash installed=$installed"

up_to_date() { [[ -f $dest/$pc && $(cat "$dest/.stamp" 2>/dev/null) == "$stamp" ]]; }

up_to_date && exit 0

mkdir -p "$deps"
exec 9>"$deps/libzmq.lock"
flock 9
up_to_date && exit 0 # another run has just built it

rm -rf "$deps"/libzmq.tmp.* # left by a run that was killed
work=$(mktemp -d "$deps/libzmq.tmp.XXXXXX")
log=$deps/libzmq.log

finish() {
  local status=$?
  rm -rf "$work"
  if ((status != 0)); then
    echo "libzmq: failed; the end of $log:" >&4
    tail -n 30 "$log" >&4
  fi
}
trap finish EXIT
trap 'exit 130' INT TERM HUP # so that finish runs
exec 3>&1 4>&2 >"$log" 2>&1

die() {
  echo "$*"
  exit 1
}

# has_drafts FLAG...: whether a program built with these flags can use them.
# It has to run: some builds export the functions but refuse the sockets.
has_drafts() {
  cat >"$work/probe.c" <<'C'
#include <zmq.h>
int main(void) {
  zmq_msg_t msg;
  void *ctx = zmq_ctx_new();
  void *sock = zmq_socket(ctx, ZMQ_SERVER);
  return !sock || zmq_setsockopt(sock, ZMQ_DISCONNECT_MSG, "x", 1) ||
         zmq_msg_init(&msg) || zmq_msg_set_routing_id(&msg, 1) ||
         zmq_close(sock) || zmq_ctx_term(ctx);
}
C
  "${CC:-cc}" -DZMQ_BUILD_DRAFT_API=1 -o "$work/probe" "$work/probe.c" "$@" && "$work/probe"
}

# write_pc VERSION CFLAGS LIBS
# The GATEWAY_LIBZMQ macro means nothing to libzmq. Go's build cache looks at
# flags, not at what is in a library: the macro makes it link a new one.
write_pc() {
  mkdir -p "$work/out/lib/pkgconfig"
  cat >"$work/out/$pc" <<PC
prefix=\${pcfiledir}/../..
Name: libzmq
Description: libzmq with draft sockets, for the gateway
Version: $1
Cflags: $2 -DZMQ_BUILD_DRAFT_API=1 -DGATEWAY_LIBZMQ=$hash
Libs: $3
PC
}

# fetch_source: unpacks the source package to $work/src. apt gets a
# configuration and state of its own, as most systems list no sources.
fetch_source() {
  local apt=$work/apt keyring
  # shellcheck disable=SC1091 # only there at run time
  . /etc/os-release
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
  keyring=/usr/share/keyrings/$ID-archive-keyring.gpg
  # The same mirror, release and components as the system's packages.
  # shellcheck disable=SC2016 # apt's own variables
  apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v release="$VERSION_CODENAME" -v option="$([[ -f $keyring ]] && echo "[signed-by=$keyring] ")" \
      '$1 == release && !seen[$0]++ { print "deb-src " option $3 " " $1 " " $2 }' >"$apt/sources.list"
  [[ -s $apt/sources.list ]] || die "apt has no package source for $VERSION_CODENAME"
  cat >"$apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
CONF
  (
    export APT_CONFIG=$apt/apt.conf
    cd "$apt"
    apt-get -q update
    apt-get -q source --only-source --download-only zeromq3
    dpkg-source --no-check -x zeromq3_*.dsc "$work/src" # apt has checked it
  )
}

# guard_disconnect_msg: before 4.3.5, pipe_t::send_disconnect_msg writes to the
# out pipe without looking whether it is still there. With ZMQ_DISCONNECT_MSG
# set, a peer that leaves at the wrong moment crashes the process.
guard_disconnect_msg() {
  local file=$work/src/src/pipe.cpp
  sed -i '/^void zmq::pipe_t::send_disconnect_msg ()/,/^}/ s/if (_disconnect_msg\.size () > 0)/if (_out_pipe \&\& _disconnect_msg.size () > 0)/' "$file"
  (($(grep -c 'if (_out_pipe && _disconnect_msg' "$file") == 1)) ||
    die "pipe.cpp is not as expected: send_disconnect_msg could not be guarded"
}

# guard_assertions: by two assertions a peer can end the process, in all versions: one
# that calls itself what the ROUTER would call the next nameless peer (a zero byte in
# front: it is ignored now), and one whose connection is reset while its queue is full
# and a heartbeat or a PING in the buffer has something sent.
guard_assertions() {
  local router=$work/src/src/router.cpp engine=$work/src/src/stream_engine_base.cpp
  sed -i '/routing_id.set (static_cast<unsigned char \*> (msg.data ()),/,/msg.close ();/ s/msg.close ();/msg.close ();\n            if (routing_id.data ()[0] == 0)\n                return false;/' "$router"
  (($(grep -c 'if (routing_id.data ()\[0\] == 0)' "$router") == 1)) ||
    die "router.cpp is not as expected: identify_peer could not be guarded"
  sed -i '/^void zmq::stream_engine_base_t::out_event ()/,/^}/ s/zmq_assert (!_io_error);/if (unlikely (_io_error))\n        return;/' "$engine"
  (($(grep -A 4 '::out_event ()' "$engine" | grep -c 'if (unlikely (_io_error))') == 1)) ||
    die "stream_engine_base.cpp is not as expected: out_event could not be guarded"
}

# spare: applies libzmq.patch, without which all works but an idle connection
# costs twice the memory, and heartbeats of thousands too much time.
spare() {
  if patch --dry-run -p1 -d "$work/src" <"$patch"; then
    patch -p1 -d "$work/src" <"$patch"
  else
    result_note=", without $(basename "$patch"), which does not fit it"
  fi
}

build() {
  local tool version
  for tool in apt-get dpkg-source patch cmake ninja c++ pkg-config; do
    command -v "$tool" || die "$tool is missing: scripts/setup.sh installs what is needed (Debian, Ubuntu)." \
      "Elsewhere, install libzmq 4.3.5 or later built with drafts, and pkg-config."
  done
  pkg-config --exists libsodium || die "libsodium-dev is missing: scripts/setup.sh installs it"

  fetch_source
  version=$(awk '/^#define ZMQ_VERSION_(MAJOR|MINOR|PATCH)/ { v = v sep $3; sep = "." } END { print v }' "$work/src/include/zmq.h")
  [[ $(printf '%s\n' "$version" 4.3.5 | sort -V | head -n 1) == 4.3.5 ]] || guard_disconnect_msg
  guard_assertions
  spare

  # What is switched off would bring in libraries that nobody here uses. The
  # prefix map keeps the name of the temporary folder out of assertions.
  cmake -G Ninja -S "$work/src" -B "$work/build" -Wno-dev \
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$work/out" -DCMAKE_INSTALL_LIBDIR=lib \
    -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_CXX_FLAGS="-ffile-prefix-map=$work/src=libzmq" \
    -DENABLE_DRAFTS=ON -DENABLE_CURVE=ON -DWITH_LIBSODIUM=ON -DBUILD_STATIC=ON \
    -DBUILD_SHARED=OFF -DBUILD_TESTS=OFF -DWITH_DOCS=OFF \
    -DENABLE_WS=OFF -DWITH_LIBBSD=OFF -DENABLE_CPACK=OFF -DENABLE_CLANG=OFF
  cmake --build "$work/build"
  cmake --install "$work/build"

  # -l:FILE names the archives, which the linker would pass over for .so files.
  # CMake's own .pc file has neither the defines nor what a static link needs.
  # shellcheck disable=SC2016 # pkg-config's own variable
  write_pc "$version" '-I${prefix}/include' \
    '-L${prefix}/lib -l:libzmq.a -l:libsodium.a -l:libstdc++.a -static-libgcc -lm -lpthread -lrt'
  # shellcheck disable=SC2046 # one word for each flag
  has_drafts $(pkg-config --cflags --libs "$work/out/$pc") || die "the library that was built has no draft sockets"
  result="built $version${result_note-}"
}

# shellcheck disable=SC2046 # one word for each flag
if pkg-config --atleast-version=4.3.5 libzmq && has_drafts $(pkg-config --cflags --libs libzmq); then
  write_pc "$installed" "$(pkg-config --cflags libzmq)" "$(pkg-config --libs libzmq)"
  result="using the installed $installed"
else
  build
fi

echo "$stamp" >"$work/out/.stamp"
rm -rf "$dest"
mv "$work/out" "$dest"
echo "libzmq: $result, with drafts" >&3
