"""Lints the migrations of all crates and services; scripts/check/migrations.sh says by what."""

import glob
import json
import re
import subprocess
import sys
from collections import Counter

CONFIG = ".squawk.toml"
PLACES = ("crates/*/migrations/V*__*.sql", "services/*/migrations/V*__*.sql")
# What squawk finds in migrations that are applied and so can't change: file and rule, how often, and why it does no harm.
EXCEPTIONS = {
    ("crates/messaging/migrations/V1__messaging.sql", "prefer-bigint-over-int"): (1, "counts the attempts of one message"),
    ("crates/messaging/migrations/V3__frames.sql", "prefer-bigint-over-int"): (1, "counts the events of one frame"),
    ("crates/messaging/migrations/V3__frames.sql", "ban-drop-not-null"): (1, "no program reads the column"),
    ("services/identity/migrations/V3__guessing.sql", "require-concurrent-index-creation"): (1, "made before there were users"),
    ("services/inventory/migrations/V1__inventory.sql", "prefer-bigint-over-int"): (1, "counts the notices of one order"),
    ("services/notification/migrations/V2__two_way_feeds.sql", "prefer-bigint-over-int"): (1, "counts the attempts of one delivery"),
    ("services/notification/migrations/V3__single_notice.sql", "require-concurrent-index-creation"): (1, "few rows are refunds"),
    ("services/orders/migrations/V1__orders.sql", "prefer-bigint-over-int"): (2, "count the attempts of one step"),
    ("services/orders/migrations/V3__lines_and_journal_in_their_rows.sql", "renaming-table"): (2, "views have the old names"),
    ("services/payments/migrations/V2__charges_are_transfers.sql", "renaming-table"): (1, "a view has the old name"),
}
# The newest migrations from before releases declared what they tolerate, by folder.
UNDECLARED = {
    "crates/messaging": 4,
    "crates/service": 1,
    "services/identity": 3,
    "services/inventory": 4,
    "services/notification": 4,
    "services/orders": 3,
    "services/payments": 2,
}
# Our runner builds the indexes of such a migration concurrently, before its transaction.
CONCURRENTLY = re.compile(r"^-- concurrently$", re.MULTILINE)
DECLARATION = re.compile(r"^-- (compatible-since: V\d+|incompatible: \S.*)$", re.MULTILINE)


def findings(squawk, paths):
    """What squawk finds, one dictionary each."""
    command = [squawk, "--config", CONFIG, "--reporter", "json", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"migrations: squawk failed:\n{done.stdout}{done.stderr}")
    return [one for one in json.loads(done.stdout) if not is_built_before(one)]


def is_built_before(finding):
    """Whether it is about an index that the migration's transaction finds already built."""
    if finding["rule_name"] != "require-concurrent-index-creation":
        return False
    with open(finding["file"], encoding="utf-8") as file:
        return bool(CONCURRENTLY.search(file.read()))


def unexpected(found):
    """The findings that aren't excepted, and the exceptions that nothing needs."""
    counts = Counter((one["file"], one["rule_name"]) for one in found)
    for one in found:
        key = (one["file"], one["rule_name"])
        if counts[key] > EXCEPTIONS.get(key, (0, ""))[0]:
            yield f"{one['file']}:{one['line'] + 1}: {one['rule_name']}: {one['message']} {one.get('help') or ''}".rstrip()
    for (path, rule), (number, _) in EXCEPTIONS.items():
        if counts[path, rule] < number:
            yield f"{path}: {rule} is excepted {number} times, but found {counts[path, rule]} times"


def undeclared(paths):
    """The newer migrations that don't say which releases tolerate them."""
    for path in paths:
        folder, version = re.fullmatch(r"(.*)/migrations/V(\d+)__\w+\.sql", path).groups()
        if int(version) <= UNDECLARED.get(folder, 0):
            continue
        with open(path, encoding="utf-8") as file:
            declared = len(DECLARATION.findall(file.read()))
        if declared != 1:
            yield (
                f"{path}: wants one line «-- compatible-since: V<version>», with the oldest version whose programs may serve on "
                f"this schema, or «-- incompatible: <reason>»; it has {declared}"
            )


def main():
    squawk = sys.argv[1]
    paths = sorted(path for place in PLACES for path in glob.glob(place))
    found = findings(squawk, paths)
    faults = [*unexpected(found), *undeclared(paths)]
    for fault in faults:
        print(f"migrations: {fault}", file=sys.stderr)
    if faults:
        raise SystemExit(1)
    print(f"migrations: {len(paths)} migrations are safe; {len(found)} old findings are excepted")


if __name__ == "__main__":
    main()
