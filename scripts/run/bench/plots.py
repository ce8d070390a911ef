"""The plots of the benchmark's report."""

import math

from figures import BUDGET, GOAL_MS, costs
from svg import Svg, scale

WIDTH = 760


def cpu(report):
    """CPU for each order, process by process, beside the budget."""
    rows = costs(report)
    left, right, top, row = 256, WIDTH - 60, 58, 30
    most, step = scale(max(max(cost, budget or 0) for _, cost, budget in rows))
    svg = Svg(WIDTH, top + row * len(rows) + 26, "CPU time of an order by process, beside its budget.")
    whole, wanted = sum(cost for _, cost, _ in rows), sum(BUDGET.values())
    svg.text(0, 18, f"CPU time of an order in µs: {whole:.0f} together, budget {wanted}", "strong")
    svg.bar(0, 30, 12, 12, "ours")
    svg.text(18, 41, "within the budget", "small dim")
    svg.bar(140, 30, 12, 12, "over")
    svg.text(158, 41, "above it", "small dim")
    svg.line(226, 29, 226, 43, "mark")
    svg.text(234, 41, "budget", "small dim")
    bottom = top + row * len(rows)
    place = lambda value: left + value / most * (right - left)
    _ticks_below(svg, most, step, place, top, bottom)
    for at, (name, cost, budget) in enumerate(rows):
        y = top + row * at
        svg.text(left - 12, y + 20, name, "end")
        svg.bar(left, y + 6, place(cost) - left, row - 12, "over" if budget is not None and cost > budget else "ours")
        if budget is not None:
            svg.line(place(budget), y + 2, place(budget), y + row - 2, "mark")
        svg.text(max(place(cost), place(budget or 0)) + 8, y + 20, f"{cost:.0f}")
    return svg.render()


def latency(report):
    """How long it takes until an order is settled, up to the slowest of a thousand."""
    left, right, top, bottom = 60, WIDTH - 96, 56, 300
    curves = [("at 70% of full load", "ours", report["easy"]), ("full load", "theirs", report["full"])]
    longest = max([GOAL_MS] + [ms for _, _, part in curves for _, ms in part["settled_ms"]])
    most, step = scale(longest)
    across = lambda share: left + -math.log10(1 - share) / 3 * (right - left)
    up = lambda ms: bottom - ms / most * (bottom - top)
    svg = Svg(WIDTH, bottom + 54, "Time from accepted to settled by percentile, at full load and at 70% of it.")
    svg.text(0, 18, "From accepted to settled, ms", "strong")
    at = 0.0
    while at <= most:
        svg.line(left, up(at), right, up(at), "grid")
        svg.text(left - 10, up(at) + 4, f"{at:g}", "small dim end")
        at += step
    for share, label in [(0, "fastest"), (0.5, "half"), (0.9, "90%"), (0.99, "99%"), (0.999, "99.9%")]:
        svg.line(across(share), bottom, across(share), bottom + 5, "axis")
        svg.text(across(share), bottom + 21, label, "small dim middle")
    svg.text((left + right) / 2, bottom + 44, "share of the orders that are settled by then", "small dim middle")
    svg.line(left, up(GOAL_MS), right, up(GOAL_MS), "goal")
    svg.text(right - 6, up(GOAL_MS) + 16, f"goal for 99% at 70% of full load: {GOAL_MS} ms", "small dim end")
    ends = []
    for name, kind, part in curves:
        points = [(across(share), up(ms)) for share, ms in part["settled_ms"]]
        svg.curve(points, kind)
        ends.append((points[-1][1], part["settled_ms"][-1][1]))
    for (y, ms), nudge in zip(ends, _apart([y for y, _ in ends])):
        svg.text(right + 8, y + 4 + nudge, f"{ms:.0f} ms", "small")
    for at, (name, kind, _) in enumerate(curves):
        svg.bar(left + 170 * at, 34, 18, 4, kind)
        svg.text(left + 26 + 170 * at, 41, name, "small dim")
    return svg.render()


def rates(report):
    """The rate of each run, in the order in which they ran."""
    rounds = report["rounds"]
    left, right, top, row = 220, WIDTH - 170, 56, 24
    most, step = scale(max(max(r["settled_per_second"], (r["bare"] or {}).get("per_second", 0)) for r in rounds))
    group = row * 2 + 16
    bottom = top + group * len(rounds)
    svg = Svg(WIDTH, bottom + 34, "Settled orders per second and transactions of bare PostgreSQL per second, run by run.")
    svg.text(0, 18, "Transactions and settled orders per second, run by run", "strong")
    place = lambda value: left + value / most * (right - left)
    _ticks_below(svg, most, step, place, top - 8, bottom)
    for at, one in enumerate(rounds):
        y = top + group * at
        if one["bare"]:
            _run(svg, left, y, place, one["bare"], one["bare"]["per_second"], "theirs", "bare PostgreSQL")
        _run(svg, left, y + row, place, one, one["settled_per_second"], "ours", "orders settled")
        if one["ratio"]:
            svg.text(0, y + row + 5, f"ratio {one['ratio']:.2f}", "strong")
    return svg.render()


def _run(svg, left, y, place, part, value, kind, name):
    svg.text(left - 12, y + 16, name, "small dim end")
    svg.bar(left, y + 3, place(value) - left, 17, kind)
    svg.text(place(value) + 8, y + 16, f"{value:,.0f}", "small")
    svg.text(WIDTH, y + 16, f"others {part['foreign_percent']:.0f}% of a core", "small dim end")


def _ticks_below(svg, most, step, place, top, bottom):
    at = 0.0
    while at <= most:
        svg.line(place(at), top, place(at), bottom, "grid")
        svg.text(place(at), bottom + 18, f"{at:,.0f}", "small dim middle")
        at += step


def _apart(places):
    """How far to move two labels so that they don't lie on each other."""
    high, low = places
    gap = 15 - abs(high - low)
    if gap <= 0:
        return 0, 0
    return (gap / 2, -gap / 2) if high >= low else (-gap / 2, gap / 2)
