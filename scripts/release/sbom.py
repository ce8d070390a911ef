"""Writes what each image is made of: one CycloneDX document per image, from Cargo.lock and cargo's own resolution.

A scanner finds nothing in a static binary, so the list comes from where it is known. Taken are the crates that are linked
in on Linux, amd64 or arm64; what only builds or tests is left out. Licences and hashes are those of Cargo.toml and
Cargo.lock. The same sources give the same bytes.

    python3 scripts/release/sbom.py FOLDER
"""

import json
import os
import re
import subprocess
import sys
import uuid

with open("services/services.txt", encoding="utf-8") as services:
    IMAGES = [*re.findall(r"^[a-z]+", services.read(), re.MULTILINE), "fleet"]
PLATFORMS = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"]
# Where cargo says that a crate of the public registry comes from begins so.
REGISTRY = "registry+https://github.com/rust-lang/"


def metadata():
    """What cargo resolves for both platforms, without asking the network for other versions."""
    command = [os.environ.get("CARGO", "cargo"), "metadata", "--locked", "--format-version", "1"]
    command += [word for platform in PLATFORMS for word in ("--filter-platform", platform)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def checksums():
    """SHA-256 by name and version, of Cargo.lock."""
    with open("Cargo.lock", encoding="utf-8") as file:
        blocks = file.read().split("[[package]]")
    field = re.compile(r'^(\w+) = "(.*)"$', re.MULTILINE)
    packages = [dict(field.findall(block)) for block in blocks]
    return {(p["name"], p["version"]): p["checksum"] for p in packages if "checksum" in p}


def linked(resolve, root):
    """The packages that end up in the binary of `root`: by id, each with the ids that it uses itself."""
    nodes = {node["id"]: node for node in resolve["nodes"]}
    found, wanted = {}, [root]
    while wanted:
        package = wanted.pop()
        if package in found:
            continue
        uses = [d["pkg"] for d in nodes[package]["deps"] if any(k["kind"] is None for k in d["dep_kinds"])]
        found[package] = sorted(uses)
        wanted += uses
    return found


def component(package, kind, hashes):
    """One entry of the list."""
    name, version = package["name"], package["version"]
    entry = {"type": kind, "bom-ref": reference(package), "name": name, "version": version}
    if package.get("license"):
        # Older crates write MIT/Apache-2.0, which SPDX doesn't know.
        expression = re.sub(r"\s*/\s*", " OR ", package["license"])
        entry["licenses"] = [{"expression": expression}]
    if (package["source"] or "").startswith(REGISTRY):
        entry["purl"] = f"pkg:cargo/{name}@{version}"
        entry["hashes"] = [{"alg": "SHA-256", "content": hashes[name, version]}]
    elif package["source"] is not None:
        raise SystemExit(f"sbom: {name} {version} comes from {package['source']}, which no purl is known for")
    if package.get("repository"):
        entry["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return entry


def reference(package):
    """What the document calls a package."""
    return f"{package['name']}@{package['version']}"


def document(image, data, hashes):
    """The CycloneDX document of an image."""
    packages = {package["id"]: package for package in data["packages"]}
    root = next(p for p in packages.values() if p["name"] == f"flotilla-{image}" and p["source"] is None)
    found = linked(data["resolve"], root["id"])
    crates = sorted((packages[id] for id in found if id != root["id"]), key=lambda p: (p["name"], p["version"]))
    body = {
        "metadata": {
            "component": component(root, "application", hashes),
            "licenses": [{"license": {"id": "CC0-1.0"}}],
        },
        "components": [component(package, "library", hashes) for package in crates],
        "dependencies": sorted(
            (
                {"ref": reference(packages[id]), "dependsOn": sorted(reference(packages[used]) for used in uses)}
                for id, uses in found.items()
            ),
            key=lambda entry: entry["ref"],
        ),
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}", "version": 1}
    return head | body


def main():
    if len(sys.argv) != 2:
        raise SystemExit("usage: python3 scripts/release/sbom.py FOLDER")
    data, hashes = metadata(), checksums()
    os.makedirs(sys.argv[1], exist_ok=True)
    for image in IMAGES:
        bom = document(image, data, hashes)
        with open(os.path.join(sys.argv[1], f"{image}.cdx.json"), "w", encoding="utf-8") as file:
            json.dump(bom, file, indent=1)
            file.write("\n")
        print(f"sbom: {image} is made of {len(bom['components'])} crates")


main()
