"""The overlays and what they may be put together with: writes one kustomization for each, and renders all of them.

    python combinations.py KUBECTL FOLDER
"""

import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from manifests import ROOT

# Each: the overlay, the components in the place of others, those that are added, further values.
COMBINATIONS = {
    "dev": ("dev", {}, [], {}),
    "staging": ("staging", {}, [], {}),
    "prod": ("prod", {}, [], {}),
    "dev-observability": ("dev", {}, ["observability"], {}),
    "staging-nats-cluster": ("staging", {"external/nats": "nats-cluster"}, [], {"natsStorage": "10Gi"}),
    "prod-observability-nats-cluster": (
        "prod", {"external/nats": "nats-cluster"}, ["observability"], {"natsStorage": "10Gi"},
    ),
    "prod-operators": (
        "prod",
        {"external/postgres": "postgres-operator"},
        ["generated-secrets", "service-monitor"],
        {"postgresInstances": "3", "postgresStorage": "50Gi"},
    ),
    "prod-mutual-tls": ("prod", {}, ["mutual-tls"], {}),
    "prod-external-secrets": ("prod", {}, ["external-secrets", "service-monitor"], {"secretStore": "platform"}),
}
# Overlays that are there to be applied as they are.
OVERLAYS = ["dev", "staging", "prod"]
RENDER_S = 60


def write(folder, overlay, instead, added, values):
    """A kustomization like the overlay's own, with the differences."""
    source = ROOT / "k8s/overlays" / overlay
    own = yaml.safe_load((source / "kustomization.yaml").read_text(encoding="utf-8"))
    folder.mkdir(parents=True)
    up = "../" * len(folder.relative_to(ROOT).parts)
    own["resources"] = [up + "k8s/base", "values.yaml"]
    names = [name.removeprefix("../../components/") for name in own["components"]]
    names = [instead.get(name, name) for name in names]
    # What puts values in their places comes last.
    own["components"] = [f"{up}k8s/components/{name}" for name in names[:-1] + added + names[-1:]]
    given = yaml.safe_load((source / "values.yaml").read_text(encoding="utf-8"))
    given["data"].update(values)
    for name, content in (("kustomization.yaml", own), ("values.yaml", given)):
        (folder / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def places(folder):
    """Where each combination's kustomization is; written below the folder where it isn't an overlay as it stands."""
    found = {}
    for name, (overlay, instead, added, values) in COMBINATIONS.items():
        found[name] = ROOT / "k8s/overlays" / overlay
        if name not in OVERLAYS:
            found[name] = folder / "combined" / name
            write(found[name], overlay, instead, added, values)
    return found


def render(command, folder):
    """What a program (`kubectl kustomize`, `kustomize build`) makes of a kustomization."""
    done = subprocess.run([*command, folder], capture_output=True, text=True, timeout=RENDER_S, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} {folder.relative_to(ROOT)}: {done.stderr.strip()}")
    return done.stdout


def main():
    kubectl, folder = sys.argv[1], Path(sys.argv[2]).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "rendered").mkdir(parents=True)
    for name, place in places(folder).items():
        (folder / "rendered" / f"{name}.yaml").write_text(render([kubectl, "kustomize"], place), encoding="utf-8")
    print(f"{len(COMBINATIONS)} combinations rendered")


if __name__ == "__main__":
    main()
