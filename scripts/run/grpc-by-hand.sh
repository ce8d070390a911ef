#!/bin/sh
# grpcurl or grpcui on the fleet that is up, with address, TLS and the operator's token filled in:
#   scripts/run/grpc-by-hand.sh grpcurl list
#   scripts/run/grpc-by-hand.sh grpcurl -d '{"page_size": 2}' flotilla.orders.v1.OrderService/ListOrders
# SERVICE=orders asks that service itself instead of the gateway; TOKEN= sets another token, TOKEN=none sends none.
set -eu
. scripts/lib/go-tool.sh
tool=$1
shift
home=${FLOTILLA_HOME:-.flotilla}
fleet=${FLEET:-target/release/fleet}
if [ ! -r "$home/env" ]; then echo "$tool: the fleet isn't up: run make up to start it" >&2; exit 1; fi
. "$home/env"
program=$("${tool}_tool") || { echo "$tool: not installed, and can't be built without Go: install $tool or Go" >&2; exit 1; }
service=$(echo "${SERVICE:-gateway}" | tr '[:lower:]' '[:upper:]')
eval "address=\${FLOTILLA_${service}_GRPC:-}"
if [ -z "$address" ]; then echo "$tool: unknown service $SERVICE" >&2; exit 1; fi
token=${TOKEN:-$("$fleet" token)}

# grpcurl wants the address behind its flags and before what it is to do: a symbol, `list`, or `describe`, the latter two
# with or without a symbol.
words=$#
if [ "$tool" = grpcui ]; then
    at=$words
elif [ "$words" = 0 ]; then
    set -- list
    words=1 at=0
else
    at=$((words - 1)) number=0
    for word in "$@"; do
        number=$((number + 1))
        if [ "$number" = "$at" ]; then case $word in list | describe) at=$((at - 1)) ;; esac; fi
    done
fi
number=0
for word in "$@"; do
    if [ "$number" = "$at" ]; then set -- "$@" "$address"; fi
    set -- "$@" "$word"
    shift
    number=$((number + 1))
done
if [ "$at" = "$words" ]; then set -- "$@" "$address"; fi

if [ -n "${FLOTILLA_TLS_AUTHORITY:-}" ]; then
    set -- -cacert "$FLOTILLA_TLS_AUTHORITY" -cert "$FLOTILLA_TLS_CERTIFICATE" -key "$FLOTILLA_TLS_KEY" "$@"
else
    set -- -plaintext "$@"
fi
# By way of the environment: arguments are for everybody to see.
export token
if [ "$token" != none ]; then set -- -expand-headers -H "authorization: Bearer \${token}" "$@"; fi
exec "$program" "$@"
