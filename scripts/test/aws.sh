#!/bin/sh
# Secrets from a server that speaks AWS Secrets Manager's protocol (moto), by the official client.
set -eu
. scripts/lib/tool.sh
CARGO=${CARGO:-cargo}
version=5.2.5

# moto isn't one wheel but a server with what it needs: an environment of its own.
folder=.flotilla/tools/moto-$version
if [ ! -x "$folder/bin/moto_server" ]; then
    . scripts/lib/folder.sh
    rm -rf "$folder"
    if ! python3 -m venv "$folder" >&2 || ! "$folder/bin/pip" install --quiet --only-binary :all: "moto==$version" flask flask-cors >&2; then
        rm -rf "$folder"
        skip test-aws "moto can't be had from the Python package index, or Python has no venv"
    fi
fi

. scripts/lib/background.sh
"$folder/bin/moto_server" -H 127.0.0.1 -p "$port" >"$scratch/log" 2>&1 &
server=$!
until_up test-aws python3 -c "import socket; socket.create_connection(('127.0.0.1', $port), 1)"
echo "test-aws: moto $version"

# Not the user's own credentials, nor a machine's role.
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_REGION AWS_ENDPOINT_URL AWS_ENDPOINT_URL_SECRETS_MANAGER
FLOTILLA_TEST_AWS_ADDRESS=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test \
    AWS_EC2_METADATA_DISABLED=true AWS_CONFIG_FILE=$scratch/none AWS_SHARED_CREDENTIALS_FILE=$scratch/none \
    $CARGO test --profile ci --locked -p flotilla-secrets --features aws --test aws
echo "test-aws: all passed"
