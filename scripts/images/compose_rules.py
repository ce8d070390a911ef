"""What must hold of every container of the fleet, whatever is edited: read from `docker compose config --format json`."""

import json
import sys

document = json.load(sys.stdin)
services = document["services"]
wrong = []


def must(holds, text):
    if not holds:
        wrong.append(text)


for name, service in services.items():
    once = name.endswith("-migrate")
    must(service.get("read_only") is True, f"{name}: its root can be written")
    must(service.get("cap_drop") == ["ALL"], f"{name}: keeps capabilities")
    must("no-new-privileges:true" in service.get("security_opt", []), f"{name}: may gain privileges")
    for limit in ("mem_limit", "cpus", "pids_limit"):
        must(service.get(limit), f"{name}: has no {limit}")
    must(service.get("restart") == ("no" if once else "unless-stopped"), f"{name}: wrong restart rule")
    must(service.get("logging", {}).get("options", {}).get("max-size"), f"{name}: its log grows without end")
    must(not service.get("ports"), f"{name}: publishes a port; that is local.yaml's to do")
    must(":" in service["image"].rsplit("/", 1)[-1], f"{name}: its image has no tag")
    must("edge" not in service["networks"] or name == "gateway", f"{name}: is on the edge")
    must("inside" in service["networks"], f"{name}: is not on the inside")
    if name not in ("postgres", "nats", "redis"):
        must(service.get("depends_on"), f"{name}: waits for nobody")
    for other, how in service.get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other.endswith("-migrate") else "service_healthy"
        must(how["condition"] == wanted, f"{name}: waits for {other} only until it is started")
    for variable, value in (service.get("environment") or {}).items():
        must("password" not in variable.lower() and "_url_" not in variable.lower(), f"{name}: {variable} belongs into a secret")
        must("://" not in str(value) or "@" not in str(value), f"{name}: {variable} carries credentials")

must(document["networks"]["inside"].get("internal") is True, "inside: a way leads out")
must(set(services) >= {"gateway", "identity", "inventory", "orders", "payments", "notification"}, "a service is missing")
for line in wrong:
    print(f"compose: {line}", file=sys.stderr)
if wrong:
    sys.exit(1)
print(f"compose: {len(services)} containers keep the rules")
