"""Writes Grafana's dashboards from panels.py; with --check it only says whether those that are committed are the same."""

import json
import pathlib
import sys

from panels import DASHBOARDS

FOLDER = pathlib.Path("observability/grafana/dashboards")
SOURCE = {"type": "prometheus", "uid": "prometheus"}
# Grid units: Grafana's grid is 24 wide.
SIZES = {"timeseries": (12, 8), "stat": (6, 4), "table": (12, 7)}


def target(index, query, legend, panel):
    """One query of a panel."""
    instant = panel["kind"] in ("table", "stat")
    made = {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": legend or "__auto"}
    if instant:
        made |= {"instant": True, "format": "table" if panel["kind"] == "table" else "time_series"}
    if panel["exemplars"]:
        made["exemplar"] = True
    return made


def thresholds(steps):
    """Green, then orange and red from the given values."""
    colours = [{"color": "green", "value": None}]
    if steps:
        colours += [{"color": colour, "value": value} for colour, value in zip(("orange", "red"), steps)]
    return {"mode": "absolute", "steps": colours}


def rendered(number, panel, place):
    """A panel as Grafana reads it."""
    width, height = SIZES[panel["kind"]]
    return {
        "id": number,
        "type": panel["kind"],
        "title": panel["title"],
        "description": panel["text"],
        "datasource": SOURCE,
        "gridPos": {"x": place[0], "y": place[1], "w": width, "h": height},
        "fieldConfig": {"defaults": {"unit": panel["unit"], "thresholds": thresholds(panel["steps"])}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}} if panel["kind"] == "timeseries" else {},
        "targets": [target(index, *query, panel) for index, query in enumerate(panel["queries"])],
    }


def laid_out(rows):
    """All rows and panels, from left to right and from top to bottom."""
    panels, number, x, y, line = [], 0, 0, 0, 0
    for title, row in rows:
        y, x, line = y + line, 0, 0
        number += 1
        panels.append({"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}, "panels": []})
        y += 1
        for panel in row:
            width, height = SIZES[panel["kind"]]
            if x + width > 24 or (line and height != line):
                y, x, line = y + line, 0, 0
            number += 1
            panels.append(rendered(number, panel, (x, y)))
            x, line = x + width, height
    return panels


def dashboard(name, title, rows):
    """A whole dashboard."""
    jobs = {
        "name": "job", "label": "Service", "type": "query", "datasource": SOURCE, "query": "label_values(flotilla_build_info, job)",
        "includeAll": True, "multi": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}, "refresh": 2,
    }
    text = json.dumps(rows)
    links = [{"title": "Flotilla", "type": "dashboards", "tags": ["flotilla"], "asDropdown": True, "keepTime": True}]
    alerts = {"builtIn": 0, "datasource": SOURCE, "enable": True, "name": "Alerts", "iconColor": "red",
              "expr": 'ALERTS{alertstate="firing",severity="page"}', "titleFormat": "{{alertname}}", "textFormat": "{{job}}"}
    return {
        "uid": f"flotilla-{name}", "title": f"Flotilla: {title}", "tags": ["flotilla"], "schemaVersion": 39, "version": 1,
        "editable": False, "refresh": "10s", "time": {"from": "now-30m", "to": "now"}, "links": links,
        "annotations": {"list": [alerts]}, "templating": {"list": [jobs] if "$job" in text else []}, "panels": laid_out(rows),
    }


def main():
    """Writes, or compares."""
    check = "--check" in sys.argv[1:]
    made = {f"{name}.json": json.dumps(dashboard(name, *rest), indent=1, ensure_ascii=False) + "\n" for name, rest in DASHBOARDS.items()}
    there = {path.name for path in FOLDER.glob("*.json")}
    wrong = sorted(there - made.keys())
    for name, text in made.items():
        path = FOLDER / name
        if check and (not path.exists() or path.read_text(encoding="utf-8") != text):
            wrong.append(name)
        elif not check:
            FOLDER.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if wrong:
        sys.exit(f"dashboards: {', '.join(wrong)} differ from scripts/test/observability/panels.py: run make dashboards")


main()
