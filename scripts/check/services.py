"""Whether every place that can't read services/services.txt knows each service that it lists, and nobody keeps a copy.

Shell, Python and Rust read the list. That each service has its part in the code is tested in crates/fleet/tests/settings/services.rs;
what its manifests must hold, by scripts/check/k8s. First this adds a service to the list: each place must be named.
"""

import re
import subprocess
import sys
from pathlib import Path

LIST = "services/services.txt"
# What is there of every service, NAME in the place of its name.
OF_ALL = {
    "Cargo.toml": ['flotilla-NAME = { path = "services/NAME" }'],
    "crates/fleet/Cargo.toml": ["flotilla-NAME.workspace = true"],
    "services/NAME/Cargo.toml": ['name = "flotilla-NAME"'],
    "services/NAME/README.md": ["# "],
    "Dockerfile": ["FROM service AS NAME", "/out/flotilla-NAME /service"],
    "compose/compose.yaml": ["  NAME:", "build: {<<: *build, target: NAME}", "  NAME_nats_url: {file: "],
    "compose/local.yaml": ["  NAME: {networks: ["],
    "compose/small.yaml": ["  NAME: *small"],
    "compose/dev.yaml": ["  NAME:", "--package, flotilla-NAME]"],
    "k8s/base/kustomization.yaml": [f"  - NAME/{part}.yaml" for part in ("deployment", "services", "rest")],
    "k8s/components/mutual-tls/certificates.yaml": ["  name: NAME"],
    "k8s/components/mutual-tls/kustomization.yaml": ["{kind: Certificate, name: NAME,"],
    "k8s/components/observability/prometheus.yaml": ["NAME-admin"],
    "observability/prometheus/targets/compose.json": ['"NAME:9090"'],
}
# What is there of those that own a database.
OF_DATABASES = {
    "compose/compose.yaml": ["  NAME-migrate:", "  NAME_owner_url: {file: "],
    "compose/dev.yaml": ["  NAME-migrate:"],
    "k8s/base/kustomization.yaml": ["  - NAME/migrate.yaml"],
    "k8s/components/external-secrets/secrets.yaml": ["  name: NAME-database"],
}
# What is there of those that the gateway calls.
BEHIND_THE_GATEWAY = dict.fromkeys(
    ["compose/compose.yaml", "k8s/base/gateway/deployment.yaml", "k8s/components/mutual-tls/gateway.yaml"],
    ["FLOTILLA__BACKENDS__UPPER"],
)
# These name most of the services, and choose or order them for a reason of their own.
CHOSEN = {"crates/fleet/tests/upgrade/story.rs", "scripts/test/observability/live.py", "services/gateway/tests/it/reloading.rs"}


def services_of(text):
    """Names, and those that own a database."""
    return re.findall(r"^[a-z]+", text, re.MULTILINE), re.findall(r"^([a-z]+) database$", text, re.MULTILINE)


def missing(text):
    """What isn't known where it must be: the place, and what it lacks."""
    names, databases = services_of(text)
    behind = [name for name in names if name != "gateway"]
    for services, wanted in ((names, OF_ALL), (databases, OF_DATABASES), (behind, BEHIND_THE_GATEWAY)):
        for service in services:
            for place, lines in wanted.items():
                path = Path(place.replace("NAME", service))
                content = path.read_text(encoding="utf-8") if path.exists() else ""
                for line in lines:
                    line = line.replace("NAME", service).replace("UPPER", service.upper())
                    # A line of its own ends there; what goes on may.
                    if not re.search(rf"(?<![\w-]){re.escape(line)}" + ("$" if line[-1] == ":" else ""), content, re.MULTILINE):
                        yield path, f"lacks `{line.strip()}`"


def unlisted(text):
    """Folders of services that the list doesn't have, and databases that nobody is said to own."""
    names, databases = services_of(text)
    for manifest in sorted(Path("services").glob("*/Cargo.toml")):
        name = manifest.parent.name
        if name not in names:
            yield LIST, f"lacks the service {name}"
        elif (manifest.parent / "migrations").is_dir() != (name in databases):
            yield LIST, f"{name} {'owns no' if name in databases else 'owns a'} database"


def listing(names):
    """What code looks like that lists the services itself."""
    either = "|".join(names)
    return re.compile(rf"\b(?:{either})\b(?:[\s\"',|]+(?:{either})\b){{4}}")


def copies(text):
    """Code that lists the services itself."""
    listed = listing(services_of(text)[0])
    tracked = subprocess.run(["git", "ls-files", "-z", "crates", "scripts", "services", "Makefile"], check=True, stdout=subprocess.PIPE)
    for path in tracked.stdout.decode().split("\0"):
        if path.endswith((".rs", ".sh", ".py", "Makefile")) and path not in CHOSEN and Path(path).exists():
            if listed.search(Path(path).read_text(encoding="utf-8")):
                yield path, f"lists the services itself: read {LIST}"


def self_test(text):
    """A seventh service is missed in every place, and a copy and a folder that isn't listed are found."""
    told = {str(path) for path, _ in missing(text + "parcels database\n")}
    places = {place.replace("NAME", "parcels") for wanted in (OF_ALL, OF_DATABASES, BEHIND_THE_GATEWAY) for place in wanted}
    faults = [f"doesn't miss a further service in {place}" for place in sorted(places - told)]
    if not list(unlisted(text.replace("orders database\n", ""))) or not list(unlisted(text.replace("orders database", "orders"))):
        faults.append("doesn't find a service that isn't listed as it is")
    names = services_of(text)[0]
    for copy in (" ".join(names), '", "'.join(names[1:]), "|".join(reversed(names))):
        if not listing(names).search(copy):
            faults.append(f"doesn't find the copy {copy}")
    return faults


def main():
    text = Path(LIST).read_text(encoding="utf-8")
    faults = [f"the self-test {fault}" for fault in self_test(text)]
    faults += [f"{path}: {what}" for check in (missing, unlisted, copies) for path, what in check(text)]
    for fault in faults:
        print(f"services: {fault}", file=sys.stderr)
    if faults:
        raise SystemExit(1)
    print(f"services: {len(services_of(text)[0])} services are known wherever they must be")


main()
