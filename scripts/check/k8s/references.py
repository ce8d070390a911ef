"""What one object says of another must be true of it: names, selectors, images, versions."""

import ipaddress
import re

from manifests import (
    DATABASES, ROOT, SERVICES, containers, is_service, labels_of, matches, name_of, pod, pod_labels, service_of,
)
from pods import environment

# Made by `fleet cluster-secrets`, by External Secrets, or by hand (docs/kubernetes.md).
GENERATED = {f"{name}-database": {"owner-url", "system-url", "user-url"} for name in DATABASES}
GENERATED |= {"identity-admin": {"email", "password"}}
GENERATED |= {"broker": {f"{name}-url" for name in SERVICES}, "gateway-cache": {"redis-url"}}
# Keys of the same secrets that the overlay's own servers get.
SERVERS = {"nats": ("broker", {"users.conf", "routes.conf"}), "redis": ("gateway-cache", {"valkey.conf"})}
SUPERUSER = {"postgres-superuser": {"username", "password", "url"}}
# What a release may be called too (scripts/release/release.sh): names of Jobs are made of its parts.
TAG = re.compile(r"\d+\.\d+\.\d+(-[a-z0-9-]+)?")
STREAM_S = 3600


def config_maps(manifests):
    """Every ConfigMap that a pod wants is there."""
    for workload in manifests.workloads():
        volumes = pod(workload).get("volumes", [])
        volumes = volumes + [source for one in volumes for source in one.get("projected", {}).get("sources", [])]
        wanted = {one["configMap"]["name"] for one in volumes if "configMap" in one}
        for container in containers(workload):
            wanted |= {one["configMapRef"]["name"] for one in container.get("envFrom", []) if "configMapRef" in one}
            for one in container.get("env", []):
                reference = one.get("valueFrom", {}).get("configMapKeyRef")
                wanted |= {reference["name"]} if reference else set()
        for name in sorted(wanted):
            if manifests.find("ConfigMap", name) is None:
                yield f"{name_of(workload)}: there is no ConfigMap {name}"


def wanted_secrets(workload):
    for volume in pod(workload).get("volumes", []):
        sources = [one["secret"] for one in volume.get("projected", {}).get("sources", []) if "secret" in one]
        sources += [volume["secret"]] if "secret" in volume else []
        for source in sources:
            if not source.get("optional"):
                yield source.get("name") or source.get("secretName"), {item["key"] for item in source.get("items", [])}


def secrets(manifests):
    """Every secret that a pod wants comes from somewhere, and none is written down."""
    known = dict(GENERATED)
    if manifests.of("Cluster") or manifests.find("StatefulSet", "postgres"):
        known |= SUPERUSER
    for server, (secret, keys) in SERVERS.items():
        if manifests.find("StatefulSet", server):
            known[secret] = known[secret] | keys
    known |= {one["spec"]["secretName"]: {"tls.crt", "tls.key", "ca.crt"} for one in manifests.of("Certificate")}
    for one in manifests.of("Secret"):
        yield f"{name_of(one)}: a secret doesn't belong into git"
    for workload in manifests.workloads():
        for name, keys in wanted_secrets(workload):
            if name not in known or not keys <= known[name]:
                wanted = ", ".join(sorted(keys)) or "whatever is in it"
                yield f"{name_of(workload)}: nobody makes the secret {name} with {wanted}"


def addresses(manifests):
    """Services call each other by the names of Services, in TLS just where the called one serves it."""
    for workload in filter(is_service, manifests.workloads()):
        for name, value in environment(manifests, pod(workload)["containers"][0]).items():
            address = re.fullmatch(r"(https?)://([a-z]+):(\d+)", value or "")
            if not address or address[2] == "collector":
                continue
            called = manifests.find("Deployment", address[2])
            service = manifests.find("Service", address[2])
            if not called or not any(port["port"] == int(address[3]) for port in service["spec"]["ports"]):
                yield f"{name_of(workload)}: {name}={value}, but there is no such Service"
                continue
            serves = environment(manifests, pod(called)["containers"][0])
            own = environment(manifests, pod(workload)["containers"][0])
            has_tls = "FLOTILLA__GRPC__TLS__CERTIFICATE" in serves
            # Identity has its keys itself, and calls nobody.
            if has_tls != (address[1] == "https"):
                yield f"{name_of(workload)}: {name}={value}, but {address[2]} {'speaks' if has_tls else 'speaks no'} TLS"
            elif has_tls and workload is not called and "FLOTILLA__CLIENT__TLS__CERTIFICATE" not in own:
                yield f"{name_of(workload)}: calls {value} without a certificate of its own"


def external_secrets(manifests):
    """Where secrets come from a store, all of them do."""
    made = {one["metadata"]["name"] for one in manifests.of("ExternalSecret")}
    if made and made != set(GENERATED):
        yield f"ExternalSecret: {', '.join(sorted(made ^ set(GENERATED)))} differ from what the pods want"


def privileges(manifests):
    """No serving pod has the address of the superuser or of a database's owner, or another service's user of NATS."""
    for workload in filter(is_service, manifests.workloads()):
        for name, keys in wanted_secrets(workload):
            if name in SUPERUSER:
                yield f"{name_of(workload)}: has the superuser's secret"
            if name.endswith("-database") and (not keys or "owner-url" in keys):
                yield f"{name_of(workload)}: has the address of its database's owner"
            if name == "broker" and keys != {f"{workload['metadata']['name']}-url"}:
                yield f"{name_of(workload)}: has {', '.join(sorted(keys)) or 'all'} of the secret broker"


def selectors(manifests):
    """Every selector takes just the pods that it is meant for."""
    for workload in manifests.of("Deployment", "StatefulSet"):
        if not matches(workload["spec"]["selector"], pod_labels(workload)):
            yield f"{name_of(workload)}: its selector doesn't take its own pods"
        others = [one for one in manifests.workloads() if one is not workload]
        if any(matches(workload["spec"]["selector"], pod_labels(one)) for one in others):
            yield f"{name_of(workload)}: its selector takes the pods of another"
    behind = [(one, {"matchLabels": one["spec"].get("selector") or {}}) for one in manifests.of("Service")]
    behind = [(one, selector) for one, selector in behind if selector["matchLabels"]]
    behind += [(one, one["spec"]["selector"]) for one in manifests.of("PodDisruptionBudget")]
    for one, selector in behind:
        taken = [workload for workload in manifests.workloads() if matches(selector, pod_labels(workload))]
        if len(taken) != 1:
            yield f"{name_of(one)}: selects {len(taken)} workloads, not one"


def targets(manifests):
    """Autoscalers, StatefulSets, bindings, Ingresses and service accounts name what is there."""
    for one in manifests.of("HorizontalPodAutoscaler"):
        target = manifests.find("Deployment", one["spec"]["scaleTargetRef"]["name"])
        if target is None:
            yield f"{name_of(one)}: its target isn't there"
        elif "replicas" in target["spec"]:
            yield f"{name_of(one)}: {name_of(target)} says replicas too, and the two would quarrel"
    for one in manifests.of("StatefulSet"):
        if manifests.find("Service", one["spec"]["serviceName"]) is None:
            yield f"{name_of(one)}: there is no Service {one['spec']['serviceName']}"
    for one in manifests.of("Ingress"):
        for path in (path for rule in one["spec"]["rules"] for path in rule["http"]["paths"]):
            backend = path["backend"]["service"]
            service = manifests.find("Service", backend["name"])
            ports = {port["name"] for port in service["spec"]["ports"]} if service else set()
            if backend["port"]["name"] not in ports:
                yield f"{name_of(one)}: there is no port {backend['port']['name']} of Service {backend['name']}"
    for workload in manifests.workloads():
        account = pod(workload).get("serviceAccountName")
        if account and manifests.find("ServiceAccount", account) is None:
            yield f"{name_of(workload)}: there is no ServiceAccount {account}"


def tokens(manifests):
    """Only the Job that makes secrets has a token, and its only right is to create secrets."""
    for workload in manifests.workloads():
        has_token = pod(workload).get("automountServiceAccountToken", True)
        is_secrets = pod_labels(workload).get("app.kubernetes.io/component") == "secrets"
        if has_token and not is_secrets:
            yield f"{name_of(workload)}: its pods have a token"
    for role in manifests.of("Role", "ClusterRole"):
        if role["rules"] != [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}]:
            yield f"{name_of(role)}: allows more than to create secrets"


def images(manifests):
    """Images are ours, of one registry and one version, or pinned in docs/pins.md."""
    page = ROOT / "docs/pins.md"
    pins = page.read_text(encoding="utf-8") if page.exists() else ""
    ours = set()
    for workload in manifests.workloads():
        for container in containers(workload):
            image, _, tag = container["image"].rpartition(":")
            if service_of(container) or image.endswith("/fleet"):
                ours.add((image.rpartition("/")[0], tag))
            elif image not in pins or not re.search(rf"(?<![\w.]){re.escape(tag)}(?![\w.])", pins):
                yield f"{name_of(workload)}: docs/pins.md doesn't have {container['image']}"
    for place, tag in sorted(ours):
        host = place.partition("/")[0]
        # Without a host it would be Docker Hub's.
        if host != "localhost" and not re.search("[.:]", host):
            yield f"our images come from a public registry's {place}, which could be somebody else's"
        if not TAG.fullmatch(tag):
            yield f"our images have the tag {tag}: Jobs of different versions would have one name"
    if len(ours) > 1:
        yield f"our images come from several places or versions: {sorted(ours)}"


def versions(manifests):
    """A Job's name ends with its image's tag; new pods wait for the migrations that they know."""
    for job in manifests.of("Job"):
        tag = containers(job)[0]["image"].rpartition(":")[2]
        if not job["metadata"]["name"].endswith("-" + tag.replace(".", "-")):
            yield f"{name_of(job)}: its name doesn't end with {tag}, so that version can't be applied over another"
        if "activeDeadlineSeconds" in job["spec"]:
            yield f"{name_of(job)}: fails for good while it waits for a secret or an image"
        if "ttlSecondsAfterFinished" in job["spec"]:
            yield f"{name_of(job)}: goes by itself, so that the next apply would run it again"
        if any(one.get("configMapRef", {}).get("name") for one in containers(job)[0].get("envFrom", [])):
            yield f"{name_of(job)}: reads settings, and couldn't be applied when one changes"
    for workload in filter(is_service, manifests.workloads()):
        name = workload["metadata"]["name"]
        waits = [one for one in pod(workload).get("initContainers", []) if one.get("args") == ["await-migrations"]]
        serves = pod(workload)["containers"][0]["image"]
        if name in DATABASES and [one["image"] for one in waits] != [serves]:
            yield f"{name_of(workload)}: doesn't wait for the migrations of {serves}"


def streams(manifests):
    """The edge lets streams be silent and long, the gRPC one in both directions."""
    for one in manifests.of("Ingress"):
        told = {name.rpartition("/")[2]: value for name, value in one["metadata"]["annotations"].items()}
        wanted = {"proxy-read-timeout": STREAM_S}
        if told.get("backend-protocol") == "GRPC":
            wanted |= {"proxy-send-timeout": STREAM_S, "proxy-body-size": 0}
        for name, value in wanted.items():
            if told.get(name) != str(value):
                yield f"{name_of(one)}: {name} is {told.get(name)}, not {value}"


def proxies(manifests):
    """Behind an Ingress the gateway has a network of proxies whose x-forwarded-for it trusts."""
    gateway = manifests.find("Deployment", "gateway")
    if manifests.of("Ingress") and gateway:
        network = environment(manifests, pod(gateway)["containers"][0]).get("FLOTILLA__EDGE__TRUSTED_PROXIES", "")
        try:
            ipaddress.ip_network(network)
        except ValueError:
            yield f"{name_of(gateway)}: FLOTILLA__EDGE__TRUSTED_PROXIES is {network!r}, which is no network"


def authorities(manifests):
    """A renewed authority keeps its key: what it has signed before holds on."""
    for one in manifests.of("Certificate"):
        if one["spec"].get("isCA") and one["spec"]["privateKey"].get("rotationPolicy") != "Never":
            yield f"{name_of(one)}: gets a new key when it is renewed, which its certificates don't have"


def complete(manifests):
    """All six services, with a name, a budget and labels; every Job and Deployment of the fleet."""
    for service in SERVICES:
        for kind in ("Deployment", "Service", "ServiceAccount", "PodDisruptionBudget"):
            if manifests.find(kind, service) is None:
                yield f"{kind} {service}: is missing"
        budget = manifests.find("PodDisruptionBudget", service)
        if budget and budget["spec"].get("maxUnavailable") != 1:
            yield f"{name_of(budget)}: maxUnavailable isn't 1"
    for one in manifests.objects:
        if labels_of(one).get("app.kubernetes.io/part-of") != "flotilla":
            yield f"{name_of(one)}: has no label app.kubernetes.io/part-of"
    for service in DATABASES:
        headless = manifests.find("Service", service)
        if headless and headless["spec"].get("clusterIP") != "None":
            yield f"{name_of(headless)}: isn't headless, so that calls wouldn't be balanced"
    for one in manifests.of("Service"):
        if any("appProtocol" not in port for port in one["spec"].get("ports", [])):
            yield f"{name_of(one)}: a port has no appProtocol"


ALL = [
    config_maps, secrets, addresses, external_secrets, privileges, selectors, targets, tokens, images, versions, streams,
    proxies, authorities, complete,
]
