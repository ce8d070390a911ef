"""The network policies, evaluated as Kubernetes does: what is needed passes, what isn't doesn't."""

import ipaddress

from manifests import DATABASES, SERVICES, containers, matches, pod_labels

SERVER_PORTS = {"postgres": 5432, "nats": 4222, "redis": 6379}
OUTSIDE = "10.1.2.3"
# The API server's, behind the Service `kubernetes`: of providers, of most others, of minikube.
API_PORTS = [443, 6443, 8443]
# Where a cache of names on the node answers: its own address, and those that kube-dns has with kubeadm, k3s and EKS.
CACHES = ["169.254.20.10", "10.96.0.10", "10.43.0.10", "172.20.0.10"]
SOLVER_PORT = 8089


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

    def allows(self, source, target, port, protocol="TCP"):
        """Whether both ends let a call pass."""
        port = (protocol, port)
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
        numbers = [(one.get("protocol", "TCP"), one["port"]) for one in rule.get("ports", [])]
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
    yield pods["inventory"], server(network, "redis"), 6379
    if "cluster-secrets" in pods:
        for port in API_PORTS:
            yield pods["cluster-secrets"], Peer("the API server", address=OUTSIDE), port
    if any(one["metadata"]["name"] == "postgres-operator" for one in network.policies):
        instance = Peer("an instance of PostgreSQL", {"cnpg.io/cluster": "postgres"}, network.own)
        for port in API_PORTS:
            yield instance, Peer("the API server", address=OUTSIDE), port
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
    for port in (53, 443):
        yield pods["orders"], Peer("the internet", address="1.1.1.1"), port
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
    resolvers = [
        Peer(name, {"k8s-app": name}, {"kubernetes.io/metadata.name": "kube-system"})
        for name in ("kube-dns", "node-local-dns")
    ]
    resolvers += [Peer(address, address=address) for address in CACHES]
    for peer in network.pods.values():
        for resolver in resolvers:
            if not all(network.allows(peer, resolver, 53, protocol) for protocol in ("UDP", "TCP")):
                yield f"{peer.name} can't resolve names at {resolver.name}"


def edge(manifests):
    """The Ingress' controller reaches the gateway's public port and cert-manager's solvers, and nothing else."""
    if not manifests.of("Ingress"):
        return
    network = Network(manifests)
    controller = Peer("the Ingress' controller", namespace={"kubernetes.io/metadata.name": "ingress-nginx"})
    if not network.allows(controller, network.pods["gateway"], 8080):
        yield "the Ingress' controller can't call gateway:8080"
    solver = Peer("an HTTP-01 solver", {"acme.cert-manager.io/http01-solver": "true"}, network.own)
    if not network.allows(controller, solver, SOLVER_PORT):
        yield f"the Ingress' controller can't call {solver.name}:{SOLVER_PORT}, so no certificate is issued"
    if network.allows(network.pods["orders"], solver, SOLVER_PORT):
        yield f"orders can call {solver.name}, and shouldn't"
    for service, port in [("gateway", 9090), ("orders", 8080), ("gateway", SOLVER_PORT)]:
        if network.allows(controller, network.pods[service], port):
            yield f"the Ingress' controller can call {service}:{port}, and shouldn't"


ALL = [calls, edge]
