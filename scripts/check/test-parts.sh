#!/bin/sh
# Tests scripts/lib/parts.sh, with a make that does as its target is called and a clock that only it moves.
set -eu
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
mkdir "$room/bin"
cat >"$room/bin/date" <<END
#!/bin/sh
cat "$room/clock"
END
cat >"$room/make" <<END
#!/bin/sh
echo "made \$2" >>"$room/made"
case \$2 in
    quick) ;;
    slow) echo \$((\$(cat "$room/clock") + 100)) >"$room/clock" ;;
    bad) exit 3 ;;
esac
END
chmod +x "$room/bin/date" "$room/make"

# parts ARGUMENT...: what parts.sh says, in $said, its status in $status, the targets made in $room/made.
parts() {
    echo 1000000000 >"$room/clock"
    : >"$room/made"
    status=0
    said=$(PATH="$room/bin:$PATH" MAKE="$room/make" FLOTILLA_BUDGET="$mode" sh scripts/lib/parts.sh "$@" 2>&1) || status=$?
}
fail() {
    echo "test-parts: $1; status $status, and it said:" >&2
    echo "$said" >&2
    exit 1
}
# expect TEST STATUS ROW...: the status, and a line of each form.
expect() {
    test=$1
    [ "$status" = "$2" ] || fail "$test: the status isn't $2"
    shift 2
    for line; do echo "$said" | grep -q -E "^$line\$" || fail "$test: no line «$line»"; done
}

mode=
parts ci:500 quick:10 slow:200 quick
expect "all pass" 0 'ci +took s +budget' 'quick +0 +10' 'slow +100 +200' 'quick +0' 'total +100 +500' 'ci: all checks passed'
[ "$(echo "$said" | tail -1)" = "ci: all checks passed" ] || fail "all pass: the last line is another"

parts ci:500 slow:200 bad:10 quick:20
expect "one fails" 3 'slow +100 +200' 'bad +0 +10 +failed' 'quick +- +20 +not run' 'total +100 +500' 'ci: bad failed'
if echo "$said" | grep -q passed; then fail "one fails: it says that all passed"; fi
[ "$(wc -l <"$room/made")" = 2 ] || fail "one fails: the next was run all the same"

parts ci:500 slow:99 quick:10
expect "a part is late" 0 'slow +100 +99 +over by 1 s' 'quick +0 +10' 'ci: all checks passed'
parts ci:100 slow:100
expect "just in time" 0 'slow +100 +100' 'total +100 +100' 'ci: all checks passed'

parts ci:150 slow:100 slow:100 quick
expect "the whole is late" 1 'total +200 +150 +over by 50 s' 'ci: all checks passed, but together they are over by 50 s .*'
[ "$(wc -l <"$room/made")" = 3 ] || fail "the whole is late: not all was run"

mode=strict
parts ci:500 slow:99 quick:10
expect "a part is late, strictly" 1 'slow +100 +99 +over by 1 s' 'ci: all checks passed, but over their budget were: slow'
parts ci:500 slow:100 quick
expect "nothing is late, strictly" 0 'ci: all checks passed'
mode=off
parts ci:50 slow:10
expect "late, and nobody minds" 0 'slow +100 +10 +over by 90 s' 'total +100 +50 +over by 50 s' 'ci: all checks passed'

mode=strickt
parts ci quick
expect "an unknown mode" 2 'parts: invalid FLOTILLA_BUDGET=strickt.*'
mode=
for wrong in quick:1m quick: :5 quick:1:2; do
    parts ci quick "$wrong"
    expect "the argument $wrong" 2 "parts: invalid argument $wrong; use TARGET or TARGET:SECONDS"
    [ ! -s "$room/made" ] || fail "the argument $wrong: something was run before it was refused"
done
parts ci
expect "no target" 2 'parts: nothing to run'
echo "test-parts: budgets are kept, told and enforced"
