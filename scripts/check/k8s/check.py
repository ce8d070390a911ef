"""Checks rendered manifests: schemas of two Kubernetes versions, checkov's policies, and our own assertions.

    python check.py FOLDER
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import kubernetes_validate

import alike
import capacity
import network
import pods
import references
import servers
from manifests import ROOT, Manifests, name_of

# The newest, and the oldest that is still looked after.
VERSIONS = ["1.37.0", "1.35.0"]
# Of operators: opt-in, and not Kubernetes' own.
CUSTOM = {"ServiceMonitor", "ExternalSecret", "Cluster", "Certificate", "Issuer"}
POLICIES_S = 180


def schemas(manifests):
    for one in manifests.objects:
        if one["kind"] in CUSTOM:
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(one, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                where = ".".join(str(step) for step in error.path)
                yield f"{name_of(one)}: Kubernetes {version}: {where}: {error.message[:200]}"
            except kubernetes_validate.SchemaNotFoundError as error:
                yield f"{name_of(one)}: {error.message}"


def exceptions():
    text = (ROOT / "scripts/check/k8s/policy-exceptions.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["exception"]


def policies(files):
    """What checkov finds, but for the exceptions that are written down; an exception that isn't needed is told too."""
    # Nothing is looked up: without a key checkov only reads.
    quiet = os.environ | {"BC_SKIP_MAPPING": "TRUE", "LOG_LEVEL": "ERROR"}
    command = [sys.executable, "-m", "checkov.main", "--framework", "kubernetes", "--skip-download", "--quiet"]
    command += ["--output", "json"] + [argument for file in files for argument in ("--file", str(file))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=POLICIES_S, check=False, env=quiet)
    try:
        reports = json.loads(done.stdout)
    except json.JSONDecodeError:
        yield f"checkov can't be understood: {done.stderr.strip()[-500:]}"
        return
    reports = reports if isinstance(reports, list) else [reports]
    passed = sum(report["summary"]["passed"] for report in reports)
    if passed == 0:
        yield "checkov looked at nothing"
    allowed = exceptions()
    used = set()
    for found in (found for report in reports for found in report["results"]["failed_checks"]):
        for index, one in enumerate(allowed):
            if one["check"] == found["check_id"] and re.search(one["resource"], found["resource"]):
                used.add(index)
                break
        else:
            yield f"{found['resource']}: {found['check_id']}: {found['check_name']}"
    for index, one in enumerate(allowed):
        if index not in used:
            yield f"policy-exceptions.toml: the exception from {one['check']} for {one['resource']} isn't needed"
    print(f"policies: {passed} passed, {len(allowed)} exceptions")


def main():
    files = sorted(Path(sys.argv[1]).joinpath("rendered").glob("*.yaml"))
    problems = []
    for file in files:
        manifests = Manifests.read(file)
        found = [*schemas(manifests)]
        for assertion in alike.ALL + pods.ALL + references.ALL + network.ALL + capacity.ALL + servers.ALL:
            found += [f"{problem} [{assertion.__name__}]" for problem in assertion(manifests)]
        print(f"{file.stem}: {len(manifests.objects)} objects")
        problems += [f"{file.stem}: {problem}" for problem in found]
    problems += policies(files)
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
