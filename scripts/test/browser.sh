#!/bin/sh
# A page written with @connectrpc/connect-web calls a fleet of its own from headless Chromium: Connect and gRPC-Web, unary
# and streams, JSON and protobuf, over HTTP/1.1 and from another origin.
set -eu
. scripts/lib/tool.sh
. scripts/lib/clients-tools.sh
chromium=
for path in chromium chromium-browser google-chrome; do
    chromium=${chromium:-$(command -v $path || true)}
done
if [ -z "$chromium" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    install="apt-get install --yes --quiet --no-install-recommends chromium"
    # A machine that is new has no list of packages yet, or an old one.
    $install >&2 || { apt-get update --quiet >&2 && $install >&2; } || true
    chromium=$(command -v chromium || true)
fi
[ -n "$chromium" ] || skip browser "chromium is not installed"
said=$(sh scripts/run/generate.sh) || { echo "$said"; exit 1; }
case $said in *SKIPPED*) echo "$said"; skip browser "there is no generated client" ;; esac

mkdir -p "$clients/browser"
cp scripts/test/browser/page.ts scripts/test/browser/drive.mjs "$clients/browser/"
cp scripts/test/browser/tsconfig.json "$clients/browser/"
cp scripts/run/clients/tsconfig.json scripts/run/clients/package.json "$clients/"
(cd "$clients" && node_modules/.bin/tsc --project browser/tsconfig.json &&
    node_modules/.bin/esbuild browser/page.ts --bundle --format=esm --log-level=warning --outfile=browser/page.js)

name=browser
. scripts/lib/own-fleet.sh
node "$clients/browser/drive.mjs" "$chromium" "$clients/browser/page.js" "$FLOTILLA_HOME/env" $fleet up
$fleet down
echo "browser: a page did a customer's errands by every transport"
