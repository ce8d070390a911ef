#!/bin/sh
# Tests scripts/check/migrations.py on a copy of the migrations: each edit here must be found, for its own reason.
set -eu
. scripts/lib/tool.sh
squawk=$(pwd)/$(tool squawk squawk-cli 2.70.0) || skip test-migrations "squawk is not installed and pip can't get it"
script=$(pwd)/scripts/check/migrations.py
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
tar -c -f - .squawk.toml crates/*/migrations services/*/migrations | tar -x -C "$room" -f -
said() { (cd "$room" && PYTHONDONTWRITEBYTECODE=1 python3 "$script" "$squawk" 2>&1); }
fail() { echo "test-migrations: $1" >&2; echo "$out" >&2; exit 1; }

new=services/orders/migrations/V900__planted.sql
# plant REASON SQL: a new migration that must be refused for this reason.
plant() {
    printf '%s\n' "$2" >"$room/$new"
    refused=0
    out=$(said) || refused=1
    rm "$room/$new"
    [ "$refused" = 1 ] || fail "«$2» was not found"
    echo "$out" | grep -q -e "$1" || fail "«$2» wasn't refused for «$1»:"
}
# accept SQL: a new migration that must pass.
accept() {
    printf '%s\n' "$1" >"$room/$new"
    out=$(said) || fail "«$1» is refused:"
    rm "$room/$new"
}

out=$(said) || fail "the migrations as they are are refused:"
declared='-- compatible-since: V3'
plant "adding-required-field" "$declared
ALTER TABLE orders ADD COLUMN note text NOT NULL;"
plant "ban-drop-column" "$declared
ALTER TABLE orders DROP COLUMN reason;"
plant "renaming-column" "$declared
ALTER TABLE orders RENAME COLUMN reason TO why;"
plant "changing-column-type" "$declared
ALTER TABLE orders ALTER COLUMN version TYPE text;"
plant "constraint-missing-not-valid" "$declared
ALTER TABLE orders ADD CONSTRAINT positive CHECK (total_minor > 0);"
plant "require-concurrent-index-creation" "$declared
CREATE INDEX IF NOT EXISTS orders_reason ON orders (reason);"
plant "wants one line" "SELECT 1;"
plant "it has 2" "$declared
$declared
SELECT 1;"
plant "wants one line" "-- compatible-since: always
SELECT 1;"
accept "$declared
ALTER TABLE orders ADD COLUMN note text;"
accept "-- incompatible: the previous release writes what this refuses
ALTER TABLE orders ADD COLUMN note text;"
accept "$declared
-- concurrently
CREATE INDEX IF NOT EXISTS orders_reason ON orders (reason);"

# An exception for what isn't there any more is found too.
old=services/orders/migrations/V3__lines_and_journal_in_their_rows.sql
grep -v 'RENAME TO saga_journal_rows' "$room/$old" >"$room/edited"
mv "$room/edited" "$room/$old"
refused=0
out=$(said) || refused=1
[ "$refused" = 1 ] && echo "$out" | grep -q 'renaming-table is excepted 2 times, but found 1 times' || fail "an exception that nothing needs was not found:"
echo "test-migrations: unsafe migrations are found"
