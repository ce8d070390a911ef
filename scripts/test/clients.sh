#!/bin/sh
# Generates the clients and uses both against a fleet of its own: the Python one over gRPC, the TypeScript one over Connect.
set -eu
. scripts/lib/tool.sh
. scripts/lib/clients-tools.sh
said=$(sh scripts/run/generate.sh) || { echo "$said"; exit 1; }
echo "$said"
case $said in *SKIPPED*) skip clients "there are no generated clients" ;; esac

mkdir -p "$clients/src"
cp scripts/run/clients/shop.ts "$clients/src/"
cp scripts/run/clients/tsconfig.json scripts/run/clients/package.json "$clients/"
(cd "$clients" && rm -rf dist && node_modules/.bin/tsc)

name=clients-fleet
. scripts/lib/own-fleet.sh
$fleet up
. "$FLOTILLA_HOME/env"
gateway=${FLOTILLA_GATEWAY_URL#http://}
PYTHONPATH=$clients/python-packages:$clients/python python3 scripts/run/clients/shop.py "$gateway" "$FLOTILLA_HOME/secrets.json"
node "$clients/dist/src/shop.js" "$gateway" "$FLOTILLA_HOME/secrets.json"
$fleet down
echo "clients: both clients did a customer's errands"
