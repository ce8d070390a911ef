#!/bin/sh
# Inside the build: gives every source an old time and those that changed since the last build a new one. Cargo goes by
# time, but a checkout's times say nothing when another checkout was built last in the same cache.
set -eu
. /usr/local/bin/cargo.sh
# One list for each platform that is built for: what one has compiled, another hasn't.
list=target/$triple/sources.sha256
mkdir -p "${list%/*}"
now=$(mktemp)
# Sorted by whole lines, as comm wants them.
find . -path ./target -prune -o -type f -print0 | xargs -0 sha256sum | LC_ALL=C sort >"$now"
if [ -f "$list" ] && [ -z "$(LC_ALL=C comm -23 "$list" "$now" | cut -c67- | while read -r gone; do [ -e "$gone" ] || echo "$gone"; done)" ]; then
    find . -path ./target -prune -o -exec touch -h -d @1 {} +
    LC_ALL=C comm -13 "$list" "$now" | cut -c67- | while read -r file; do touch "$file"; done
else
    # The first build, or a file is gone: everything counts as changed.
    find . -path ./target -prune -o -exec touch -h {} +
fi
cp "$now" "$list"
