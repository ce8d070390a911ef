#!/bin/sh
# Writes what each image is made of into a folder (.flotilla/sbom by default), one CycloneDX document an image, and checks
# each against what `cargo tree` says of that program alone: a crate that is linked in and isn't listed fails. A few more
# may be listed, because features are resolved for the whole workspace as the build of the images does it.
set -eu
folder=${1:-.flotilla/sbom}
cargo=${CARGO:-cargo}
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
PYTHONDONTWRITEBYTECODE=1 python3 scripts/release/sbom.py "$folder"

for file in "$folder"/*.cdx.json; do
    image=$(basename "$file" .cdx.json)
    for target in x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu; do
        $cargo tree --quiet --locked --package "flotilla-$image" --edges normal --prefix none --target "$target" --format '{p}'
    done | sed 's/ (.*//; s/ v/@/' | grep -v -x "flotilla-$image@.*" | sort -u >"$room/linked"
    python3 -c '
import json, sys
print("\n".join(c["bom-ref"] for c in json.load(open(sys.argv[1]))["components"]))' "$file" | sort -u >"$room/listed"
    [ -s "$room/linked" ] || { echo "sbom: cargo tree says nothing of $image" >&2; exit 1; }
    missing=$(comm -23 "$room/linked" "$room/listed")
    [ -z "$missing" ] || { echo "sbom: $image links these in, and its list lacks them:" $missing >&2; exit 1; }
done
echo "sbom: nothing that is linked in is missing ($folder)"
