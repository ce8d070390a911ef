"""The services' manifests are written out one by one; what isn't specific to one service must be the same in all."""

import re

from manifests import SERVICES, name_of

# The service without anything specific: the others are compared with it.
PLAIN = "payments"
KINDS = ["Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "HorizontalPodAutoscaler", "Job"]
# What is specific to a service: the service, and the paths.
OWN = [(service, re.compile(where)) for service, where in [
    # It has Redis but no database and no outbox, and customers call it.
    ("gateway", r"Deployment .*\.initContainers\."),
    ("gateway", r"Deployment .*\.access\.flotilla/(postgres|redis)$"),
    ("gateway", r"Deployment .*\.env\.FLOTILLA__(BACKENDS|CACHE|EDGE|GRPC__RATE_LIMIT)__[A-Z_]+\."),
    ("gateway", r"Deployment .*\.envFrom\.broker\."),
    ("gateway", r"Deployment .*\.volumes\.secrets\."),
    ("gateway", r"Service SERVICE\.spec\.(clusterIP$|ports\.)"),
    ("gateway", r"Job "),
    ("identity", r"Deployment .*\.volumes\.secrets\..*\.sources\.identity-admin\."),
    # It invalidates products in the gateway's cache.
    ("inventory", r"Deployment .*\.access\.flotilla/redis$"),
    ("inventory", r"Deployment .*\.volumes\.secrets\..*\.sources\.gateway-cache\."),
    ("orders", r"Deployment .*\.env\.FLOTILLA__CATALOGUE__INVENTORY_URL\."),
    # For mutual-tls: which services are called, and which call.
    ("gateway", r"Deployment .*\.env\.FLOTILLA__GRPC__TLS__[A-Z]+\."),
    ("identity", r"Deployment .*\.env\.FLOTILLA__CLIENT__TLS__[A-Z]+\."),
]]


def key_of(item, index):
    """The identity of a list item, so that an insignificant order makes no difference."""
    if not isinstance(item, dict):
        return str(index)
    if "configMapRef" in item:
        # Without the digest at the end of a generated name.
        return item["configMapRef"]["name"].rpartition("-")[0]
    # For a secret in a volume, the path: one key may have two.
    names = [item.get(key) for key in ("name", "topologyKey", "path", "key")] + [item.get("secret", {}).get("name")]
    return str(next(filter(None, names), index))


def leaves(value, path):
    """Each scalar value, by its path."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}.{key_of(inner, index)}")
    else:
        yield path, value


def facts(manifests, service):
    """Everything in the manifests about a service, with SERVICE in place of its name."""
    found = {}
    for one in manifests.of(*KINDS):
        if one["metadata"].get("labels", {}).get("app.kubernetes.io/name") != service:
            continue
        for path, value in leaves(one, name_of(one)):
            value = re.sub(rf"\b{service}\b", "SERVICE", value) if isinstance(value, str) else value
            # In a path too, but not in what is specific to one service, such as the secret identity-admin.
            path = re.sub(rf"(?<=^{one['kind']} ){service}\b|\b{service}(?=-database\.)", "SERVICE", path)
            found[path] = value
    return found


def alike(manifests):
    """A service differs from the plainest one only in what is specific to it."""
    plain = facts(manifests, PLAIN)
    for service in SERVICES:
        own = facts(manifests, service)
        for path in sorted(plain.keys() | own.keys()):
            if plain.get(path) == own.get(path) and (path in plain) == (path in own):
                continue
            if not any(name == service and where.match(path) for name, where in OWN):
                yield f"{service}: {path} is {own.get(path, 'absent')}, but {plain.get(path, 'absent')} for {PLAIN}"


ALL = [alike]
