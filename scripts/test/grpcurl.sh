#!/bin/sh
# Lists, describes and calls every service by reflection with grpcurl, through the gateway and at the service itself, on a
# fleet of its own: plain, then with TLS.
set -eu
. scripts/lib/tool.sh
. scripts/lib/go-tool.sh
grpcurl_tool >/dev/null || skip grpcurl "grpcurl is not installed, and there is no Go (or no module proxy) to build it with"
name=grpcurl
. scripts/lib/own-fleet.sh
FLEET=${FLEET:-target/release/fleet}
export FLEET

fail() { echo "grpcurl: $1" >&2; exit 1; }
# by_hand ARGUMENTS: what `make grpcurl ARGS=...` does.
by_hand() { sh scripts/run/grpc-by-hand.sh grpcurl "$@"; }
# says TEXT ARGUMENTS: the answer holds the text, whether it is a refusal or not.
says() {
    wanted=$1
    shift
    answer=$(by_hand "$@" 2>&1) || true
    case $answer in *"$wanted"*) ;; *) fail "\"$*\" (SERVICE=${SERVICE:-gateway}) doesn't say \"$wanted\": $answer" ;; esac
}

# Service by service: its name, its method, the request, what the answer must hold.
calls() {
    cat <<'TABLE'
identity flotilla.identity.v1.AuthService GetJsonWebKeySet {} "kid"
identity flotilla.identity.v1.UserService ListUsers {"page_size":1} operator@flotilla.local
inventory flotilla.inventory.v1.CatalogService ListProducts {"page_size":1} "products/kettle"
inventory flotilla.inventory.v1.StockService GetStock {"name":"products/kettle/stock"} "products/kettle/stock"
orders flotilla.orders.v1.OrderService ListOrders {"page_size":1} {
payments flotilla.payments.v1.PaymentService GetAccount {"name":"accounts/00000000-0000-7000-8000-000000000000"} NotFound
notification flotilla.notification.v1.NotificationService ListDeliveries {"page_size":1} {
TABLE
}

# Whether every service of the contracts is in the table: a new one can't be forgotten.
every_service_is_called() {
    for file in $(grep -l '^service ' -r proto/flotilla); do
        package=$(sed -n 's/^package \(.*\);/\1/p' "$file")
        for service in $(sed -n 's/^service \([A-Za-z]*\) .*/\1/p' "$file"); do
            calls | grep -q " $package.$service " || fail "$package.$service is called by no line of this script"
        done
    done
}

# ask SERVICE GRPC_SERVICE METHOD REQUEST WANTED: lists, describes and calls, wherever SERVICE points to.
ask() {
    says "$2" list
    says "$2.$3" list "$2"
    says "is a service:" describe "$2"
    says "rpc $3 (" describe "$2.$3"
    says "$5" -d "$4" "$2/$3"
}

round() {
    TOKEN=$($FLEET token)
    export TOKEN
    product='{"product":{"display_name":"Kettle","price":{"currency_code":"USD","units":30}},"product_id":"kettle"}'
    by_hand -d "$product" flotilla.inventory.v1.CatalogService/CreateProduct >/dev/null || fail "no product can be made"
    calls | while read -r service grpc_service method request wanted; do
        ask "$service" "$grpc_service" "$method" "$request" "$wanted"
        (SERVICE=$service && export SERVICE && ask "$service" "$grpc_service" "$method" "$request" "$wanted")
    done
    says '"status": "SERVING"' grpc.health.v1.Health/Check
    (SERVICE=orders && export SERVICE && says '"status": "SERVING"' -d '{"service":"flotilla.orders.v1.OrderService"}' grpc.health.v1.Health/Check)
    (TOKEN=none && export TOKEN && says "Unauthenticated" flotilla.identity.v1.UserService/ListUsers)
}

every_service_is_called
echo "grpcurl: plain"
$fleet up >/dev/null
round
$fleet down >/dev/null
$fleet reset --yes >/dev/null
echo "grpcurl: with TLS"
$fleet up --tls >/dev/null
round
(SERVICE=inventory && export SERVICE && says "only named services of the fleet may call" -d '{"names":["products/kettle"]}' flotilla.inventory.v1.CatalogService/BatchGetProducts)
$fleet down >/dev/null
echo "grpcurl: every service is listed, described and called, plain and with TLS"
