#!/bin/sh
# Tests scripts/release/release.sh with a docker that writes down what it was asked for. It wants jq.
set -eu
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
mkdir "$room/bin"
cat >"$room/bin/docker" <<END
#!/bin/sh
echo "\$*" >>"$room/asked"
target= file=
while [ \$# -gt 0 ]; do
    case \$1 in --target) target=\$2 ;; --metadata-file) file=\$2 ;; esac
    shift
done
[ -z "\$file" ] || echo "{\"containerimage.digest\": \"\${DIGEST_FORM:-sha256}:of-\$target\"}" >"\$file"
[ "\${BREAKS:-none}" != "\$target" ]
END
chmod +x "$room/bin/docker"
export PATH="$room/bin:$PATH" REGISTRY=ghcr.io/Owner SOURCE=https://example.org/flotilla
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
fail() { echo "test-release: $1" >&2; exit 1; }
# asked PATTERN TIMES: docker was asked so often for what matches.
asked() { [ "$(grep -c -E -e "$1" "$room/asked")" = "$2" ] || { cat "$room/asked" >&2; fail "«$1» wasn't asked for $2 times"; }; }

# A service each, and the fleet command.
images=$(($(grep -c '^[a-z]' services/services.txt) + 1))

export GITHUB_REF_NAME="v$version"
said=$(sh scripts/release/release.sh build)
[ "$(echo "$said" | sed -n 's/^version=//p')" = "$version" ] || fail "another version: $said"
IMAGES=$(echo "$said" | sed -n 's/^images=//p')
export IMAGES VERSION="$version"
asked '^buildx build --platform linux/amd64,linux/arm64 .*push-by-digest=true,name-canonical=true,push=true' "$images"
asked '--tag' 0
[ "$(echo "$IMAGES" | jq -r '.[3] | .service + " " + .image + " " + .digest')" = "orders ghcr.io/owner/flotilla/orders sha256:of-orders" ] ||
    fail "what was built is told otherwise: $IMAGES"
targets=$(sed -n 's/^FROM \(service\|bare\) AS \([a-z]*\)$/\2/p' Dockerfile | grep -v -x service | sort | tr '\n' ' ')
[ "$(echo "$IMAGES" | jq -r '.[].service' | sort | tr '\n' ' ')" = "$targets" ] || fail "the Dockerfile makes other images: $targets"

: >"$room/asked"
sh scripts/release/release.sh start >/dev/null
asked '^run --rm --read-only --user 65532:65532 --cap-drop ALL .*flotilla/[a-z]*@sha256:of-[a-z]* settings$' "$((images - 1))"
asked 'flotilla/fleet@sha256:of-fleet --version$' 1
: >"$room/asked"
sh scripts/release/release.sh tag
asked "^buildx imagetools create --tag ghcr.io/owner/flotilla/([a-z]*):$version ghcr.io/owner/flotilla/\\1@sha256:of-\\1$" "$images"

refused() { if "$@" >/dev/null 2>&1; then fail "$* succeeds"; fi; }
# versioned VERSION: builds where the workspace has that version.
root=$(pwd)
versioned() {
    mkdir -p "$room/workspace/services"
    cp services/services.txt "$room/workspace/services/"
    printf '[workspace.package]\nversion = "%s"\n' "$1" >"$room/workspace/Cargo.toml"
    (cd "$room/workspace" && GIT_DIR=$(git -C "$root" rev-parse --absolute-git-dir) GITHUB_REF_NAME=v$1 sh "$root/scripts/release/release.sh" build)
}
for fine in 0.2.0 0.2.0-rc1 10.20.30-rc-2; do
    versioned "$fine" >"$room/said" || fail "the version $fine is refused"
    grep -q -x "version=$fine" "$room/said" || fail "another version than $fine"
done
: >"$room/asked"
for odd in 0.2.0-rc.1 0.2.0-RC1 0.2.0+build 0.2 v0.2.0; do
    if versioned "$odd" >"$room/said" 2>&1; then fail "the version $odd is taken"; fi
    grep -q "the version $odd must be MAJOR.MINOR.PATCH" "$room/said" || fail "the version $odd is refused for another reason"
done
asked . 0

refused env GITHUB_REF_NAME=v99.0.0 sh scripts/release/release.sh build
refused env BREAKS=payments sh scripts/release/release.sh build
refused env DIGEST_FORM=none sh scripts/release/release.sh build
refused env IMAGES='[]' sh scripts/release/release.sh tag
refused sh scripts/release/release.sh publish
echo "test-release: images are pushed by digest, started and named"
