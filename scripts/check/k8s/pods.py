"""What must hold of every pod: probes, ports, grace, sizes, names of its settings."""

import re
import tomllib

from manifests import ROOT, SERVICES, containers, is_service, name_of, pod, service_of

PROBES = {"startupProbe": "/startupz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}
# Between the end of the grace time and SIGKILL.
MARGIN_S = 5


def served_paths():
    """The paths that the admin port really serves."""
    text = (ROOT / "crates/service/src/admin.rs").read_text(encoding="utf-8")
    return set(re.findall(r'\.route\("(/[a-z]+)"', text))


def probes(manifests):
    """A service's probes ask the admin port, by name, for what it serves."""
    served = served_paths()
    for workload in filter(is_service, manifests.workloads()):
        container = pod(workload)["containers"][0]
        for probe, path in PROBES.items():
            asked = container.get(probe, {}).get("httpGet", {})
            if asked.get("port") != "admin":
                yield f"{name_of(workload)}: its {probe} doesn't ask the port admin"
            if asked.get("path") != path or path not in served:
                yield f"{name_of(workload)}: its {probe} asks for {asked.get('path')}"


def probe_ports(manifests):
    """A probe names a port of its own container."""
    for workload in manifests.workloads():
        for container in containers(workload):
            ports = {port["name"] for port in container.get("ports", [])}
            for probe in PROBES:
                for how in ("httpGet", "tcpSocket"):
                    port = container.get(probe, {}).get(how, {}).get("port")
                    if port is not None and port not in ports:
                        yield f"{name_of(workload)}: {probe} asks port {port}, which {container['name']} hasn't"


def ports(manifests):
    """What a service is told to listen on is what its container and its Services say."""
    for workload in filter(is_service, manifests.workloads()):
        container = pod(workload)["containers"][0]
        numbers = {port["name"]: port["containerPort"] for port in container["ports"]}
        settings = environment(manifests, container)
        for port, setting in (("public", "FLOTILLA__GRPC__LISTEN"), ("admin", "FLOTILLA__SERVICE__ADMIN_LISTEN")):
            if settings.get(setting) != f"0.0.0.0:{numbers.get(port)}":
                yield f"{name_of(workload)}: {setting}={settings.get(setting)}, but port {port} is {numbers.get(port)}"


def service_ports(manifests):
    """A Service's target port exists in each pod behind it; a headless one's number is the pod's own."""
    for service in manifests.of("Service"):
        selector = service["spec"].get("selector")
        if not selector:
            continue
        for workload in manifests.workloads():
            labels = workload["spec"]["template"]["metadata"].get("labels", {})
            if any(labels.get(key) != value for key, value in selector.items()):
                continue
            own = [port for container in containers(workload) for port in container.get("ports", [])]
            have = {port["name"]: port["containerPort"] for port in own}
            for port in service["spec"]["ports"]:
                target = port.get("targetPort", port["port"])
                if target not in have:
                    yield f"{name_of(service)}: target port {target} isn't one of {name_of(workload)}"
                elif service["spec"].get("clusterIP") == "None" and have[target] != port["port"]:
                    yield f"{name_of(service)}: is headless, so its port must be {have[target]}, not {port['port']}"


def environment(manifests, container):
    """A container's variables with their values, as far as they are written down."""
    values = {}
    for source in container.get("envFrom", []):
        config = manifests.find("ConfigMap", source["configMapRef"]["name"])
        values.update(config["data"] if config else {})
    values.update({one["name"]: one.get("value") for one in container.get("env", [])})
    return values


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def layered(manifests, workload, values):
    """service.grace and grpc.drain_grace of a service: its files' layers, then its variables."""
    found = {"service.grace": "10s", "grpc.drain_grace": "8s"}
    volumes = [one["configMap"]["name"] for one in pod(workload).get("volumes", []) if "configMap" in one]
    files = {}
    for name in volumes:
        files.update((manifests.find("ConfigMap", name) or {"data": {}})["data"])
    for layer in ("base", values.get("FLOTILLA_ENVIRONMENT", "development")):
        parsed = tomllib.loads(files.get(f"{layer}.toml", ""))
        for key in found:
            section, field = key.split(".")
            found[key] = parsed.get(section, {}).get(field, found[key])
    for key in found:
        found[key] = values.get("FLOTILLA__" + key.upper().replace(".", "__"), found[key])
    return {key: seconds(value) for key, value in found.items()}


def grace(manifests):
    """The sleep before SIGTERM, the service's grace and a margin fit before SIGKILL; calls drain within the grace."""
    for workload in filter(is_service, manifests.workloads()):
        container = pod(workload)["containers"][0]
        times = layered(manifests, workload, environment(manifests, container))
        sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds")
        if sleep is None:
            yield f"{name_of(workload)}: has no preStop sleep"
            continue
        needed = sleep + times["service.grace"] + MARGIN_S
        if pod(workload).get("terminationGracePeriodSeconds", 30) < needed:
            yield f"{name_of(workload)}: terminationGracePeriodSeconds is below {needed:g}"
        if times["grpc.drain_grace"] >= times["service.grace"]:
            yield f"{name_of(workload)}: grpc.drain_grace isn't below service.grace"


def sizes(manifests):
    """Every container says what it needs and how much memory it may take."""
    for workload in manifests.workloads():
        for container in containers(workload):
            resources = container.get("resources", {})
            for kind, what in (("requests", "cpu"), ("requests", "memory"), ("limits", "cpu"), ("limits", "memory")):
                if what not in resources.get(kind, {}):
                    yield f"{name_of(workload)}: {container['name']} has no {kind} of {what}"


def documented_settings():
    """Per service the variables and the dotted names that docs/settings.md has."""
    names = {service: {} for service in SERVICES}
    services = []
    for line in (ROOT / "docs/settings.md").read_text(encoding="utf-8").splitlines():
        heading = re.match(r"## .*\((.*)\)", line)
        row = re.match(r"\| `([a-z_.]+)`(?: \(also (.*?)\))? \|", line)
        if heading:
            services = SERVICES if heading[1] == "all services" else heading[1].split(", ")
        elif row:
            variables = {"FLOTILLA__" + row[1].upper().replace(".", "__")}
            variables |= set(re.findall(r"`([A-Z_]+)`", row[2] or ""))
            for service in services:
                names[service][row[1]] = variables
    return names


def variables(manifests):
    """Every variable and every mounted secret of a service is one that its documentation has."""
    documented = documented_settings()
    prose = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    for workload in manifests.workloads():
        for container in containers(workload):
            service = service_of(container)
            if service is None:
                continue
            settings = documented[service]
            known = set().union(*settings.values())
            own = environment(manifests, container)
            used = set(re.findall(r"\$\((\w+)\)", " ".join(value or "" for value in own.values())))
            for name in own:
                is_prose = not name.startswith("FLOTILLA__") and f"`{name}" in prose
                if name not in known and name not in used and not is_prose:
                    yield f"{name_of(workload)}: {name} is no variable of {service}"
            if "FLOTILLA_SECRETS_DIR" in own:
                for file in secret_files(workload):
                    if file not in settings:
                        yield f"{name_of(workload)}: {file} is no setting of {service}"


def secret_files(workload):
    for volume in pod(workload).get("volumes", []):
        sources = [one["secret"] for one in volume.get("projected", {}).get("sources", []) if "secret" in one]
        sources += [volume["secret"]] if "secret" in volume else []
        for source in sources:
            yield from (item["path"] for item in source.get("items", []))


ALL = [probes, probe_ports, ports, service_ports, grace, sizes, variables]
