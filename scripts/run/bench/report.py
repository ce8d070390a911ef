#!/usr/bin/env python3
"""Makes docs/bench and the README's figures from what `fleet load --json` has measured.

    report.py FIGURES           takes new figures
    report.py --growth FIGURES  takes those of `make bench-growth`
    report.py --check           says whether pages, plots and README are those of docs/bench/report.json
"""

import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import page  # noqa: E402
import plots  # noqa: E402

ROOT = pathlib.Path(__file__).parents[3]
FOLDER = ROOT / "docs/bench"
README = ROOT / "README.md"


def machine():
    """What the figures were measured on."""
    cpus = [line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "cores": os.cpu_count(),
        "cpu": cpus[0] if cpus else platform.processor() or platform.machine(),
        "memory_gib": round(memory[0] / 1024**2) if memory else "unknown",
        "kernel": f"{platform.system()} {platform.release()}",
    }


def _lines(path):
    try:
        return pathlib.Path(path).read_text().splitlines()
    except OSError:
        return []


def commit():
    """The commit, and whether anything but the figures differs from it."""
    name = _said("git", "rev-parse", "--short=10", "HEAD")
    changed = _said("git", "status", "--porcelain", "--", ".", ":!docs/bench", ":!README.md")
    return name + (" with changes" if changed else "")


def _said(*command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def files(report):
    """Every file that is made from the figures."""
    growth = FOLDER / "growth.json"
    before, _, rest = README.read_text().partition(page.BEGIN)
    _, end, after = rest.partition(page.END)
    if not end:
        sys.exit(f"bench: README.md lacks the line {page.BEGIN} or {page.END}")
    return {
        FOLDER / "README.md": page.page(report, json.loads(growth.read_text()) if growth.exists() else None),
        FOLDER / "cpu.svg": plots.cpu(report),
        FOLDER / "latency.svg": plots.latency(report),
        FOLDER / "rates.svg": plots.rates(report),
        README: before + page.block(report) + after,
    }


def now():
    """When and of what the figures are."""
    return {"date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(), "commit": commit()}


def main(argument, more=None):
    stored = FOLDER / "report.json"
    if argument == "--growth":
        grown = now() | json.loads(pathlib.Path(more).read_text())
        (FOLDER / "growth.json").write_text(json.dumps(grown, indent=2) + "\n")
        argument = stored
    if argument == "--check":
        report = json.loads(stored.read_text())
        if report["build"] != "release":
            sys.exit(f"bench: docs/bench/report.json has figures of a {report['build']} build; run make bench")
        made = files(report)
        stale = [str(path.relative_to(ROOT)) for path, text in made.items() if not path.exists() or path.read_text() != text]
        if stale:
            sys.exit(f"bench: not made from docs/bench/report.json: {', '.join(stale)}; run {sys.argv[0]} docs/bench/report.json")
        print("bench: the README's figures, the page and the plots are those of docs/bench/report.json")
        return
    report = json.loads(pathlib.Path(argument).read_text())
    if report["build"] != "release":
        print(f"bench: figures of a {report['build']} build aren't published: docs/bench stays as it was; they are in {argument}")
        return
    if "machine" not in report:
        stamp = now()
        versions = {key: report.pop(key) for key in ("postgresql", "nats")}
        versions |= {"rustc": " ".join(_said("rustc", "--version").split()[:2]), "commit": stamp["commit"]}
        report = {"date": stamp["date"], "machine": machine(), "versions": versions} | report
    FOLDER.mkdir(exist_ok=True)
    stored.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    for path, text in files(report).items():
        path.write_text(text)
    print("bench: docs/bench/README.md has the figures and plots, README.md the figures")


if __name__ == "__main__":
    if len(sys.argv) != (3 if "--growth" in sys.argv else 2):
        sys.exit(__doc__)
    main(*sys.argv[1:])
