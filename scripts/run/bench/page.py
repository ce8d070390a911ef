"""The report as Markdown, and the README's block of figures."""

from figures import BUDGET, GOAL_MS, GOAL_RATIO, costs, edge, median, mib, percentile, ratio

BEGIN = "<!-- Figures of `make bench`, which rewrites them. -->"
END = "<!-- End of the figures. -->"


def page(report, growth):
    """docs/bench/README.md; growth is None where nobody has measured it."""
    return "\n\n".join([
        "# Benchmark",
        "`make bench` measures and writes this page; [`report.json`](report.json) has all figures.",
        _machine(report),
        _throughput(report),
        _cpu(report),
        _latency(report),
        _counts(report),
        _memory(report),
        _gateway(report),
        *([_growth(growth)] if growth else []),
    ]) + "\n"


def block(report):
    """The rows of the README's table, with its markers."""
    easy, full = report["easy"], report["full"]
    rows = [("throughput", _throughput_words(report))]
    rows.append(("latency", f"at 70% of that load, from acceptance to settlement: p50 {percentile(easy, 0.5):.0f} ms, "
                 f"p99 {percentile(easy, 0.99):.0f} ms; one order alone, from the call to the watch that says confirmed: "
                 f"p50 {report['alone_ms'][0]:.0f} ms"))
    counts = report["counts"]
    rows.append(("little work for each order", f"{sum(cost for _, cost, _ in costs(report)):.0f} µs of CPU in all processes, "
                 f"{counts['row_writes']:.0f} row writes, {counts['wal_bytes'] / 1000:.1f} kB of WAL, "
                 f"{counts['syncs']:.2f} database syncs"))
    gateway = edge(report)
    if gateway:
        rest, envoy = gateway
        rows.append(("an efficient gateway", f"{envoy['cpu_us'] / rest['cpu_us']:.1f} times as many calls per CPU second as "
                     f"{envoy['name'].split(',')[0]}, while transcoding JSON"))
    memory = report["memory_full"]["proportional"]
    rows.append(("a small footprint", f"six services in {mib(memory)} at full load, "
                 f"{mib(report['memory_before']['proportional'])} before; pages that they share are counted once, which "
                 "`fleet status` doesn't do"))
    table = "\n".join(f"| {name} | {words} |" for name, words in rows)
    machine = report["machine"]
    note = (f"Measured by `make bench` on {machine['cores']} cores ({machine['cpu']}) with everything on one machine"
            + ". [All figures, with plots](docs/bench/README.md).")
    return f"{BEGIN}\n{note}\n\n| promise | measured |\n|---|---|\n{table}\n{END}"


def _throughput_words(report):
    full = report["full"]
    words = f"{full['settled_per_second']:,.0f} orders per second from acceptance to settlement"
    if ratio(report) is None:
        return words
    rates = [one["bare"]["per_second"] for one in report["rounds"]]
    return f"{words}: {ratio(report):.2f} times the rate at which bare PostgreSQL commits minimal orders ({_range(rates)})"


def _range(values):
    low, high = min(values), max(values)
    return f"{low:,.0f}" if round(low) == round(high) else f"{low:,.0f} to {high:,.0f}"


def _table(headings, rows):
    right = ["---:" if heading.startswith(">") else "---" for heading in headings]
    lines = ["| " + " | ".join(heading.lstrip(">") for heading in headings) + " |", "|" + "|".join(right) + "|"]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def _machine(report):
    machine, versions = report["machine"], report["versions"]
    return _table(["", ""], [
        ("machine", f"{machine['cores']} cores, {machine['cpu']}, {machine['memory_gib']} GiB of memory, {machine['kernel']}"),
        ("versions", f"PostgreSQL {versions['postgresql']}, nats-server {versions['nats']}, {versions['rustc']}, {report['build']} build"),
        ("commit", f"{versions['commit']}, measured on {report['date']}"),
        ("each measurement", f"{report['seconds']} s; everything runs on the one machine, the load generator too"),
    ])


def _throughput(report):
    rows = []
    for number, one in enumerate(report["rounds"], 1):
        bare = one["bare"]
        rows.append((
            number,
            f"{bare['per_second']:,.0f}" if bare else "", f"{bare['foreign_percent']:.0f}%" if bare else "",
            f"{one['settled_per_second']:,.0f}" + ("" if one["sustained"] else " (not sustained)"), f"{one['foreign_percent']:.0f}%",
            f"{one['ratio']:.2f}" if bare else ""))
    found = ratio(report)
    middle = "" if found is None else f"\n\nThe median of the ratios is **{found:.2f}** (goal: at least {GOAL_RATIO})."
    return (
        "## Throughput\n\n"
        "Bare PostgreSQL and the fleet take turns. Bare PostgreSQL commits one minimal order in each transaction "
        "([`bench/baseline.sql`](../../bench/baseline.sql)), by pgbench with 32 clients. The fleet gets orders of two lines "
        "over gRPC at a fixed rate, the highest at which none is refused and all are settled in time. \"Others\" is the CPU "
        "that other processes of the machine used meanwhile, in percent of one core.\n\n"
        "![Rate of each run](rates.svg)\n\n"
        + _table([">round", ">bare PostgreSQL/s", ">others", ">settled orders/s", ">others", ">ratio"], rows) + middle
    )


def _cpu(report):
    rows = [(name, f"{cost:.0f}", budget if budget is not None else "") for name, cost, budget in costs(report)]
    rows.append(("together", f"{sum(cost for _, cost, _ in costs(report)):.0f}", sum(BUDGET.values())))
    bare = [one["bare"]["cpu_us"] for one in report["rounds"] if one["bare"]]
    beside = f"\n\nA transaction of pgbench costs {_range(bare)} µs, client and server together." if bare else ""
    return ("## CPU for each order\n\n![CPU time of an order by process](cpu.svg)\n\n"
            + _table(["process", ">µs for each order", ">budget"], rows) + beside
            + "\n\n[Where the time goes](profiles.md): flame graphs, statements, and what was tried.")


def _latency(report):
    def row(name, part):
        accepted = part["accepted_ms"]
        settled = [f"{percentile(part, share):.0f}" for share in (0.5, 0.9, 0.99, 0.999)]
        return (name, f"{part['settled_per_second']:,.0f}", *settled, f"{accepted[0]:.1f}", f"{accepted[1]:.1f}")
    half, ninety, ninety_nine = report["alone_ms"]
    return (
        "## Latency\n\n![Time from accepted to settled](latency.svg)\n\n"
        + _table(["ms", ">orders/s", ">settled p50", ">p90", ">p99", ">p99.9", ">accepted p50", ">p99"],
                 [row("at 70% of full load", report["easy"]), row("full load", report["full"])])
        + "\n\n\"Settled\" is the time from accepted to the order's end; \"accepted\" the time from when an order is due to the "
        f"answer. The goal is {GOAL_MS} ms for 99% at 70% of full load.\n\n"
        "One order after the other, from the call to the watch that says confirmed: "
        f"p50 {half:.1f} ms, p90 {ninety:.1f} ms, p99 {ninety_nine:.1f} ms. With several replicas of orders, a watch "
        "at another one than that which finished the order learns of it by its poll: 250 ms at most."
    )


def _counts(report):
    counts = report["counts"]
    images = counts["full_page_image_bytes"]
    rows = [
        ("database syncs", f"{counts['syncs']:.3f}"),
        ("row writes", f"{counts['row_writes']:.2f}"),
        ("WAL records", f"{counts['wal_records']:.1f}"),
        ("bytes of WAL" + (", without full-page images" if images is not None else ", with full-page images"), f"{counts['wal_bytes']:,.0f}"),
    ]
    if images is not None:
        rows.append(("bytes of full-page images", f"{images:,.0f}"))
    tables = sorted(report["row_writes"], key=lambda one: -(one["inserted"] + one["updated"] + one["deleted"]))
    writes = [
        (one["database"], f"`{one['table']}`", *(f"{one[kind]:.2f}" for kind in ("inserted", "updated", "deleted")))
        for one in tables if one["inserted"] + one["updated"] + one["deleted"] >= 0.05
    ]
    return (
        "## What an order costs the databases\n\n"
        "Counted by PostgreSQL at full load: these depend far less on what else the machine does than rates do. "
        "`fleet load --check-limits` fails when one exceeds its limit.\n\n"
        + _table(["count", ">for each order"], rows)
        + "\n\nRow writes by table, where there are at least 0.05 for each order:\n\n"
        + _table(["database", "table", ">inserted", ">updated", ">deleted"], writes)
    )


def _memory(report):
    before, full = report["memory_before"], report["memory_full"]
    ready = [f"{name} {ms} ms" for name, ms in report["ready_ms"]]
    return (
        "## Memory and start\n\n"
        + _table(["six services together", ">proportional", ">resident"], [
            ("before the first order", mib(before["proportional"]), mib(before["resident"])),
            ("after full load", mib(full["proportional"]), mib(full["resident"])),
        ])
        + f"\n\nProportional memory counts a page that processes share once. Ready after the start: {', '.join(ready)}."
    )


def _gateway(report):
    rows = [(one["name"], f"{one['calls_per_second']:,.0f}", f"{one['cpu_us']:.1f}") for one in report["edge"]]
    rest = report["rest"]
    placed = ""
    if rest:
        placed = (f"\n\nOrders placed by REST: {rest['per_second']:,.0f} accepted per second over {rest['connections']} "
                  f"connections, p50 {rest['p50_ms']:.1f} ms, p99 {rest['p99_ms']:.1f} ms.")
    return ("## The gateway\n\n`GetOrder` by its customer, not cached: CPU of the gateway, or of Envoy in front of the same "
            "service, for each call.\n\n" + _table(["way", ">calls/s", ">CPU µs for each call"], rows) + placed)


def _growth(growth):
    size, rates, held = growth["size"], growth["rates"], growth["held"]
    middle = {way: median(values) for way, values in rates.items()}
    ways = [
        ("empty", "an empty fleet, 200 products", None),
        ("history", f"{size['orders']:,} orders of history, {size['products']:,} products", "empty"),
        ("hot", "the same, one product in half of all orders", "history"),
        ("lines", "the same, ten lines in each order", "history"),
    ]
    rows = []
    for way, name, base in ways:
        beside = (f"{middle[way] / middle[base]:.2f}", size[way]) if base else ("", "")
        rows.append((name, f"{middle[way]:,.0f}", _range(rates[way]), *beside))
    late = {service: seconds for service, seconds in held["oldest_seconds"].items() if seconds > 10}
    return (
        "## Growth\n\n"
        f"`make bench-growth`, measured on {growth['date']} ({growth['commit']}): two fleets take turns, {size['rounds']} rounds of "
        f"{size['seconds']} s. The history is written by SQL ([`bench/history.sql`](../../bench/history.sql)): the rows that the "
        "services leave behind for settled orders of two lines. Each ratio is that of two medians, to the empty fleet or to the "
        "fleet with history.\n\n"
        + _table(["fleet", ">settled orders/s", ">of all rounds", ">ratio", ">at least"], rows)
        + f"\n\nA transaction that has written something and stays open for {held['held_seconds']:.0f} s holds all relays up, while "
        f"{held['orders']:,} orders are accepted. The oldest unpublished frames of {_and(late)} waited {max(late.values()):.0f} s; "
        f"Prometheus saw {held['told_seconds']:.0f} s, and the alert OutboxStalled fired for {_and(held['alerted'])}. After the "
        f"transaction's end everything was published within {held['published_after_seconds']:.1f} s and every order settled within "
        f"{held['settled_after_seconds']:.1f} s; then the alert ended, and every invariant holds."
    )


def _and(names):
    *most, last = sorted(names) or ["nobody"]
    return f"{', '.join(most)} and {last}" if most else last
