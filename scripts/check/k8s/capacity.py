"""Whether the servers hold what the services ask of them: connections of PostgreSQL, copies of NATS' streams."""

import math
import re

from manifests import DATABASES, ROOT, name_of, pod
from pods import environment

# Of each pod: as <service>_system and as <service>_user (crates/postgres).
POOLS = 2
# A pool has four connections for each processor at most (crates/cgroup).
PER_CORE = 4
# For pods that still drain, migrations, those who wait for them, people, and what PostgreSQL keeps for itself.
OTHERS = 80


def cores(text):
    return int(text[:-1]) / 1000 if text.endswith("m") else float(text)


def pods_at_most(manifests, deployment):
    """Pods of a Deployment during a rollout, when there are as many as there may be."""
    scaler = manifests.find("HorizontalPodAutoscaler", deployment["metadata"]["name"])
    most = scaler["spec"]["maxReplicas"] if scaler else deployment["spec"].get("replicas", 1)
    return most + deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"]


def connections_at_most(manifests):
    """Connections that all pods of all services may have to PostgreSQL."""
    total = 0
    for service in DATABASES:
        deployment = manifests.find("Deployment", service)
        container = pod(deployment)["containers"][0]
        size = int(environment(manifests, container)["FLOTILLA__POSTGRES__POOL_SIZE"])
        fits = max(2, math.ceil(cores(container["resources"]["limits"]["cpu"]) * PER_CORE))
        total += pods_at_most(manifests, deployment) * POOLS * min(size, fits)
    return total


def connections_allowed(manifests):
    """max_connections of a PostgreSQL that the overlay brings, or None."""
    for cluster in manifests.of("Cluster"):
        return int(cluster["spec"]["postgresql"]["parameters"]["max_connections"])
    if manifests.find("StatefulSet", "postgres"):
        program = next(one for one in manifests.of("ConfigMap") if one["metadata"]["name"].startswith("postgres-"))
        return int(re.search(r"max_connections=(\d+)", program["data"]["postgres.sh"])[1])
    return None


def connections(manifests):
    """PostgreSQL takes the connections of all pods; where somebody else runs it, the documentation says how many."""
    most = connections_at_most(manifests)
    allowed = connections_allowed(manifests)
    if allowed is not None and allowed < most + OTHERS:
        yield f"PostgreSQL allows {allowed} connections, but the services may have {most}, and others {OTHERS}"
    overlay = manifests.of("Namespace")[0]["metadata"]["name"].removeprefix("flotilla-").replace("flotilla", "dev")
    table = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| {overlay} \|.*\| (\d+) \|$", table, re.MULTILINE)
    if not row or int(row[1]) != most:
        yield f"docs/kubernetes.md: {overlay} may have {most} connections to PostgreSQL, the page says otherwise"


def copies(manifests):
    """Streams have as many copies as there are servers, production's more than one, and no two on one node."""
    container = pod(manifests.find("Deployment", "orders"))["containers"][0]
    settings = environment(manifests, container)
    wanted = int(settings["FLOTILLA__NATS__STREAM_REPLICAS"])
    if settings["FLOTILLA_ENVIRONMENT"] == "production" and wanted < 3:
        yield f"a stream has {wanted} copies in production: a server that goes takes it along"
    nats = manifests.find("StatefulSet", "nats")
    if nats and nats["spec"]["replicas"] != wanted:
        yield f"{name_of(nats)}: {nats['spec']['replicas']} servers for {wanted} copies of a stream"
    if nats and nats["spec"]["replicas"] > 1:
        by_node = [
            one.get("minDomains") for one in pod(nats).get("topologySpreadConstraints", [])
            if one["topologyKey"] == "kubernetes.io/hostname" and one["whenUnsatisfiable"] == "DoNotSchedule"
        ]
        if by_node != [nats["spec"]["replicas"]]:
            yield f"{name_of(nats)}: two servers may come to one node"


ALL = [connections, copies]
