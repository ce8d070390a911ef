#!/bin/sh
# Schemathesis (https://schemathesis.readthedocs.io) against the REST face of a fleet of its own: valid and invalid
# requests made from /openapi.json, as an operator, with every check. It finds nothing.
#   CASES=200 scripts/test/contract.sh    more requests for each operation
#   FLEET=target/debug/fleet         another build
# What is left out or set, and why, stands in scripts/test/contract.toml.
set -eu
. scripts/lib/tool.sh

version=4.32.5
# schemathesis_tool: Schemathesis with all that it needs, in a folder of its own.
schemathesis_tool() {
    tools=$(pwd)/.flotilla/tools/schemathesis-$version
    if [ ! -x "$tools/bin/schemathesis" ]; then
        . scripts/lib/folder.sh
        python3 -m pip install --quiet --only-binary :all: --target "$tools.new" "schemathesis==$version" >&2 || return 1
        rm -rf "$tools"
        mv "$tools.new" "$tools"
    fi
    echo "$tools"
}
tools=$(schemathesis_tool) || skip contract "pip can't get schemathesis $version"

name=contract
. scripts/lib/own-fleet.sh
$fleet up >/dev/null
$fleet demo --orders 20 --seed 3 >/dev/null
. "$FLOTILLA_HOME/env"
FLOTILLA_TOKEN=$($fleet token)
export FLOTILLA_TOKEN
gateway=${FLOTILLA_GATEWAY_GRPC#http://}
PYTHONPATH=$tools "$tools/bin/schemathesis" --no-color --config-file scripts/test/contract.toml \
    run "http://$gateway/openapi.json" --checks all --mode all --max-examples "${CASES:-20}" --seed "${SEED:-20261122}"
echo "contract: nothing found"
