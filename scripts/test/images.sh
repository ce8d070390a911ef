#!/bin/sh
# The images as they are, and as they run: what each holds and says of itself; then a fleet of them, every service with a
# read-only root, without capabilities, with 64 MiB and half a CPU, serves a demo while one service after the other gets
# SIGTERM. Each ends with exit code 0 within its grace time, none is killed for its memory, and nothing is lost.
set -eu
cd "$(dirname "$0")/../.."
name=test-images
. scripts/lib/docker-engine.sh
limit=15000000
# `service.grace`, in seconds.
grace=10
trap end_engine EXIT
engine test-images
compose_for test-images
. scripts/lib/own-fleet.sh
project=
load=
end() {
    [ -z "$load" ] || { : >"$enough"; kill "$load" 2>/dev/null || true; }
    $fleet down >/dev/null 2>&1 || true
    $fleet reset --yes >/dev/null 2>&1 || true
    end_engine
}
trap end EXIT
trap 'exit 1' INT TERM
fail() { echo "test-images: $1" >&2; exit 1; }
of() { $docker inspect --format "$2" "$1"; }
sh scripts/release/images.sh missing
servers_images

for service in $services fleet; do
    image=$(image_of "$service")
    user=$(of "$image" '{{.Config.User}}')
    echo "$user" | grep -Eq '^[1-9][0-9]*:[1-9][0-9]*$' || fail "$image runs as '$user'"
    [ "$(of "$image" '{{.Config.StopSignal}}')" = SIGTERM ] || fail "$image names no stop signal"
    for label in title description version revision created source licenses vendor; do
        value=$(of "$image" "{{index .Config.Labels \"org.opencontainers.image.$label\"}}")
        case $value in ''|unknown|'<no value>') fail "$image has no label $label" ;; esac
    done
    # One binary, certificates and names: no shell, no loader, nothing that runs with another user's rights.
    container=$($docker create "$image")
    $docker export "$container" >"$FLOTILLA_HOME/image.tar"
    $docker rm "$container" >/dev/null
    tar -tvf "$FLOTILLA_HOME/image.tar" | grep -v '^d' >"$FLOTILLA_HOME/files"
    size=$(wc -c <"$FLOTILLA_HOME/image.tar")
    rm "$FLOTILLA_HOME/image.tar"
    unexpected=$(awk '{ print $6 }' "$FLOTILLA_HOME/files" |
        grep -Ev '^(service|fleet|etc/(passwd|group|ssl/certs/ca-certificates.crt|hosts|hostname|resolv.conf|mtab)|\.dockerenv|dev/console)$' || true)
    [ -z "$unexpected" ] || fail "$image holds more than it needs: $unexpected"
    if grep -q '^-..s\|^-.....s' "$FLOTILLA_HOME/files"; then fail "$image holds a setuid program"; fi
    if [ "$service" = fleet ]; then continue; fi
    [ "$size" -le $limit ] || fail "$image has $size bytes unpacked, more than $limit"
    [ "$(of "$image" '{{.Config.Healthcheck.Test}}')" = '[CMD /service healthcheck]' ] || fail "$image names no health check"
    [ "$(of "$image" '{{.Config.Entrypoint}} {{.Config.Cmd}}')" = '[/service] [serve]' ] || fail "$image starts something else"
done
echo "test-images: every image holds its binary and nothing else, runs as a number, and is small enough"

FLOTILLA_COMPOSE_FILES=compose/compose.yaml:compose/local.yaml:compose/small.yaml
export FLOTILLA_COMPOSE_FILES
$fleet up --runtime compose
project=$(cat "$FLOTILLA_HOME/compose/name")
for service in $services; do
    seen=$(of "$project-$service-1" '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.State.Health.Status}}')
    [ "$seen" = 'true [ALL] [no-new-privileges:true] 67108864 500000000 healthy' ] || fail "$service runs as: $seen"
done
echo "test-images: all healthy with a read-only root, no capabilities, 64 MiB and half a CPU"

# until_true SECONDS REASON COMMAND...
until_true() {
    tries=$(($1 * 10))
    reason=$2
    shift 2
    until "$@"; do
        tries=$((tries - 1))
        if [ "$tries" -lt 0 ] || ! kill -0 "$load" 2>/dev/null; then cat "$FLOTILLA_HOME/load.log" >&2; fail "$reason"; fi
        sleep 0.1
    done
}
is_placing() { tail -n 1 "$FLOTILLA_HOME/load.log" | grep -q '^placed'; }
is_healthy() { [ "$(of "$1" '{{.State.Health.Status}}')" = healthy ]; }

# SIGTERM under load: one demo after the other until all have had theirs, each while orders are being placed.
enough=$FLOTILLA_HOME/enough
rm -f "$enough"
while [ ! -e "$enough" ]; do $fleet demo --orders "${ORDERS:-3000}" || exit 1; done >"$FLOTILLA_HOME/load.log" 2>&1 &
load=$!
for service in $services; do
    container=$project-$service-1
    until_true 90 "the load places no orders" is_placing
    began=$(date +%s%N)
    $docker stop -t "$grace" "$container" >/dev/null
    took=$((($(date +%s%N) - began) / 1000000))
    code=$(of "$container" '{{.State.ExitCode}}')
    [ "$code" = 0 ] || fail "$service ended with $code, $took ms after SIGTERM"
    $docker start "$container" >/dev/null
    until_true 30 "$service isn't healthy again" is_healthy "$container"
    echo "test-images: $service drained in $took ms, exit code 0"
done
: >"$enough"
wait "$load" || { cat "$FLOTILLA_HOME/load.log" >&2; fail "the demo under fire failed"; }
load=
tail -25 "$FLOTILLA_HOME/load.log"
$fleet check

# The highest memory of each since its start, as its cgroup counts it, caches of files included.
for service in $services; do
    container=$project-$service-1
    [ "$(of "$container" '{{.State.OOMKilled}} {{.RestartCount}}')" = 'false 0' ] || fail "$service was killed for its memory or died"
    id=$(of "$container" '{{.Id}}')
    for file in /sys/fs/cgroup/memory/docker/$id/memory.max_usage_in_bytes /sys/fs/cgroup/system.slice/docker-$id.scope/memory.peak /sys/fs/cgroup/docker/$id/memory.peak; do
        if [ -r "$file" ]; then echo "test-images: $service had at most $(($(cat "$file") / 1048576)) of 64 MiB"; break; fi
    done
done
$fleet status
$fleet down
$fleet reset --yes
left=$($docker ps --all --quiet --filter "label=com.docker.compose.project=$project"; $docker volume ls --quiet --filter "label=com.docker.compose.project=$project"; $docker network ls --quiet --filter "label=com.docker.compose.project=$project")
[ -z "$left" ] || fail "left behind: $left"
echo "test-images: small, closed, drained in time, and nothing lost"
