#!/bin/sh
# Runs the published Connect conformance suite against a server of its service behind the gateway's edge: gRPC, gRPC-Web
# and Connect, HTTP/1.1 and HTTP/2, plain and with TLS. Arguments go to the suite: --run, --trace, -v and so on.
set -eu
. scripts/lib/tool.sh
. scripts/lib/go-tool.sh
suite=$(go_tool connectconformance connectrpc.com/conformance v1.0.7) ||
    skip conformance-rpc "there is no Go (or no module proxy) to build the suite with"
cargo build --profile ci --locked --quiet -p flotilla-gateway --example conformance
cases=services/gateway/tests/conformance
"$suite" --mode server --conf $cases/config.yaml --known-failing @$cases/known-failing.txt "$@" -- \
    target/ci/examples/conformance
echo "conformance-rpc: the edge speaks gRPC, gRPC-Web and Connect as the suite wants"
