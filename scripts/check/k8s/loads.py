"""Whether each service loads the settings that its pods give it: its own program reads them, and says what is wrong.

    python loads.py PROGRAM RENDERED...
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from manifests import Manifests, containers, name_of, pod, service_of
from pods import environment, secret_files

LOAD_S = 30
TEXTS = {
    "admin.email": "operator@example.com", "cache.redis_url": "redis://:something@redis:6379",
    "nats.url": "nats://somebody:something@nats:4222",
}


def mounted(manifests, workload, folder):
    """The files that a pod finds: its ConfigMaps' and, with made-up contents, its secrets'."""
    for volume in pod(workload).get("volumes", []):
        place = folder / volume["name"]
        place.mkdir(exist_ok=True)
        if "configMap" in volume:
            for name, text in manifests.find("ConfigMap", volume["configMap"]["name"])["data"].items():
                (place / name).write_text(text, encoding="utf-8")
    for name in secret_files(workload):
        # The remote source isn't here to be asked.
        if name == "remote.nats_url":
            continue
        # Each address of a database has a role of its own.
        role = name.removeprefix("postgres.").removesuffix("_url")
        text = TEXTS.get(name, f"postgres://{role}:something@postgres:5432/database")
        (folder / "secrets" / name).write_text(text, encoding="utf-8")
    for name in ("tls.crt", "tls.key", "ca.crt"):
        if (folder / "certificate").exists():
            (folder / "certificate" / name).touch()


def load(program, manifests, workload, container):
    """What the service's program says against the settings, or None."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        mounted(manifests, workload, folder)
        values = {name: value for name, value in environment(manifests, container).items() if value is not None}
        for mount in container.get("volumeMounts", []):
            for name, value in values.items():
                if value.startswith(mount["mountPath"]):
                    values[name] = str(folder / mount["name"]) + value.removeprefix(mount["mountPath"])
        command = [program, service_of(container), "--print-config=json"]
        done = subprocess.run(
            command, env=values, cwd=folder, capture_output=True, text=True, timeout=LOAD_S, check=False,
        )
    return None if done.returncode == 0 and done.stdout.startswith("[") else done.stderr.strip() or done.stdout


def main():
    program, files = os.path.abspath(sys.argv[1]), sys.argv[2:]
    loaded, problems = 0, []
    for file in files:
        manifests = Manifests.read(file)
        for workload in manifests.workloads():
            for container in filter(service_of, containers(workload)):
                said = load(program, manifests, workload, container)
                loaded += 1
                if said is not None:
                    problems.append(f"{Path(file).stem}: {name_of(workload)}: {container['name']}: {said}")
    if problems:
        sys.exit("\n".join(problems))
    print(f"settings: {loaded} containers load theirs")


if __name__ == "__main__":
    main()
