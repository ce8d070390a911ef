"""Checks what can be checked without a fleet, against a Prometheus that has the rules loaded: check.py URL

Every panel, query and rule parses and names only metrics that the services register; every alert has its labels, its
runbook, its dashboard, and a test by which it fires and one by which it is silent.
"""

import json
import pathlib
import re
import sys

from panels import DASHBOARDS
from prometheus import Prometheus, until
from promql import known, metrics

METRICS = pathlib.Path("observability/metrics.json")
TESTS = pathlib.Path("observability/prometheus/tests")
DASHBOARD_FILES = pathlib.Path("observability/grafana/dashboards")


def questions(path="docs/queries.md"):
    """The questions of the page: number, title, query, and whether no answer is a good one."""
    text = pathlib.Path(path).read_text(encoding="utf-8")
    parts = re.findall(r"^## (\d+)\. (.+?)\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    return [(int(number), title, re.search(r"```promql\n(.*?)```", body, re.S)[1], "*Usually empty.*" in body) for number, title, body in parts]


def filled(expression):
    """A panel's query with Grafana's variables filled in."""
    return expression.replace("$__rate_interval", "1m").replace("$job", ".*")


def panel_queries():
    """Every query of the dashboards that are committed."""
    for path in sorted(DASHBOARD_FILES.glob("*.json")):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", []):
                yield f"{path.name}: {panel['title']}", filled(target["expr"])


def alert_faults(alert):
    """What an alert lacks."""
    name = alert["name"]
    if alert["labels"].get("severity") not in ("page", "ticket", "info"):
        yield "has no severity"
    for annotation in ("summary", "description", "runbook_url", "dashboard"):
        if not alert["annotations"].get(annotation):
            yield f"has no {annotation}"
    page = re.sub(r"(?<!^)([A-Z])", r"-\1", name).lower()
    runbook = alert["annotations"].get("runbook_url")
    if runbook != f"docs/runbooks/{page}.md" or not pathlib.Path(runbook).is_file():
        yield f"names {runbook}, not the page docs/runbooks/{page}.md, or the page isn't there"
    if alert["annotations"].get("dashboard", "").removeprefix("/d/flotilla-") not in DASHBOARDS:
        yield "names no dashboard of ours"


def untested(names):
    """Alerts without a test by which they fire, or without one by which they are silent."""
    fires, silent = set(), set()
    for path in TESTS.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        for name, rest in re.findall(r"alertname: (\w+)(?:, |\s+)exp_alerts:(.{0,12})", text, re.S):
            (silent if rest.lstrip().startswith("[]") else fires).add(name)
    yield from (f"{name}: no test by which it fires" for name in sorted(names - fires))
    yield from (f"{name}: no test by which it is silent" for name in sorted(names - silent))


def main():
    """All checks; each fault is a line."""
    server = Prometheus(sys.argv[1])
    rules = until(20, "Prometheus loads the rules", server.rules)
    listed = known(json.loads(METRICS.read_text(encoding="utf-8")))
    recorded = {rule["name"] for rule in rules if rule["type"] == "recording"}
    alerts = [rule for rule in rules if rule["type"] == "alerting"]
    expressions = [(f"rule {rule['name']}", rule["query"]) for rule in rules]
    expressions += panel_queries()
    asked = questions()
    expressions += [(f"docs/queries.md {number}", query) for number, _, query, _ in asked]
    faults = [] if [number for number, *_ in asked] == list(range(1, 21)) else ["docs/queries.md: not the questions 1 to 20"]
    for where, expression in expressions:
        try:
            server.query(expression)
        except ValueError as error:
            faults.append(f"{where}: {error}")
        faults += [f"{where}: no metric is called {name}" for name in sorted(metrics(expression) - listed - recorded)]
    faults += [f"alert {alert['name']} {fault}" for alert in alerts for fault in alert_faults(alert)]
    faults += untested({alert["name"] for alert in alerts})
    if faults:
        sys.exit("\n".join(["observability:", *faults]))
    print(f"observability: {len(expressions)} expressions, {len(alerts)} alerts, {len(recorded)} recorded series, {len(DASHBOARDS)} dashboards")


if __name__ == "__main__":
    main()
