"""The services' manifests are written out one by one; what isn't of one service alone must be the same in all of them."""

import re

from manifests import SERVICES, name_of

# The service that has nothing of its own: the others are compared with it.
PLAIN = "inventory"
KINDS = ["Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "HorizontalPodAutoscaler", "Job"]
# What each has of its own: a service, and where.
OWN = [(service, re.compile(where)) for service, where in [
    # It has no database and no outbox, but Redis; and it is what customers call.
    ("gateway", r"Deployment .*\.initContainers\."),
    ("gateway", r"Deployment .*\.access\.flotilla/(postgres|redis)$"),
    ("gateway", r"Deployment .*\.env\.FLOTILLA__(BACKENDS|CACHE|EDGE|GRPC__RATE_LIMIT)__[A-Z_]+\."),
    ("gateway", r"Deployment .*\.envFrom\.broker\."),
    ("gateway", r"Deployment .*\.volumes\.secrets\."),
    ("gateway", r"Service SERVICE\.spec\.(clusterIP$|ports\.)"),
    ("gateway", r"Job "),
    ("identity", r"Deployment .*\.volumes\.secrets\..*\.sources\.identity-admin\."),
    ("orders", r"Deployment .*\.env\.FLOTILLA__CATALOGUE__INVENTORY_URL\."),
    # Of mutual-tls: who is called, and who calls.
    ("gateway", r"Deployment .*\.env\.FLOTILLA__GRPC__TLS__[A-Z]+\."),
    ("identity", r"Deployment .*\.env\.FLOTILLA__CLIENT__TLS__[A-Z]+\."),
]]


def key_of(item, index):
    """What an item of a list is known by, so that an order that means nothing makes no difference."""
    if not isinstance(item, dict):
        return str(index)
    if "configMapRef" in item:
        # Without the digest at the end of a generated name.
        return item["configMapRef"]["name"].rpartition("-")[0]
    # Of what a volume has of a secret, the path: one key may come to two.
    names = [item.get(key) for key in ("name", "topologyKey", "path", "key")] + [item.get("secret", {}).get("name")]
    return str(next(filter(None, names), index))


def leaves(value, path):
    """Each value that isn't made of others, by its path."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}.{key_of(inner, index)}")
    else:
        yield path, value


def facts(manifests, service):
    """All that the manifests say of a service, with SERVICE in the place of its name."""
    found = {}
    for one in manifests.of(*KINDS):
        if one["metadata"].get("labels", {}).get("app.kubernetes.io/name") != service:
            continue
        for path, value in leaves(one, name_of(one)):
            value = re.sub(rf"\b{service}\b", "SERVICE", value) if isinstance(value, str) else value
            # In a path too, but not in what is of one service alone, such as the secret identity-admin.
            path = re.sub(rf"(?<=^{one['kind']} ){service}\b|\b{service}(?=-database\.)", "SERVICE", path)
            found[path] = value
    return found


def alike(manifests):
    """A service differs from the plainest one only where it has something of its own."""
    plain = facts(manifests, PLAIN)
    for service in SERVICES:
        own = facts(manifests, service)
        for path in sorted(plain.keys() | own.keys()):
            if plain.get(path) == own.get(path) and (path in plain) == (path in own):
                continue
            if not any(name == service and where.match(path) for name, where in OWN):
                yield f"{service}: {path} is {own.get(path, 'absent')}, but {plain.get(path, 'absent')} for {PLAIN}"


ALL = [alike]
