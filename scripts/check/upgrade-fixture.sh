#!/bin/sh
# Whether the change that `make upgrade-test` makes to this tree (crates/fleet/tests/upgrade/fixture) still applies to it.
# `--self-test` plants a line in its way and sees the check fail.
set -eu
patch=$(pwd)/crates/fleet/tests/upgrade/fixture/next.patch
apply() { git -C "$1" apply -C1 --check "$patch"; }

if [ "${1:-}" = --self-test ]; then
    room=$(mktemp -d)
    trap 'rm -rf "$room"' EXIT
    git init --quiet "$room"
    sed -n 's|^--- a/||p' "$patch" | while read -r file; do
        mkdir -p "$room/$(dirname "$file")"
        cp "$file" "$room/$file"
    done
    apply "$room" || { echo "upgrade-fixture: the patch doesn't apply to a copy of its files" >&2; exit 1; }
    file=$(sed -n 's|^--- a/||p' "$patch" | head -n 1)
    : >"$room/$file"
    if apply "$room" 2>/dev/null; then echo "upgrade-fixture: an emptied file was not noticed" >&2; exit 1; fi
    exit 0
fi
sh "$0" --self-test
apply . || { echo "upgrade-fixture: adapt $patch to the tree" >&2; exit 1; }
echo "upgrade-fixture: the change of the upgrade test applies"
