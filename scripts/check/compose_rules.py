"""What must hold of every container of the fleet, whatever is edited: read from `docker compose config --format json`."""

import json
import re
import sys
from pathlib import Path

document = json.load(sys.stdin)
services = document["services"]
wrong = []

# The profile `observability`: on a network of its own, publishes to loopback.
OBSERVERS = {"collector", "jaeger", "zipkin", "prometheus", "alertmanager", "loki", "grafana"}
# No check of health, and why.
UNASKED = {"collector": "its image holds one program, which has no command to ask itself"}
# The image says it: /service healthcheck.
OWN_IMAGES = set(re.findall(r"^[a-z]+", Path("services/services.txt").read_text(encoding="utf-8"), re.MULTILINE))


def must(holds, text):
    if not holds:
        wrong.append(text)


def asked(name):
    """Whether somebody asks the container for its health."""
    check = services[name].get("healthcheck", {})
    if check.get("disable") or check.get("test", [])[:1] == ["NONE"]:
        return False
    return name in OWN_IMAGES or bool(check.get("test"))


for name, service in services.items():
    once = name.endswith("-migrate")
    observer = name in OBSERVERS
    must(service.get("read_only") is True, f"{name}: its root can be written")
    must(service.get("cap_drop") == ["ALL"], f"{name}: keeps capabilities")
    must("no-new-privileges:true" in service.get("security_opt", []), f"{name}: may gain privileges")
    for limit in ("mem_limit", "cpus", "pids_limit"):
        must(service.get(limit), f"{name}: has no {limit}")
    must(service.get("restart") == ("no" if once else "unless-stopped"), f"{name}: wrong restart rule")
    must(service.get("logging", {}).get("options", {}).get("max-size"), f"{name}: its log grows without end")
    must(":" in service["image"].rsplit("/", 1)[-1], f"{name}: its image has no tag")
    must(
        not service["image"].startswith("flotilla/") or service.get("pull_policy") == "never",
        f"{name}: its image could come from a public registry's namespace, whoever owns that",
    )
    must(once or asked(name) or name in UNASKED, f"{name}: nobody asks for its health")
    must("edge" not in service["networks"] or name == "gateway", f"{name}: is on the edge")
    if observer:
        for port in service.get("ports", []):
            must(port.get("host_ip") == "127.0.0.1", f"{name}: publishes a port beyond loopback")
        must(not service.get("secrets"), f"{name}: watches with secrets")
    else:
        must(not service.get("ports"), f"{name}: publishes a port; that is local.yaml's to do")
        must("inside" in service["networks"], f"{name}: is not on the inside")
        must(name in ("postgres", "nats", "redis") or service.get("depends_on"), f"{name}: waits for nobody")
    for other, how in service.get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other.endswith("-migrate") else "service_healthy"
        must(how["condition"] == wanted, f"{name}: waits for {other} only until it is started")
    privileged = {one["target"] for one in service.get("secrets", [])} & {"postgres.owner_url", "postgres.superuser_url"}
    must(once or not privileged, f"{name}: serves with {', '.join(sorted(privileged))}")
    for variable, value in (service.get("environment") or {}).items():
        must("password" not in variable.lower() and "_url_" not in variable.lower(), f"{name}: {variable} belongs into a secret")
        must("://" not in str(value) or "@" not in str(value), f"{name}: {variable} carries credentials")

must(document["networks"]["inside"].get("internal") is True, "inside: a way leads out")
must(set(services) >= OWN_IMAGES, "a service is missing")
for line in wrong:
    print(f"compose: {line}", file=sys.stderr)
if wrong:
    sys.exit(1)
print(f"compose: {len(services)} containers keep the rules")
