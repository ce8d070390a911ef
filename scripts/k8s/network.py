"""The network policies, evaluated as Kubernetes does: what is needed passes, what isn't doesn't."""

import ipaddress

from manifests import DATABASES, SERVICES, containers, matches, pod_labels

SERVER_PORTS = {"postgres": 5432, "nats": 4222, "redis": 6379}
OUTSIDE = "10.1.2.3"


class Peer:
    """Somebody at one end of a call: a pod by its labels and its namespace's, or an address."""

    def __init__(self, name, labels=None, namespace=None, address=None, ports=None):
        self.name, self.labels, self.address = name, labels or {}, address
        self.namespace = namespace
        self.ports = ports or {}


class Network:
    def __init__(self, manifests):
        self.policies = manifests.of("NetworkPolicy")
        self.own = {"kubernetes.io/metadata.name": manifests.of("Namespace")[0]["metadata"]["name"]}
        self.pods = {}
        for workload in manifests.workloads():
            labels = pod_labels(workload)
            ports = {one["name"]: one["containerPort"] for c in containers(workload) for one in c.get("ports", [])}
            name = labels.get("app.kubernetes.io/name")
            if labels.get("app.kubernetes.io/component") == "migration":
                name += "-migrate"
            self.pods[name] = Peer(name, labels, self.own, ports=ports)

    def allows(self, source, target, port):
        """Whether both ends let a TCP call pass."""
        return self._passes(source, target, port, "Egress") and self._passes(target, source, port, "Ingress")

    def _passes(self, at, other, port, direction):
        if at.namespace != self.own:
            return True
        at_work = [
            one["spec"] for one in self.policies
            if direction in one["spec"]["policyTypes"] and matches(one["spec"]["podSelector"], at.labels)
        ]
        rules = [rule for spec in at_work for rule in spec.get(direction.lower(), [])]
        key = "to" if direction == "Egress" else "from"
        return not at_work or any(self._rule(rule, key, other, port) for rule in rules)

    def _rule(self, rule, key, other, port):
        numbers = [one["port"] for one in rule.get("ports", []) if one.get("protocol", "TCP") == "TCP"]
        if "ports" in rule and port not in numbers:
            return False
        return key not in rule or any(self._peer(peer, other) for peer in rule[key])

    def _peer(self, peer, other):
        if "ipBlock" in peer:
            block = ipaddress.ip_network(peer["ipBlock"]["cidr"])
            return other.address is not None and ipaddress.ip_address(other.address) in block
        if other.namespace is None:
            return False
        namespaces = peer.get("namespaceSelector")
        in_namespace = other.namespace == self.own if namespaces is None else matches(namespaces, other.namespace)
        return in_namespace and matches(peer.get("podSelector", {}), other.labels)


def needed(network):
    """Calls that the fleet lives on: (source, target, port)."""
    pods = network.pods
    for service in SERVICES:
        yield pods[service], pods["identity"], 8080
        yield pods[service], server(network, "nats"), 4222
    for service in DATABASES:
        yield pods["gateway"], pods[service], 8080
        yield pods[service], server(network, "postgres"), 5432
        yield pods[f"{service}-migrate"], server(network, "postgres"), 5432
    yield pods["orders"], pods["inventory"], 8080
    yield pods["gateway"], server(network, "redis"), 6379
    if "cluster-secrets" in pods:
        yield pods["cluster-secrets"], Peer("the API server", address=OUTSIDE), 6443
    scraper = Peer("a Prometheus elsewhere", namespace={"access.flotilla/scrape": "true"})
    for service in SERVICES:
        yield scraper, pods[service], 9090
    if "prometheus" in pods:
        for service in SERVICES:
            yield pods["prometheus"], pods[service], 9090
            yield pods[service], pods["collector"], 4317
        yield pods["collector"], pods["jaeger"], 4317
        yield pods["grafana"], pods["prometheus"], 9090


def server(network, name):
    """A server: a pod of the fleet, or somewhere outside."""
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/component": "server"}
    if name in network.pods:
        return network.pods[name]
    if any("ipBlock" in str(one["spec"]) and one["metadata"]["name"] == f"external-{name}" for one in network.policies):
        return Peer(name, address=OUTSIDE)
    # An operator's pods, which bear the labels that its cluster hands on.
    return Peer(name, labels, network.own)


def forbidden(network):
    """Calls that nobody needs."""
    pods = network.pods
    stranger = Peer("a stranger", {}, network.own)
    # With the gateway's own labels, but in a namespace of somebody else's.
    elsewhere = Peer("a pod elsewhere", pods["gateway"].labels, {"kubernetes.io/metadata.name": "elsewhere"})
    for service in SERVICES:
        yield stranger, pods[service], 8080
        yield elsewhere, pods[service], 8080
        yield elsewhere, pods[service], 9090
    for name, port in SERVER_PORTS.items():
        yield stranger, server(network, name), port
        yield elsewhere, Peer(name, server(network, name).labels, network.own), port
    yield pods["gateway"], server(network, "postgres"), 5432
    yield pods["orders"], server(network, "redis"), 6379
    yield pods["payments"], pods["orders"], 8080
    yield pods["orders"], Peer("the internet", address="1.1.1.1"), 443
    yield pods["orders-migrate"], server(network, "nats"), 4222


def calls(manifests):
    """What is needed passes, and nothing else that is tried."""
    if not manifests.of("NetworkPolicy"):
        yield "there are no network policies"
        return
    network = Network(manifests)
    for source, target, port in needed(network):
        if not network.allows(source, target, port):
            yield f"{source.name} can't call {target.name}:{port}"
    for source, target, port in forbidden(network):
        if network.allows(source, target, port):
            yield f"{source.name} can call {target.name}:{port}, and shouldn't"
    dns = Peer("dns", {"k8s-app": "kube-dns"}, {"kubernetes.io/metadata.name": "kube-system"})
    for peer in network.pods.values():
        if not network.allows(peer, dns, 53):
            yield f"{peer.name} can't resolve names"


def edge(manifests):
    """The Ingress' controller reaches the gateway's public port, and nothing else."""
    if not manifests.of("Ingress"):
        return
    network = Network(manifests)
    controller = Peer("the Ingress' controller", namespace={"kubernetes.io/metadata.name": "ingress-nginx"})
    if not network.allows(controller, network.pods["gateway"], 8080):
        yield "the Ingress' controller can't call gateway:8080"
    for service, port in [("gateway", 9090), ("orders", 8080)]:
        if network.allows(controller, network.pods[service], port):
            yield f"the Ingress' controller can call {service}:{port}, and shouldn't"


ALL = [calls, edge]
