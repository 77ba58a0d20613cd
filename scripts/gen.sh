#!/usr/bin/env bash
# Generates what is made from proto/: Go into gen/go, Python into
# clients/python/src/zioflow/_gen, TypeScript into clients/node/src/gen. Writes the version
# in internal/version/VERSION to where the packages of Python and Node have theirs; and the
# gateway's options into docs/configuration.md and deploy/gateway.yaml. With --check,
# compares instead.
# Needs scripts/setup.sh gen.
#
# protoc comes with the pinned grpcio-tools, for both languages: it is there in
# seconds, and Python cannot do without it. (buf would have to be compiled
# first, which takes longer than all the rest; it is for linting only.)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/env.sh"
cd "$root"

go_dir=gen/go
python_dir=clients/python/src/zioflow/_gen
node_dir=clients/node/src/gen

for tool in .deps/python/bin/python clients/node/node_modules/.bin/protoc-gen-es; do
  [[ -x $tool ]] || {
    echo "gen.sh: $tool is missing: run scripts/setup.sh gen, or make gen" >&2
    exit 1
  }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/$go_dir" "$work/$python_dir" "$work/$node_dir"

protoc() { .deps/python/bin/python -m grpc_tools.protoc -Iproto -Ithird_party "$@"; }

mapfile -t protos < <(cd proto && find . -name '*.proto' -printf '%P\n' | sort)
protoc --go_out="$work/$go_dir" --go_opt=paths=source_relative \
  --go-grpc_out="$work/$go_dir" --go-grpc_opt=paths=source_relative "${protos[@]}"
# The Python client takes part in flows and leaves administration to grpcurl.
protoc --python_out="$work/$python_dir" --pyi_out="$work/$python_dir" \
  --grpc_python_out="$work/$python_dir" zio/gateway/v1/{flow,handler}.proto
# The rules that stand in the contract are the gateway's to check; their options
# have to be known all the same.
protoc --python_out="$work/$python_dir" buf/validate/validate.proto

# Python's generated code imports by the .proto file's path from the top. Ours
# lives inside the package: a module "zio" of its own could clash with ZIO's.
find "$work/$python_dir" -type d -exec touch {}/__init__.py \;
find "$work/$python_dir" -name '*.py*' -exec \
  sed -i -E 's/^(from|import) zio\./\1 zioflow._gen.zio./' {} +
# A program may have these options from elsewhere, and Python takes a .proto file
# only once: then ours are not loaded.
sed -i -E 's/^from buf\.validate (import .*)$/try:\n  from buf.validate \1\nexcept ImportError:\n  from zioflow._gen.buf.validate \1/' \
  "$work/$python_dir/zio/gateway/v1/handler_pb2.py"
sed -i '/^from buf\.validate /d' "$work/$python_dir/zio/gateway/v1/handler_pb2.pyi"

# The types of the details of errors are Google's, whose Python package has them.
common=$(echo .deps/python/lib/python3*/site-packages)
protoc -I"$common" --plugin=protoc-gen-es=clients/node/node_modules/.bin/protoc-gen-es \
  --es_out="$work/$node_dir" --es_opt=target=ts,import_extension=js \
  zio/gateway/v1/{flow,handler}.proto buf/validate/validate.proto google/rpc/{status,error_details}.proto

mkdir -p "$work"/{docs,deploy}
cp docs/configuration.md "$work/docs"
(go build -o "$work/reference" ./cmd/gateway/internal/reference && cd "$work" && ./reference)

if [[ ${1-} == --check ]]; then
  for file in docs/configuration.md deploy/gateway.yaml; do
    cmp -s "$file" "$work/$file" ||
      { echo "gen: $file is not what the options generate: run 'make gen'" >&2; exit 1; }
  done
  for dir in "$go_dir" "$python_dir" "$node_dir"; do
    diff -r --brief --exclude=__pycache__ "$dir" "$work/$dir" ||
      { echo "gen: $dir is not what proto/ generates: run 'make gen'" >&2; exit 1; }
  done
  exit
fi

for dir in "$go_dir" "$python_dir" "$node_dir"; do
  rm -rf "$dir"
  mkdir -p "$(dirname "$dir")"
  mv "$work/$dir" "$dir"
done

cp "$work/docs/configuration.md" docs
cp "$work/deploy/gateway.yaml" deploy

version=$(<internal/version/VERSION)
sed -i -E "s/^version = \".*\"/version = \"$version\"/" clients/python/pyproject.toml
sed -i -E "s/^(version|appVersion): .*/\1: \"$version\"/" deploy/helm/zio-gateway/Chart.yaml
npm --prefix clients/node version "$version" --no-git-tag-version --allow-same-version >/dev/null
sed -i -E "s/(zioflow([-_]gateway)?(-|==))[0-9]+\.[0-9]+\.[0-9]+/\1$version/g" README.md clients/{python,node}/README.md
