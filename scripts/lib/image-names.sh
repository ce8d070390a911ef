# Sourced: the names of images, and the docker command that builds.

# A plain client without BuildKit may stand before the engine's own on PATH.
docker=
for candidate in docker /usr/bin/docker; do
    if DOCKER_BUILDKIT=1 "$candidate" build --help 2>/dev/null | grep -q -e "--secret "; then docker=$candidate; break; fi
done
export DOCKER_BUILDKIT=1

tag=${TAG:-$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)}
registry=${REGISTRY:-}
services=$(grep -o '^[a-z][a-z]*' services/services.txt)
image_of() { echo "${registry:+$registry/}flotilla/$1:$tag"; }

standin_debian=flotilla-stand-in/debian:bookworm
standin_rust=flotilla-stand-in/rust:bookworm
standin_distroless=flotilla-stand-in/distroless:nonroot
postgres_image=postgres:18.6-bookworm
nats_image=nats:2.15.1-alpine
valkey_image=valkey/valkey:9.1.2-bookworm
