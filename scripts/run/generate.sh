#!/bin/sh
# Generates the TypeScript and the Python client from the contracts, into .flotilla/clients (gen and python).
set -eu
. scripts/lib/tool.sh
. scripts/lib/clients-tools.sh
buf=$(tool buf buf-bin 1.75.0) || skip generate "buf is not installed and pip can't get it"
npm_packages || skip generate "node 20 or npm's packages can't be had"
python_packages || skip generate "Python or its packages can't be had"
PATH=$(pwd)/$clients/node_modules/.bin:$(pwd)/scripts/run/clients:$PATH \
    PYTHONPATH=$(pwd)/$clients/python-packages \
    "$buf" generate
echo "generate: a TypeScript client is in $clients/gen, a Python client in $clients/python"
