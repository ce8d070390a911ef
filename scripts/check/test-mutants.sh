#!/bin/sh
# Tests scripts/test/mutants.py on a tree of one file, with a fake cargo whose tests behave as their names say.
set -eu
script=$(pwd)/scripts/test/mutants.py
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cat >"$room/cargo" <<'END_OF_CARGO'
#!/bin/sh
[ "$1 $2 $3 $4" = "test --profile ci --locked" ] || exit 64
shift 4
if [ "$1" = --no-run ]; then
    if grep -q 'not a program' code; then exit 101; fi
    exit 0
fi
told() { echo "test it::$1 ... $2"; [ "$2" = ok ] || exit 101; }
if grep -q sound code; then state=ok; else state=FAILED; fi
case $1 in
    sees) told sees "$state" ;;
    blind) told blind ok ;;
    sick) told sick FAILED ;;
    nothing) echo "running 0 tests" ;;
    breaks) [ "$state" = ok ] || exit 101; told breaks ok ;;
    hangs) [ "$state" = ok ] || sleep 60; told hangs ok ;;
esac
END_OF_CARGO
chmod +x "$room/cargo"
mkdir -p "$room/repository/scripts/test/mutants" "$room/repository/target/ci/deps" "$room/repository/target/ci/.fingerprint/serde-1"
cd "$room/repository"
git init -q .
printf '/target\n/.flotilla\n' >.gitignore
: >target/ci/deps/libserde-1.rlib
: >target/ci/deps/it-1
: >target/ci/.fingerprint/serde-1/lib
touch -d '2020-01-01' target/ci/deps/libserde-1.rlib

# fault NAME FIND REPLACE TEST [SHORT]
fault() {
    printf '[[mutant]]\nname = "%s"\nfile = "code"\nfind = "%s"\nreplace = "%s"\ntest = "%s"\n' "$1" "$2" "$3" "$4"
    [ $# -lt 5 ] || echo "short = true"
}
# mutants ARGUMENT...: its output in $said, its status in $status. The tree must be unchanged.
mutants() {
    printf 'sound and\nsafe, safe\n' >code
    status=0
    said=$(CARGO="$room/cargo" python3 "$script" --least 1 --least-short 0 --limit 2 "$@" 2>&1) || status=$?
    [ "$(cat code)" = "$(printf 'sound and\nsafe, safe')" ] || fail "$*: the tree itself was changed"
}
fail() {
    echo "test-mutants: $1; status $status, and it said:" >&2
    echo "$said" >&2
    exit 1
}
# expect STATUS LINE...: the status, and a line that matches each pattern.
expect() {
    [ "$status" = "$1" ] || fail "the status isn't $1"
    shift
    for line; do echo "$said" | grep -q -E "^mutants: $line\$" || fail "no line «$line»"; done
}
# only FAULT...: a list with only this.
only() { fault "$@" >scripts/test/mutants/a.toml; }

only seen sound broken sees
mutants
expect 0 'seen: found by it::sees \([0-9]+ s\)' '1 of 1 faults are found'
copy=.flotilla/mutants
[ "$(cat $copy/tree/code)" = "$(cat code)" ] || fail "the fault stays in the copy"
[ $copy/target/ci/deps/libserde-1.rlib -ot code ] || fail "what was built isn't taken over with its time"
[ ! -e $copy/target/ci/deps/it-1 ] || fail "programs are taken over"

only unseen sound broken blind
mutants
expect 1 'unseen: NOT FOUND: no test finds it .*' '0 of 1 faults are found; not: unseen'
only garbled sound 'not a program' sees
mutants
expect 1 "garbled: NOT FOUND: doesn't compile .*"
only vain sound broken nothing
mutants
expect 1 'cargo test nothing: no test ran; .*' 'vain: NOT TRIED, as no test ran'
only always sound broken sick
mutants
expect 1 'always: NOT TRIED, as it fails without a fault'
only abort sound broken breaks
mutants
expect 1 'abort: NOT FOUND: cargo failed, but none of its tests .*'
only endless sound broken hangs
mutants
expect 1 'endless: NOT FOUND: the test did not end within 2 s .*'

only twice safe broken sees
mutants
expect 2 'twice: its text occurs 2 times in code, not once'
only never missing broken sees
mutants --check
expect 2 'never: its text occurs 0 times in code, not once'
only same sound sound sees
mutants --check
expect 2 'same: it changes nothing'
only nowhere sound broken sees
sed 's/"code"/"gone"/' scripts/test/mutants/a.toml >scripts/test/mutants/b.toml
mutants --check
expect 2 'nowhere: there is no file gone' 'nowhere: the name is taken twice'
printf '[[mutant]]\nname = "half"\nshort = "yes"\n' >scripts/test/mutants/b.toml
mutants --check
expect 2 'b.toml, half: not understood: short; lacking: file, find, replace, test'
rm scripts/test/mutants/b.toml

{
    fault one sound broken sees short
    fault two sound broken blind
} >scripts/test/mutants/a.toml
mutants --short
expect 0 '1 of 1 faults are found'
mutants --only two
expect 1 '0 of 1 faults are found; not: two'
mutants --only three
expect 2 'no fault has such a name'
mutants --check --least 3
expect 2 'there are 2 faults, fewer than 3'
mutants --check --least-short 2
expect 2 'there are 1 short faults, fewer than 2'
mutants --check
expect 0 'each of 2 faults can be planted, 1 of them are short'

# The copy follows the tree.
: >gone
mutants --short
rm gone
mutants --short
[ ! -e $copy/tree/gone ] || fail "a file that was removed stays in the copy"
exec 9>$copy/lock
flock 9
mutants --short
expect 2 'another run is under way'
echo "test-mutants: faults are planted in a copy, and only a test that runs and fails finds one"
