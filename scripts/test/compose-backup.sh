#!/bin/sh
# Backups in containers, as docs/runbooks/restore-databases.md has them: WAL archived, a base backup, damage, a restore to
# the moment before; what must be refused is; streams go, and what else the broker holds stays. PostgreSQL and NATS alone.
set -eu
cd "$(dirname "$0")/../.."
. scripts/lib/docker-engine.sh
trap end_engine EXIT
engine test-compose-backup
compose_for test-compose-backup
room=$(mktemp -d)
project=flotilla-test-backup
FLOTILLA_BACKUP=$project-1
FLOTILLA_COMPOSE_SECRETS=$room
export FLOTILLA_BACKUP FLOTILLA_COMPOSE_SECRETS
compose() { ${FLOTILLA_COMPOSE:-$docker compose} --project-name "$project" --file compose/compose.yaml "$@" 2>>"$room/log"; }
end() {
    compose --profile '*' down --volumes >/dev/null || true
    $docker volume rm "$project-1" "$project-2" >/dev/null 2>&1 || true
    rm -rf "$room"
    end_engine
}
trap end EXIT
trap 'exit 1' INT TERM
fail() { tail -n 20 "$room/log" >&2; echo "test-compose-backup: $1" >&2; exit 1; }
# Readable for the containers' users, as those of `fleet up`.
chmod 755 "$room"
echo only-for-this-test >"$room/postgres_password"
echo 'authorization {users: [{user: "fleet", password: "only-for-this-test"}]}' >"$room/nats_users"
sed -n 's/.*file: ".*}\/\([a-z_]*\)".*/\1/p' compose/compose.yaml | while read -r secret; do [ -e "$room/$secret" ] || : >"$room/$secret"; done
servers_images

# shellcheck disable=SC2016 # the container's own variables
sql() { compose exec -T postgres sh -c 'PGPASSWORD=$(cat /run/secrets/postgres_password) psql -h 127.0.0.1 -U postgres -qAtc "$1"' sh "$1"; }
backup() { compose run --rm --no-deps -T archive "$@"; }
restore() { compose run --rm --no-deps -T --volume "${project}_postgres:/data" archive restore "$@"; }
now() { date -u +%Y-%m-%dT%H:%M:%SZ; }

compose up --detach --wait postgres nats >/dev/null || fail "PostgreSQL doesn't come up without a volume for backups"
sql "CREATE TABLE orders (number int)"
$docker volume create "$FLOTILLA_BACKUP" >/dev/null
compose --profile backup up --detach --no-deps --wait archive >/dev/null || fail "WAL isn't archived"
sql "INSERT INTO orders SELECT generate_series(1, 1000)"
base=$(backup base) || fail "no base backup"
sql "INSERT INTO orders SELECT generate_series(1001, 2000)"
sleep 2
point=$(now)
sleep 2
sql "DROP TABLE orders"
# Two closed segments behind the point.
for table in one two; do sql "CREATE TABLE $table (number int)"; sql "SELECT pg_switch_wal()" >/dev/null; done
backup list | grep -qx "$base" || fail "the base backup isn't listed"
if restore "$base" "$point" >/dev/null; then fail "restores under a server that runs"; fi
compose stop postgres archive >/dev/null

if restore "$base" 2099-01-01T00:00:00Z >/dev/null; then fail "claims to have reached a time that WAL doesn't reach"; fi
# The segment before the newest closed one is missing for a while.
# shellcheck disable=SC2016 # the container's own variables
move() { compose run --rm --no-deps -T --entrypoint sh archive -c "cd /var/lib/postgresql && $1"; }
move 'mv "wal/$(ls wal | grep -E "^[0-9A-F]{24}$" | tail -n 2 | head -n 1)" .' || fail "there are no segments"
if restore "$base" >/dev/null; then fail "a restore of everything passes over a gap"; fi
grep -q "although the archive goes on to" "$room/log" || fail "the gap is not reported"
move 'mv [0-9A-F]*[0-9A-F] wal/' || fail "the segment doesn't come back"
restore "$base" "$point" || fail "no restore"
compose start --wait postgres >/dev/null || fail "the restored cluster doesn't start"
[ "$(sql 'SELECT count(*), max(number) FROM orders')" = '2000|2000' ] || fail "the orders aren't those of the point"
[ "$(sql "SELECT pg_is_in_recovery(), current_setting('restore_command')")" = 'f|' ] || fail "the restored cluster still recovers"
# Another history: not into the same archive.
if compose --profile backup up --detach --no-deps --wait archive >/dev/null; then fail "two histories in one archive"; fi
compose rm --stop --force archive >/dev/null
FLOTILLA_BACKUP=$project-2
$docker volume create "$FLOTILLA_BACKUP" >/dev/null
compose --profile backup up --detach --no-deps --wait archive >/dev/null || fail "the new history isn't archived"
backup base >/dev/null || fail "no base backup of the new history"
compose stop archive >/dev/null
backup forget || fail "the slot can't be dropped"

# nats COMMAND...: requests as the protocol has them, one an argument; prints the answers.
nats() {
    for request; do printf 'PUB %s answer %d\r\n%s\r\n' "${request%% *}" "$(printf %s "${request#* }" | wc -c)" "${request#* }"; done |
        { printf 'CONNECT {"user":"fleet","pass":"only-for-this-test"}\r\nSUB answer 1\r\n'; cat; sleep 2; } | compose exec -T nats busybox nc 127.0.0.1 4222
}
# shellcheck disable=SC2016 # a subject, not a variable
nats '$JS.API.STREAM.CREATE.ORDERS {"name":"ORDERS","subjects":["orders.>"]}' \
    '$JS.API.STREAM.CREATE.KV_settings {"name":"KV_settings","subjects":["$KV.settings.>"]}' >/dev/null
sed -n '/^login=/,/nats busybox/p' docs/runbooks/restore-databases.md >"$room/streams.sh"
[ -s "$room/streams.sh" ] || fail "the runbook doesn't say how streams are deleted"
# shellcheck disable=SC2034,SC1091 # the runbook's own words
(compose="compose"; . "$room/streams.sh") >"$room/answers"
[ "$(grep -c '"success":true' "$room/answers")" = 1 ] || fail "the stream of orders isn't deleted"
# shellcheck disable=SC2016
nats '$JS.API.STREAM.NAMES {}' | grep -q '"streams":\["KV_settings"\]' || fail "settings went with the streams"

compose --profile '*' down --volumes >/dev/null
[ "$($docker volume ls --quiet --filter "name=$project" | wc -l)" = 2 ] || fail "backups go with the fleet, or data stays"
echo "test-compose-backup: restored to the point, backups outlive the fleet"
