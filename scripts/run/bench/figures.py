"""What the report's figures mean: budgets, goals, and sums of them."""

# CPU time of an order in µs. The last three processes share a budget.
BUDGET = {"PostgreSQL": 100, "orders": 45, "gateway": 40, "load generator": 40, "inventory, payments, notification": 40, "NATS": 20}
PROCESSES = {
    "PostgreSQL": ["postgres"],
    "orders": ["orders"],
    "gateway": ["gateway"],
    "load generator": ["load generator"],
    "inventory, payments, notification": ["inventory", "payments", "notification"],
    "NATS": ["nats"],
}
GOAL_MS = 150
GOAL_RATIO = 0.75


def costs(report):
    """Name, CPU time and budget of each group of processes; the last one is what has no budget."""
    spent = {name: cost for name, cost in report["full"]["cpu_us"]}
    rows = [(group, sum(spent.pop(name, 0.0) for name in PROCESSES[group]), BUDGET[group]) for group in PROCESSES]
    return rows + [("identity, Redis", sum(spent.values()), None)]


def median(values):
    """The middle one; of an even number the mean of the two in the middle."""
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def ratio(report):
    """The median of the rounds' ratios; None where bare PostgreSQL wasn't measured."""
    ratios = [one["ratio"] for one in report["rounds"] if one["ratio"] is not None]
    return median(ratios) if ratios else None


def percentile(part, share):
    """Milliseconds from accepted to settled."""
    return dict(part["settled_ms"])[share]


def mib(kib):
    return f"{kib / 1024:.0f} MiB"


def edge(report):
    """CPU time of a REST call through the gateway and through Envoy; None where Envoy wasn't measured."""
    rest = [one for one in report["edge"] if one["name"] == "REST over HTTP/1.1"]
    envoy = [one for one in report["edge"] if one["name"].startswith("envoy") or one["name"].startswith("Envoy")]
    return (rest[0], envoy[0]) if rest and envoy else None
