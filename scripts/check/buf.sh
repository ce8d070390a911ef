#!/bin/sh
# buf over proto/, with a buf of our own where none is installed: lint, format, and that nothing breaks clients.
#
# The contracts must stay compatible with, in this order:
#   1. $BUF_AGAINST, where it is set (any commit that git knows);
#   2. the last tag v* before HEAD: what was released;
#   3. where this branch left main: the merge base with origin/main or main, unless that is HEAD itself;
#   4. on main itself: HEAD where the contracts have changes that aren't committed, else the commit before.
# A clone that has none of these (a single commit, no history) says so. `--self-test` breaks a copy in every way that
# counts and sees it refused; every other run does that first.
set -eu
. scripts/lib/tool.sh
buf=$(tool buf buf-bin 1.75.0) || skip buf "buf is not installed and pip can't get it"
case $buf in /*) ;; *) buf=$(pwd)/$buf ;; esac
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT

# known REF: whether it is a commit, here and now; prints it.
known() { git rev-parse --quiet --verify "$1^{commit}" 2>/dev/null; }

# baseline: the commit to compare with; fails where there is none.
baseline() {
    if [ -n "${BUF_AGAINST:-}" ]; then
        known "$BUF_AGAINST" || { echo "buf: BUF_AGAINST=$BUF_AGAINST is no commit" >&2; exit 1; }
        return
    fi
    head=$(known HEAD) || return 1
    tag=$(git describe --tags --abbrev=0 --match 'v*' HEAD 2>/dev/null || true)
    if [ -n "$tag" ] && known "refs/tags/$tag"; then return; fi
    for main in refs/remotes/origin/main refs/heads/main; do
        known "$main" >/dev/null || continue
        base=$(git merge-base HEAD "$main" 2>/dev/null || true)
        if [ -n "$base" ] && [ "$base" != "$head" ]; then echo "$base"; return; fi
    done
    if [ -n "$(git status --porcelain -- proto)" ]; then echo "$head"; return; fi
    if known HEAD~1; then return; fi
    # A shallow clone of a single commit: one more is enough.
    [ "$(git rev-parse --is-shallow-repository)" = true ] && git fetch --quiet --deepen=1 2>/dev/null && known HEAD~1
}

# compatible OLD NEW: whether NEW (a folder with proto/ and buf.yaml) breaks no client of OLD.
compatible() { "$buf" breaking "$2" --against "$1"; }

# plant NAME FILE SED: the edit in a copy of the contracts must be refused.
plant() {
    rm -rf "$room/new"
    cp -R "$room/old" "$room/new"
    sed "$3" "$room/old/proto/$2" >"$room/new/proto/$2"
    if cmp -s "$room/old/proto/$2" "$room/new/proto/$2"; then
        echo "buf: the self-test has nothing to break in $2 ($1)" >&2
        exit 1
    fi
    if compatible "$room/old" "$room/new" >"$room/said" 2>&1; then
        echo "buf: the self-test's $1 was not found" >&2
        exit 1
    fi
    grep -q "$2" "$room/said" || { echo "buf: the self-test's $1 failed for another reason:" >&2; cat "$room/said" >&2; exit 1; }
}

self_test() {
    mkdir "$room/old"
    cp -R proto buf.yaml "$room/old/"
    compatible "$room/old" "$room/old" || { echo "buf: the self-test finds fault with no change at all" >&2; exit 1; }
    order=flotilla/orders/v1/order.proto
    plant "renumbered field" "$order" '/^message OrderLine {/,/^}/s/ quantity = 2/ quantity = 20/'
    plant "retyped field" "$order" '/^message OrderLine {/,/^}/s/int64 quantity/string quantity/'
    plant "renamed method" "$order" 's/rpc GetOrder(/rpc FetchOrder(/'
    plant "removed enum value" "$order" '/ORDER_STATE_CANCELLED = 6/d'
    rm -rf "$room/old" "$room/new"
}

self_test
[ "${1:-}" != --self-test ] || { echo "buf: breaking changes are found"; exit 0; }
"$buf" lint
"$buf" format --diff --exit-code proto
if ! base=$(baseline); then
    skip "buf breaking" "there is no earlier commit to compare with (git fetch --unshallow, or BUF_AGAINST=<commit>)"
fi
mkdir "$room/old"
git archive "$base" buf.yaml proto | tar -x -C "$room/old" -f -
compatible "$room/old" .
echo "buf: the contracts are clean, and compatible with $(git describe --tags --always "$base")"
