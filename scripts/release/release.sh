#!/bin/sh
# The steps of .github/workflows/release.yaml that deal with images. They want docker with buildx, logged in.
#
#   REGISTRY=ghcr.io/owner SOURCE=https://... sh scripts/release/release.sh build   builds for both platforms, pushes by digest
#   IMAGES=... sh scripts/release/release.sh start                                  each image starts on this machine's platform
#   IMAGES=... VERSION=... sh scripts/release/release.sh tag                        gives the digests the version's tag
#
# `build` prints version=... and images=[{"service", "image", "digest"}...], which the others take as IMAGES. Where the
# build is of a tag (GITHUB_REF_NAME), the tag must be that of the workspace's version.
set -eu
services="$(grep -o '^[a-z][a-z]*' services/services.txt) fleet"

# each COMMAND...: calls it with service, image and digest of every image.
each() {
    for service in $services; do
        image=$(echo "$IMAGES" | jq -er --arg service "$service" '.[] | select(.service == $service) | .image')
        digest=$(echo "$IMAGES" | jq -er --arg service "$service" '.[] | select(.service == $service) | .digest')
        "$@"
    done
}

build() {
    version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
    tag=${GITHUB_REF_NAME:-v$version}
    [ "$tag" = "v$version" ] || { echo "release: the tag is $tag, the workspace's version $version" >&2; exit 1; }
    # Names of Jobs are made of the version's three parts: behind a second dot nothing would be told apart.
    echo "$version" | grep -q -x -E '[0-9]+\.[0-9]+\.[0-9]+(-[a-z0-9-]+)?' || {
        echo "release: the version $version must be MAJOR.MINOR.PATCH, and behind a hyphen small letters, digits and hyphens: 0.2.0-rc1" >&2
        exit 1
    }
    registry=$(echo "$REGISTRY" | tr '[:upper:]' '[:lower:]')
    room=$(mktemp -d)
    trap 'rm -rf "$room"' EXIT
    for service in $services; do
        image=$registry/flotilla/$service
        # Provenance comes from the job that signs, so BuildKit adds none of its own.
        docker buildx build --platform linux/amd64,linux/arm64 --target "$service" --provenance=false \
            --build-arg VERSION="$version" --build-arg REVISION="$(git rev-parse HEAD)" --build-arg SOURCE="$SOURCE" \
            --build-arg CREATED="$(TZ=UTC0 git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ)" \
            --output "type=image,name=$image,push-by-digest=true,name-canonical=true,push=true" \
            --metadata-file "$room/$service" . >&2
        jq -ec --arg service "$service" --arg image "$image" \
            '{$service, $image, digest: (.["containerimage.digest"] | select(startswith("sha256:")))}' "$room/$service" \
            >>"$room/images"
    done
    echo "version=$version"
    echo "images=$(jq -sc . "$room/images")"
}

start() {
    case $service in fleet) say=--version ;; *) say=settings ;; esac
    docker run --rm --read-only --user 65532:65532 --cap-drop ALL --security-opt no-new-privileges --network none \
        "$image@$digest" $say >/dev/null
    echo "release: $service starts on $(uname -m)"
}

tag() { docker buildx imagetools create --tag "$image:$VERSION" "$image@$digest"; }

case ${1:-} in
build) build ;;
start) each start ;;
tag) each tag ;;
*) echo "release: build, start or tag?" >&2; exit 2 ;;
esac
