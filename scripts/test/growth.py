"""What a fleet loses as it grows: two fleets of this script's own, an empty one and one with a long history, are measured in
turn. Then a transaction is held open on the second one, and its Prometheus must tell how far the relays fall behind.

    growth.py [--short]     --short is for CI: little history, and limits that leave room for a machine that others use too
"""

import argparse
import atexit
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys

sys.path.insert(0, "scripts/test/observability")
from prometheus import Prometheus, until  # noqa: E402

ROOT = pathlib.Path(".flotilla").absolute()
FIRING = 'ALERTS{alertname="OutboxStalled",alertstate="firing"}'
SERVICES = 6
# From a frame's age of ten seconds the alert waits thirty, and is evaluated every fifteen.
CERTAIN_SECONDS = 75


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is measured, and what must hold. Limits are ratios of settled orders per second."""

    orders: int
    products: int
    rounds: int
    seconds: int
    held_seconds: int
    history: float
    hot: float
    lines: float


FULL = Size(2_000_000, 100_000, rounds=3, seconds=10, held_seconds=300, history=0.9, hot=0.8, lines=0.6)
SHORT = Size(100_000, 5_000, rounds=2, seconds=4, held_seconds=90, history=0.75, hot=0.65, lines=0.45)


class Fleet:
    """A fleet below .flotilla that goes down with this script."""

    def __init__(self, name, *up):
        self.home = ROOT / f"growth-{name}"
        self.home.mkdir(parents=True, exist_ok=True)
        atexit.register(self.remove)
        self.run("up", *up)

    def run(self, *arguments):
        """The last line that a command prints; its failure is this script's."""
        program = [os.environ.get("FLEET", "target/release/fleet"), "--home", self.home, "--servers", ROOT]
        done = subprocess.run(["sh", "scripts/lib/files-limit.sh", *map(str, program), *map(str, arguments)],
                              stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"growth: fleet {' '.join(map(str, arguments))} failed:\n{done.stdout}")
        return done.stdout.strip().rpartition("\n")[2]

    def remove(self):
        """Takes it down and deletes its data, whatever has happened to it."""
        program = [os.environ.get("FLEET", "target/release/fleet"), "--home", str(self.home), "--servers", str(ROOT)]
        for arguments in (["down"], ["reset", "--yes"]):
            subprocess.run([*program, *arguments], capture_output=True, check=False)

    def rate(self, seconds, *arguments):
        """Settled orders per second at full load."""
        return json.loads(self.run("load", "--only-orders", "--seconds", seconds, *arguments))["settled_per_second"]

    def prometheus(self):
        """Its Prometheus."""
        members = json.loads((self.home / "state.json").read_text(encoding="utf-8"))["members"]
        return Prometheus(next(member["address"] for member in members if member["name"] == "prometheus"))


def measure(size, empty, grown):
    """Every rate of every round; the fleets take turns."""
    old = ["--existing-products", "history-", "--products", size.products]
    ways = {
        "empty": (empty, []),
        "history": (grown, old),
        "hot": (grown, [*old, "--hot", 0.5]),
        "lines": (grown, [*old, "--lines", 10]),
    }
    rates = {way: [] for way in ways}
    for number in range(1, size.rounds + 1):
        for way, (fleet, arguments) in ways.items():
            rates[way].append(fleet.rate(size.seconds, *arguments))
            print(f"round {number} of {size.rounds}, {way}: {rates[way][-1]:.0f} orders/s", flush=True)
    return rates


def hold(size, grown):
    """Holds a transaction open; what was seen, with the services that the alert named."""
    # Only now: while rates are compared, nothing scrapes either fleet.
    grown.run("down")
    grown.run("up", "--observability")
    prometheus = grown.prometheus()
    until(60, "every service is scraped", lambda: prometheus.number("count(up == 1)") >= SERVICES)
    seen = json.loads(grown.run("load", "--hold-transaction", size.held_seconds, "--rate", 100,
                                "--existing-products", "history-", "--products", size.products))
    window = size.held_seconds + 120
    series = prometheus.query(f"max_over_time({FIRING}[{window}s])")
    seen["alerted"] = sorted(one["metric"]["service"] for one in series)
    seen["told_seconds"] = prometheus.number(f"max(max_over_time(flotilla_outbox_age_seconds[{window}s]))")
    until(120, "the alert ends after the relays have caught up", lambda: not prometheus.query(FIRING))
    return seen


def broken(size, rates, held):
    """A sentence for each promise that doesn't hold."""
    middle = {way: statistics.median(values) for way, values in rates.items()}
    for way, base, least in [("history", "empty", size.history), ("hot", "history", size.hot), ("lines", "history", size.lines)]:
        ratio = middle[way] / middle[base]
        print(f"{way} beside {base}: {ratio:.2f} (at least {least})")
        if ratio < least:
            yield f"{way}: {middle[way]:.0f} orders/s are {ratio:.2f} of {base}'s {middle[base]:.0f}; at least {least} is wanted"
    late = sorted(service for service, seconds in held["oldest_seconds"].items() if seconds >= CERTAIN_SECONDS)
    print(f"a transaction held for {held['held_seconds']:.0f} s: the oldest frames of {', '.join(late) or 'nobody'} waited "
          f"{max(held['oldest_seconds'].values()):.0f} s, published {held['published_after_seconds']:.1f} s after its end")
    if not late:
        yield "the transaction held no relay up, so nothing was shown"
    if missing := sorted(set(late) - set(held["alerted"])):
        yield f"OutboxStalled didn't fire for {', '.join(missing)}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true", help="little history, and wider limits: for CI")
    size = SHORT if parser.parse_args().short else FULL
    empty, grown = Fleet("empty"), Fleet("grown")
    grown.run("load", "--history", size.orders, "--products", size.products)
    print(f"history: {size.orders} orders, {size.products} products", flush=True)
    rates = measure(size, empty, grown)
    empty.remove()
    held = hold(size, grown)
    failures = list(broken(size, rates, held))
    report = {"size": dataclasses.asdict(size), "rates": rates, "held": held}
    (ROOT / "growth.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if size is FULL:
        subprocess.run([sys.executable, "scripts/run/bench/report.py", "--growth", ROOT / "growth.json"], check=True)
    if failures:
        sys.exit("\n".join(f"growth: {failure}" for failure in failures))
    print("growth: every limit holds")


if __name__ == "__main__":
    main()
