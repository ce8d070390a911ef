#!/bin/sh
# Secrets from a server that speaks AWS Secrets Manager's protocol (moto), by the official client.
set -eu
. scripts/tool.sh
CARGO=${CARGO:-cargo}
version=5.2.5

# moto isn't one wheel but a server with what it needs: an environment of its own.
folder=.flotilla/tools/moto-$version
if [ ! -x "$folder/bin/moto_server" ]; then
    mkdir -p .flotilla/tools
    chmod 700 .flotilla
    rm -rf "$folder"
    if ! python3 -m venv "$folder" >&2 || ! "$folder/bin/pip" install --quiet --only-binary :all: "moto==$version" flask flask-cors >&2; then
        rm -rf "$folder"
        skip test-aws "moto can't be had from the Python package index, or Python has no venv"
    fi
fi

scratch=$(mktemp -d)
server=
end() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    rm -rf "$scratch"
}
trap end EXIT
trap 'exit 1' INT TERM

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$folder/bin/moto_server" -H 127.0.0.1 -p "$port" >"$scratch/log" 2>&1 &
server=$!
tries=0
until python3 -c "import socket; socket.create_connection(('127.0.0.1', $port), 1)" 2>/dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ] || ! kill -0 "$server" 2>/dev/null; then
        echo "test-aws: the server didn't come up:" >&2
        tail -20 "$scratch/log" >&2
        exit 1
    fi
    sleep 0.1
done
echo "test-aws: moto $version"

# Not the user's own credentials, nor a machine's role.
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_REGION AWS_ENDPOINT_URL AWS_ENDPOINT_URL_SECRETS_MANAGER
FLOTILLA_TEST_AWS_ADDRESS=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test \
    AWS_EC2_METADATA_DISABLED=true AWS_CONFIG_FILE=$scratch/none AWS_SHARED_CREDENTIALS_FILE=$scratch/none \
    $CARGO test --locked -p flotilla-secrets --features aws --test aws
echo "test-aws: all passed"
