#!/bin/sh
# Tests the provider of flagd: the same definitions must give the same users the same variants through it and through
# ours. Its crate needs protoc to build; the wheel grpcio-tools has one.
set -eu
cd "$(dirname "$0")/../.."
. scripts/lib/tool.sh

if [ -z "${PROTOC:-}" ] && ! command -v protoc >/dev/null 2>&1; then
    tools=.flotilla/tools/grpcio-tools-1.85.1
    tool python-grpc-tools-protoc grpcio-tools 1.85.1 >/dev/null || true
    [ -d "$tools/grpc_tools" ] || skip flagd "neither protoc nor the wheel grpcio-tools can be had"
    PROTOC=$PWD/$tools/protoc
    printf '#!/bin/sh\nPYTHONPATH=%s exec python3 -m grpc_tools.protoc "$@"\n' "$PWD/$tools" >"$PROTOC"
    chmod +x "$PROTOC"
    "$PROTOC" --version >/dev/null 2>&1 || skip flagd "the wheel's protoc doesn't run"
    export PROTOC
fi
exec "${CARGO:-cargo}" test --profile ci -p flotilla-flags --features flagd
