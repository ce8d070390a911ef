"""The layers of the house, as cargo knows them: which crate may depend on which, and what a service's `domain/` may use.

A crate depends only on crates of lower layers: the lines above its own. No crate but the four at the end knows a service,
no service knows another, and the testkit is for tests alone. `domain/` uses nothing that reaches the network, a runtime
or a database; of the contracts it uses the messages. First this plants a fault of each kind, and finds it.
"""

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path

# From the bottom up. A new crate gets its place here; what isn't here fails.
LAYERS = [
    "clock money redact cgroup config-derive fault servers terminal process",
    "validate config",
    "proto telemetry",
    "transcode call flags cache wire",
    "postgres",
    "secrets messaging auth",
    "rpc",
    "listing",
    "service",
    "testkit",
    "SERVICES",
    "checker",
    "workload backup",
    "fleet",
]
PREFIX = "flotilla-"
LIST = "services/services.txt"
TESTKIT = "testkit"
# What `domain/` must not reach, on whatever way.
OUTSIDE = {"tonic", "tokio", "tokio-postgres", "async-nats", "fred", "hyper", "axum", "futures"}
OF_STD = re.compile(r"\bstd::(?:net|fs|process|thread|env)\b")
# The contracts' crate reaches tonic, their messages don't: these of its modules.
MESSAGES = "flotilla_proto"


def metadata():
    """The workspace as cargo resolves it for this machine."""
    version = subprocess.run(["rustc", "-vV"], check=True, stdout=subprocess.PIPE, text=True).stdout
    host = re.search(r"^host: (.*)$", version, re.MULTILINE)[1]
    command = [os.environ.get("CARGO", "cargo"), "metadata", "--locked", "--format-version", "1", "--filter-platform", host]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def services():
    return re.findall(r"^[a-z]+", Path(LIST).read_text(encoding="utf-8"), re.MULTILINE)


def layer_of():
    """The number of each crate's layer."""
    rows = [services() if row == "SERVICES" else row.split() for row in LAYERS]
    return {name: number for number, row in enumerate(rows) for name in row}


def members(workspace):
    ids = set(workspace["workspace_members"])
    return [package for package in workspace["packages"] if package["id"] in ids]


def edges(package):
    """The workspace's crates that a package names in its manifest, each with the kind of the dependency."""
    for dependency in package["dependencies"]:
        if dependency["name"].startswith(PREFIX):
            yield dependency["name"].removeprefix(PREFIX), dependency["kind"] or "normal"


def wrong_edges(workspace):
    """Edges that point upward or sideways, and crates without a layer."""
    layers = layer_of()
    for package in members(workspace):
        name = package["name"].removeprefix(PREFIX)
        if name not in layers:
            yield f"{package['name']} has no layer: give it its place in scripts/check/layers.py"
            continue
        for other, kind in edges(package):
            if other == TESTKIT and kind == "dev":
                continue
            edge = f"{package['name']} -> {PREFIX}{other}" + ("" if kind == "normal" else f" ({kind})")
            if other == TESTKIT:
                yield f"{edge}: the testkit is for tests: make it a dev-dependency"
            elif layers.get(other, len(LAYERS)) >= layers[name]:
                yield f"{edge}: {other} isn't below {name}"


def reached(workspace):
    """For each package of the workspace: what its dependencies are called in its code, and what each reaches outside."""
    names = {package["id"]: package["name"] for package in workspace["packages"]}
    nodes = {node["id"]: node["deps"] for node in workspace["resolve"]["nodes"]}

    def below(start):
        seen, left = {start}, [start]
        while left:
            for dependency in nodes[left.pop()]:
                normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
                if normal and dependency["pkg"] not in seen:
                    seen.add(dependency["pkg"])
                    left.append(dependency["pkg"])
        return {names[one] for one in seen} & OUTSIDE

    return {package["name"]: {dependency["name"]: below(dependency["pkg"]) for dependency in nodes[package["id"]]} for package in members(workspace)}


def without_comments(text):
    return re.sub(r"//.*", "", text)


def modules(text, name):
    """The first segments behind `name::`, also of `name::{a::b, c}`."""
    for found in re.finditer(rf"\b{name}::(\{{[^;]*;|[\w#]+)", text):
        inner = found[1]
        if not inner.startswith("{"):
            yield inner
            continue
        while (flat := re.sub(r"::\{[^{}]*\}", "", inner)) != inner:
            inner = flat
        yield from (item.strip().split("::")[0] for item in inner.strip("{};\n ").split(",") if item.strip())


def wrong_uses(path, text, uses):
    """What a file of a domain uses and must not."""
    text = without_comments(text)
    for found in OF_STD.finditer(text):
        yield f"{path}: {found[0]} is I/O"
    for name, outside in sorted(uses.items()):
        if not outside or not re.search(rf"\b{name}\b\s*(?:::|;|\sas\b)", text):
            continue
        if name != MESSAGES:
            yield f"{path}: {name} reaches {', '.join(sorted(outside))}"
            continue
        for module in sorted(set(modules(text, name)) - {*services(), "google"}):
            yield f"{path}: of {name} a domain uses the messages, not {module}"


def wrong_domains(workspace):
    """What the files under `src/domain` use and must not."""
    uses = reached(workspace)
    for package in members(workspace):
        for path in sorted(Path(package["manifest_path"]).parent.glob("src/domain/**/*.rs")):
            yield from wrong_uses(path.relative_to(workspace["workspace_root"]), path.read_text(encoding="utf-8"), uses[package["name"]])


def planted(workspace, crate, name, kind):
    """The workspace with one more dependency."""
    changed = copy.copy(workspace)
    changed["packages"] = [copy.copy(package) for package in workspace["packages"]]
    for package in changed["packages"]:
        if package["name"] == PREFIX + crate:
            package["dependencies"] = [*package["dependencies"], {"name": PREFIX + name, "kind": kind}]
    return changed


def self_test(workspace):
    """Each kind of wrong edge and of wrong use is found."""
    for crate, name, kind in [
        ("cache", "rpc", None), ("cache", "orders", "dev"), ("telemetry", "telemetry", None), ("proto", "service", "build"),
        ("orders", "payments", None), ("orders", "payments", "dev"), ("orders", "fleet", None), ("orders", "testkit", None),
        ("messaging", "attic", None),
    ]:
        if not any(f"{PREFIX}{crate} -> {PREFIX}{name}" in fault for fault in wrong_edges(planted(workspace, crate, name, kind))):
            yield f"doesn't find {crate} -> {name} ({kind or 'normal'})"
    renamed = copy.copy(workspace)
    renamed["packages"] = [dict(package, name=package["name"].replace("-cgroup", "-attic")) for package in workspace["packages"]]
    if not any("attic has no layer" in fault for fault in wrong_edges(renamed)):
        yield "doesn't find a crate without a layer"
    uses = reached(workspace)[PREFIX + "orders"]
    for text in [
        "use tokio::time;", "pub use tonic as t;", "fn f() { flotilla_postgres::now() }", "use std::fs;", "use flotilla_proto::status;",
        "use flotilla_proto::{google::r#type::Money, orders::v1::{Order, OrderLine}, requests::Bad};",
    ]:
        if not list(wrong_uses("x.rs", text, uses)):
            yield f"doesn't find `{text}` in a domain"
    for text in ["// tokio::time", "use uuid::Uuid;", "use flotilla_proto::{google::r#type::Money, orders::v1::{Order, OrderLine}};"]:
        for fault in wrong_uses("x.rs", text, uses):
            yield f"finds fault with `{text}`: {fault}"


def main():
    workspace = metadata()
    faults = [f"the self-test {fault}" for fault in self_test(workspace)]
    faults += [*wrong_edges(workspace), *wrong_domains(workspace)]
    for fault in faults:
        print(f"layers: {fault}", file=sys.stderr)
    if faults:
        raise SystemExit(1)
    print(f"layers: {len(members(workspace))} crates depend on what is below them, and no domain reaches outside")


if __name__ == "__main__":
    main()
