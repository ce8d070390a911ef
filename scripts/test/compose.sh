#!/bin/sh
# The fleet by Compose as a user meets it: up, the table, demo, replay, invariants; networks that part the edge from the
# inside; data that outlives down and up, and is gone after reset.
set -eu
cd "$(dirname "$0")/../.."
name=test-compose
. scripts/lib/docker-engine.sh
trap end_engine EXIT
engine test-compose
compose_for test-compose
. scripts/lib/own-fleet.sh
project=
end() {
    $fleet down >/dev/null 2>&1 || true
    $fleet reset --yes >/dev/null 2>&1 || true
    end_engine
}
trap end EXIT
trap 'exit 1' INT TERM
fail() { echo "test-compose: $1" >&2; exit 1; }
servers_images
sh scripts/test/compose-backup.sh
sh scripts/release/images.sh missing

$fleet up --runtime compose
project=$(cat "$FLOTILLA_HOME/compose/name")
$fleet status
$fleet demo --seed 7
$fleet replay --products data/products.csv --customers data/customers.csv --orders data/orders.csv
orders=$($fleet check | tee "$FLOTILLA_HOME/check" | grep -c holds)
cat "$FLOTILLA_HOME/check"

# A stranger on the edge finds the gateway and nobody else. busybox is in the image of NATS.
on() { $docker run --rm --network "${project}_$1" --entrypoint sh "$nats_image" -c "$2"; }
on edge 'timeout 5 wget -q -O /dev/null http://gateway:8080/openapi.json' || fail "the gateway can't be reached from the edge"
for host in postgres:5432 nats:4222 redis:6379 orders:8080; do
    if on edge "timeout 3 wget -q -O /dev/null http://$host/ 2>&1" | grep -qv 'bad address'; then fail "$host answers on the edge"; fi
done
# Inside they require a password, and the broker's monitoring, which has no authentication, isn't reachable.
on inside 'printf "CONNECT {}\r\nPING\r\n" | timeout 5 busybox nc nats 4222' | grep -q 'Authorization Violation' ||
    fail "the broker wants no password"
on inside 'printf "DBSIZE\r\nQUIT\r\n" | timeout 5 busybox nc redis 6379' | grep -q NOAUTH || fail "the cache wants no password"
if on inside 'timeout 5 wget -q -O /dev/null http://nats:8222/healthz'; then fail "the broker's monitoring is open"; fi
# That nothing leads out is the engine's doing, by its firewall: that it was told so can be seen, the world can't be asked.
[ "$($docker network inspect --format '{{.Internal}}' "${project}_inside" "${project}_edge" | paste -s -d ' ' -)" = 'true false' ] ||
    fail "a way leads out of the inside"
echo "test-compose: the edge sees the gateway alone, and the inside is closed"

# One service dies: Docker starts it again, and the fleet goes on. By its process: what `docker kill` ends stays down.
pid=$($docker inspect --format '{{.State.Pid}}' "$project-orders-1")
if kill -KILL "$pid" 2>/dev/null; then
    tries=0
    until [ "$($docker inspect --format '{{.RestartCount}} {{.State.Running}} {{.State.Health.Status}}' "$project-orders-1")" = '1 true healthy' ]; do
        tries=$((tries + 1))
        [ "$tries" -le 300 ] || fail "orders doesn't come back"
        sleep 0.1
    done
    echo "test-compose: orders was killed and came back in $((tries / 10)) s"
fi

$fleet down
$fleet up --runtime compose
$fleet check | grep -c holds | grep -qx "$orders" || fail "the invariants of the first run don't hold after down and up"
$fleet demo --seed 8 --orders 300
$fleet down
$fleet reset --yes
left=$($docker ps --all --quiet --filter "label=com.docker.compose.project=$project"; $docker volume ls --quiet --filter "label=com.docker.compose.project=$project"; $docker network ls --quiet --filter "label=com.docker.compose.project=$project")
[ -z "$left" ] || fail "left behind: $left"
echo "test-compose: up, used, parted, down, up again, gone"
