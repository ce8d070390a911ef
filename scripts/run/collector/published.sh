#!/bin/sh
# Whether the published image has every component that the local Collector is linked with, by what each module says of
# itself: otherwise a configuration that works here ends the image with `unknown type`.
set -eu
cd "$(dirname "$0")"
unchecked() { echo "published: not checked, $1"; if [ "${CI:-}" = true ]; then exit 1; fi; exit 0; }
modules=$(sed -n 's/^\t"\([^"]*\(receiver\|processor\|exporter\|connector\|extension\)\)"$/\1/p' main.go | grep -v '^go.opentelemetry.io/collector/[a-z]*$')
[ -n "$modules" ] || { echo "published: main.go links no component" >&2; exit 1; }
command -v go >/dev/null 2>&1 || unchecked "Go is missing"
# shellcheck disable=SC2086 # one word for each module
downloaded=$(go mod download -json $modules) || unchecked "the modules can't be had"
missing=
for folder in $(echo "$downloaded" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'); do
    awk '/^  distributions:/ { on = 1; print; next } on && /^ +- / { print; next } { on = 0 }' "$folder/metadata.yaml" | grep -q contrib ||
        missing="$missing $(sed -n 's/^type: //p' "$folder/metadata.yaml")"
done
[ -z "$missing" ] || { echo "published: otel/opentelemetry-collector-contrib lacks$missing" >&2; exit 1; }
echo "published: the image has all $(echo "$modules" | wc -l) components"
