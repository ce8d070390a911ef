"""NATS and Redis require a password, and no manifest contains an address with one."""

import re

from manifests import containers, is_service, name_of
from pods import environment


def files(manifests, name):
    """The contents of the generated ConfigMap of a server."""
    found = [one for one in manifests.of("ConfigMap") if re.fullmatch(rf"{name}-[a-z0-9]{{10}}", one["metadata"]["name"])]
    return found[0]["data"] if found else {}


def credentials(manifests):
    """The overlay's own servers read their users from a secret; services read their addresses from one."""
    nats, redis = manifests.find("StatefulSet", "nats"), manifests.find("StatefulSet", "redis")
    if nats:
        text = files(manifests, "nats")["nats.conf"]
        if not re.search(r"^include users.conf$", text, re.MULTILINE):
            yield "nats: its file has no users"
        if nats["spec"]["replicas"] > 1 and not re.search(r"^ *include routes.conf$", text, re.MULTILINE):
            yield "nats: its servers know each other by no password"
        if not re.search(r'^http: "127\.0\.0\.1:', text, re.MULTILINE) or "http_port" in text:
            yield "nats: its monitoring is open beyond the pod"
    if redis and not re.search(r"^include /run/secrets/", files(manifests, "redis")["valkey.conf"], re.MULTILINE):
        yield "redis: its file has no password"
    for workload in filter(is_service, manifests.workloads()):
        for container in containers(workload):
            for name, value in environment(manifests, container).items():
                if re.match(r"(nats|tls|rediss?|postgres)://", value or ""):
                    yield f"{name_of(workload)}: has an address of a server in the open: {name}"


ALL = [credentials]
