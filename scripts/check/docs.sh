#!/bin/sh
# Checks README, docs and their like: every `make` target that they name exists, every relative link leads to a file, and
# the benchmark's figures are those of its report.
set -eu
bad=0
for target in $(grep -h -o -E '`make [a-z][a-z0-9-]*' *.md docs/*.md docs/bench/*.md crates/*/README.md services/*/README.md | sed 's/`make //' | sort -u); do
    grep -q -E "^$target:" Makefile || { echo "docs: make $target is named, but the Makefile lacks it" >&2; bad=1; }
done
for file in *.md docs/*.md docs/bench/*.md crates/*/README.md services/*/README.md; do
    for link in $(grep -o -E '\]\([^)#: ]+[)#]' "$file" | sed 's/^](//; s/[)#]$//' | sort -u); do
        [ -e "$(dirname "$file")/$link" ] || { echo "docs: $file links to $link, which isn't there" >&2; bad=1; }
    done
done
python3 scripts/run/bench/report.py --check || bad=1
[ "$bad" = 0 ] || exit 1
echo "docs: targets and links are true"
