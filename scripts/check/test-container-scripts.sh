#!/bin/sh
# Tests what starts and makes containers, without any: stubs take the place of docker, initdb and postgres.
set -eu
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
fail() { echo "test-container-scripts: $1" >&2; exit 1; }
stub() { printf '#!/bin/sh\n%s\n' "$2" >"$room/bin/$1"; chmod +x "$room/bin/$1"; }
mkdir "$room/bin"

# compose/postgres.sh: what isn't a cluster is somebody's, and stays.
# shellcheck disable=SC2016 # the stub's own variables
stub initdb 'for argument; do case $argument in --pgdata=*) mkdir "${argument#*=}"; echo 18 >"${argument#*=}/PG_VERSION"; touch "${argument#*=}/pg_hba.conf" ;; esac; done'
# shellcheck disable=SC2016
stub postgres '[ -s "$2/PG_VERSION" ] && [ "$(sort -u "$2/pg_hba.conf" | wc -l) $(wc -l <"$2/pg_hba.conf")" = "2 2" ] && echo serving'
start() { PATH=$room/bin:$PATH sh compose/postgres.sh "$room/18/flotilla" 2>&1; }
mkdir -p "$room/18/flotilla.new"
echo interrupted >"$room/18/flotilla.new/half"
[ "$(start)" = serving ] || fail "an empty volume gets no cluster: $(start)"
[ ! -e "$room/18/flotilla/half" ] || fail "an interrupted initdb is taken for a cluster"
echo mine >"$room/18/flotilla/mark"
[ "$(start)" = serving ] && [ -e "$room/18/flotilla/mark" ] || fail "a cluster that is there isn't taken as it is"
for kind in damaged empty; do
    rm -f "$room/18/flotilla/PG_VERSION"
    [ "$kind" = damaged ] || { rm -rf "$room/18/flotilla"; mkdir "$room/18/flotilla"; }
    if said=$(start); then fail "starts on a folder that is no cluster ($kind)"; fi
    [ "$said" = "$room/18/flotilla is there and is no cluster" ] || fail "says of a folder that is no cluster: $said"
    [ "$kind" = empty ] || [ -e "$room/18/flotilla/mark" ] || fail "deletes a folder that it doesn't know"
done

# scripts/release/images/base.sh: where the servers' images are here, nothing is bootstrapped, pulled or built.
stub debootstrap "touch $room/bootstrapped; exit 1"
# shellcheck disable=SC2016
stub docker 'case "$*" in "build --help") echo "  --secret stringArray" ;; "image inspect flotilla-stand-in/"*) exit 1 ;; "image inspect "*) ;; *) exit 1 ;; esac'
PATH=$room/bin:$PATH sh scripts/release/images/base.sh servers || fail "stand-ins are made of images that are here"
[ ! -e "$room/bootstrapped" ] || fail "a Debian is bootstrapped for stand-ins that nobody needs"

# scripts/lib/docker-engine.sh: the digest is of what the build reads, and of nothing else.
git init --quiet "$room/tree"
mkdir -p "$room/tree/crates/a/src" "$room/tree/crates/a/tests" "$room/tree/docs"
touch "$room/tree/Dockerfile" "$room/tree/Cargo.toml" "$room/tree/crates/a/src/lib.rs"
digest() { (cd "$room/tree" && . "$room/sources" && sources); }
sed -n '/^sources() {/,/^}/p' scripts/lib/docker-engine.sh >"$room/sources"
before=$(digest)
touch "$room/tree/docs/page.md" "$room/tree/crates/a/README.md" "$room/tree/crates/a/tests/it.rs"
[ "$(digest)" = "$before" ] || fail "what the build doesn't read makes images old"
echo '// changed' >"$room/tree/crates/a/src/lib.rs"
changed=$(digest)
[ "$changed" != "$before" ] || fail "a changed source leaves images as they are"
touch "$room/tree/crates/a/src/new.rs"
[ "$(digest)" != "$changed" ] || fail "a new source leaves images as they are"
rm "$room/tree/crates/a/src/new.rs" "$room/tree/crates/a/src/lib.rs"
[ "$(digest)" != "$before" ] || fail "a source that is gone leaves images as they are"

# scripts/release/images.sh: images of other sources are built anew, those of this tree's are not, and named ones are told of.
# shellcheck disable=SC2016
stub docker 'case "$*" in
"build --help") echo "  --secret stringArray" ;;
build*) echo built ;;
info) ;;
"image inspect --format"*) cat "$0.label" ;;
"image inspect "*) ;;
*) exit 1 ;;
esac'
missing() { PATH=$room/bin:$PATH env -u REGISTRY -u RUST_IMAGE TAG="$1" sh scripts/release/images.sh missing; }
(. "$room/sources" && sources) >"$room/bin/docker.label"
[ -z "$(missing '')" ] || fail "images of this tree's sources aren't taken as they are"
echo old >"$room/bin/docker.label"
missing '' | grep -qx built || fail "images of other sources are taken for this tree's"
if missing 1.2.3 | grep -qx built; then fail "images that were named are built over"; fi
missing 1.2.3 | grep -q "of other sources than this tree" || fail "nobody says that named images are of other sources"
echo "test-container-scripts: all hold"
