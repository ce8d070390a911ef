#!/bin/sh
# Builds N (the previous tag, or else the last commit whose migrations this one only adds to; UPGRADE_FROM names another) and
# N+1 (this commit and the fixture), and rolls one out over the other under load, back, and out again: docs/upgrades.md.
# With --self-test: breaks the schema in two ways, and sees the test fail.
set -eu
. scripts/lib/tool.sh
[ -r /proc/self/exe ] || skip upgrade "without /proc nothing tells which build a process runs"
git rev-parse --quiet --verify HEAD >/dev/null || skip upgrade "no git checkout"

fixture=$(pwd)/crates/fleet/tests/upgrade/fixture
home=$(pwd)/.flotilla/upgrade
. scripts/lib/folder.sh
mkdir -p "$home/bin"
to=$(git rev-parse HEAD)
from=${UPGRADE_FROM:-$(git describe --tags --abbrev=0 HEAD^ 2>/dev/null || true)}
if [ -z "$from" ]; then
    # On the first-parent line: the newest commit whose migrations are all unchanged here, where there are more. Commits
    # with a migration that was edited later, before it was released, are skipped.
    for changed in $(git log --first-parent --format=%H -- '*/migrations/*.sql'); do
        if git diff --quiet --no-renames --diff-filter=a "$changed^" HEAD -- '*/migrations/*.sql'; then
            from=$changed^
            break
        fi
    done
fi
from=$(git rev-parse --quiet --verify "${from:-HEAD^}^{commit}") ||
    skip upgrade "there is no earlier commit (a shallow clone?)"

# checkout NAME COMMIT: a clean worktree of it.
checkout() {
    git worktree prune
    [ -e "$home/$1/.git" ] || git worktree add --quiet --force --detach "$home/$1" "$2"
    git -C "$home/$1" checkout --quiet --force --detach "$2"
    git -C "$home/$1" clean -fdq
}

# build NAME KEY: the worktree's binary of all services, kept under its key, whose path is put into $built. Behaviour is
# tested, not speed: hardly optimised. One target folder for all, so that other people's crates are compiled once.
build() {
    built=$home/bin/$2
    [ ! -x "$built" ] || return 0
    # Migrations are compiled in, and cargo doesn't watch them.
    grep -rl --include='*.rs' 'embed_migrations!' "$home/$1/crates" "$home/$1/services" | while read -r file; do
        if [ -n "$(find "${file%%/src/*}/migrations" -newer "$file")" ]; then touch "$file"; fi
    done
    (
        cd "$home/$1"
        CARGO_TARGET_DIR=$home/target CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
            CARGO_PROFILE_RELEASE_INCREMENTAL=true CARGO_PROFILE_RELEASE_LTO=false \
            "${CARGO:-cargo}" build --release --locked --package flotilla-fleet --bin flotilla
    )
    cp "$home/target/release/flotilla" "$built.new"
    mv "$built.new" "$built"
}

sum=$(cat "$fixture"/next.patch "$fixture"/*/*.sql | git hash-object --stdin | cut -c 1-12)
echo "N is $(git log -1 --format='%h %s' "$from"); N+1 is $(git log -1 --format='%h' "$to") and the fixture"
checkout n "$from"
build n "$from"
n=$built
checkout next "$to"
git -C "$home/next" apply -C1 "$fixture/next.patch"
cp "$fixture"/expand/*.sql "$home/next/services/notification/migrations/"
build next "$to-next-$sum"
next=$built
# The release after it has the same code, and contracts the schema.
cp "$fixture"/contract/*.sql "$home/next/services/notification/migrations/"
build next "$to-contracted-$sum"
contracted=$built
for old in "$home"/bin/*; do
    case $old in "$n" | "$next" | "$contracted") ;; *) rm -f "$old" ;; esac
done

run() {
    FLOTILLA_UPGRADE_N=$n FLOTILLA_UPGRADE_NEXT=$next FLOTILLA_UPGRADE_CONTRACTED=$contracted \
        sh scripts/lib/files-limit.sh "${CARGO:-cargo}" test --profile ci --workspace --locked --test upgrade -- --nocapture
}

if [ "${1:-}" = --self-test ]; then
    for broken in "expand=$fixture/sabotage/expand.sql" "out=$(echo "$fixture"/contract/*.sql)"; do
        if FLOTILLA_UPGRADE_SABOTAGE=$broken run >"$home/self-test.log" 2>&1; then
            echo "upgrade: the test passes although $broken breaks it" >&2
            exit 1
        fi
        grep -q '^sabotaged after' "$home/self-test.log" || { cat "$home/self-test.log" >&2; exit 1; }
        echo "fails as it has to: $broken"
        grep -A 3 'panicked at' "$home/self-test.log" | head -4
    done
    exit 0
fi
run
echo "upgrade: rolled out, back, out again and contracted; no request failed"
