"""Runs the containers of a rendered overlay on Docker, as their pods describe them: images, commands, variables, mounted
ConfigMaps and secrets, users, read-only roots, limits, probes, grace times. What a kubelet would do besides is left out.

    python containers.py DOCKER SECRETS RENDERED [TAG]

SECRETS is what `fleet cluster-secrets --print` printed; TAG that of the fleet's images, where it isn't the overlay's.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import yaml

from manifests import Manifests, containers, is_service, pod, service_of
from pods import environment, layered

ASK_S = 60
JOB_S = 120
READY_S = 60


class Docker:
    """Containers of one network, all of which go at the end."""

    def __init__(self, program, tag):
        self.program, self.tag = program, tag
        self.network = f"flotilla-k8s-{os.getpid()}"
        self.folder = Path(tempfile.mkdtemp(prefix="flotilla-k8s-"))
        self.folder.chmod(0o755)
        self.names = []
        self.ask("network", "create", "--internal", self.network)

    def ask(self, *words, check=True, timeout=ASK_S):
        done = subprocess.run([self.program, *words], capture_output=True, text=True, timeout=timeout, check=False)
        if check and done.returncode != 0:
            raise SystemExit(f"docker {' '.join(words[:3])}: {done.stderr.strip()}")
        return done

    def close(self):
        if self.names:
            self.ask("rm", "--force", "--volumes", *self.names, check=False)
        self.ask("network", "rm", self.network, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def image(self, container):
        """The image here: ours have the registry and the tag that scripts/release/images.sh gives them."""
        if service_of(container) is None:
            return container["image"]
        name, _, tag = container["image"].rpartition("/")[2].partition(":")
        registry = os.environ.get("REGISTRY", "")
        return "/".join(filter(None, [registry, "flotilla", f"{name}:{self.tag or tag}"]))

    def start(self, manifests, secrets, workload, container):
        """Starts one container of a pod and returns its name."""
        spec, own = pod(workload), container.get("securityContext", {})
        name = f"{self.network}-{workload['metadata']['name']}-{container['name']}"
        user = spec["securityContext"]
        words = ["run", "--detach", "--name", name, "--network", self.network, "--cap-drop", "ALL", "--pull", "never"]
        words += ["--network-alias", workload["metadata"]["name"], "--security-opt", "no-new-privileges"]
        words += ["--user", f"{user['runAsUser']}:{user['runAsGroup']}", "--group-add", str(user["fsGroup"])]
        words += ["--stop-timeout", str(spec.get("terminationGracePeriodSeconds", 30))]
        words += ["--read-only"] if own.get("readOnlyRootFilesystem") else []
        limits = container["resources"]["limits"]
        words += ["--memory", limits["memory"].removesuffix("i").lower(), "--cpus", cores(limits["cpu"])]
        for variable, value in variables(manifests, workload, container).items():
            words += ["--env", f"{variable}={value}"]
        volumes = {one["name"]: one for one in spec.get("volumes", [])}
        for mount in container.get("volumeMounts", []):
            words += self.mount(manifests, secrets, workload, volumes.get(mount["name"]), mount)
        command = container.get("command", [])
        words += ["--entrypoint", command[0]] if command else []
        self.names.append(name)
        self.ask(*words, self.image(container), *command[1:], *container.get("args", []))
        return name

    def mount(self, manifests, secrets, workload, volume, mount):
        if volume and "emptyDir" in volume:
            return ["--tmpfs", f"{mount['mountPath']}:mode=1777"]
        place = self.folder / workload["metadata"]["name"] / mount["name"]
        files = {}
        if volume and "configMap" in volume:
            files = manifests.find("ConfigMap", volume["configMap"]["name"])["data"]
        elif volume:
            sources = volume.get("projected", {}).get("sources", [volume])
            for source in (one["configMap"] for one in sources if "configMap" in one):
                files |= manifests.find("ConfigMap", source["name"])["data"]
            for source in (one["secret"] for one in sources if "secret" in one):
                held = secrets.get(source.get("name") or source.get("secretName"), {})
                files |= {item["path"]: held[item["key"]] for item in source["items"] if item["key"] in held}
        place.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (place / name).write_text(text, encoding="utf-8")
        # In place of the group that a kubelet gives to volumes.
        place.chmod(0o755 if volume else 0o777)
        return ["--volume", f"{place}:{mount['mountPath']}" + (":ro" if mount.get("readOnly") else "")]

    def exit_code(self, name, timeout):
        return int(self.ask("wait", name, timeout=timeout).stdout)

    def address(self, name):
        shown = self.ask("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)
        return shown.stdout.strip()

    def fail(self, name, what):
        said = self.ask("logs", "--tail", "15", name, check=False)
        raise SystemExit(f"{name}: {what}\n{said.stdout}{said.stderr}")

    def probe(self, name, container, probe):
        """Whether a probe succeeds now."""
        if "exec" in probe:
            return self.ask("exec", name, *probe["exec"]["command"], check=False).returncode == 0
        ask = probe["httpGet"]
        port = next(one["containerPort"] for one in container["ports"] if one["name"] == ask["port"])
        try:
            url = f"http://{self.address(name)}:{port}{ask['path']}"
            with urllib.request.urlopen(url, timeout=probe.get("timeoutSeconds", 1)):
                return True
        except OSError:
            return False

    def until_ready(self, name, container):
        startup = container["startupProbe"]
        for probe, limit in (
            (startup, startup["periodSeconds"] * startup["failureThreshold"]), (container["readinessProbe"], READY_S),
        ):
            deadline = time.monotonic() + limit
            while not self.probe(name, container, probe):
                if time.monotonic() > deadline:
                    self.fail(name, "a probe doesn't succeed")
                time.sleep(0.2)


def cores(text):
    return str(int(text[:-1]) / 1000) if text.endswith("m") else text


def variables(manifests, workload, container):
    values = environment(manifests, container)
    for one in container.get("env", []):
        field = one.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        if field:
            values[one["name"]] = workload["metadata"]["name"] if field == "metadata.name" else "docker"
    return {
        name: re.sub(r"\$\((\w+)\)", lambda found: values[found[1]], value) for name, value in values.items()
    }


def sign_in(docker, gateway, secrets):
    """Through the gateway to identity and its database: the operator's token."""
    admin = secrets["identity-admin"]
    body = json.dumps({"email": admin["email"], "password": admin["password"]}).encode()
    request = urllib.request.Request(f"http://{docker.address(gateway)}:8080/v1/auth:login", data=body)
    request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            token = json.load(answer)["accessToken"]
    except urllib.error.HTTPError as error:
        docker.fail(gateway, f"signing in: {error.status} {error.read()[:300]}")
    claims = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))


def stop(docker, manifests, running):
    """SIGTERM to every service: exit code 0 within half of the grace time, since nothing is in flight."""
    for workload, name in running:
        values = environment(manifests, pod(workload)["containers"][0])
        grace = layered(manifests, workload, values)["service.grace"]
        began = datetime.now(UTC)
        docker.ask("stop", name, timeout=pod(workload)["terminationGracePeriodSeconds"] + ASK_S)
        shown = docker.ask("inspect", "--format", "{{.State.ExitCode}} {{.State.FinishedAt}}", name).stdout
        code, ended = shown.split()
        # When the process ended: the engine takes its own time to say so.
        took = (datetime.fromisoformat(ended) - began).total_seconds()
        if code != "0":
            docker.fail(name, f"exit code {code} after SIGTERM")
        if took > grace / 2:
            docker.fail(name, f"took {took:.1f} s to end, although nothing was in flight")
        print(f"{workload['metadata']['name']}: exit code 0 after {took:.2f} s")


def run(docker, manifests, secrets):
    for server in manifests.of("StatefulSet"):
        name = docker.start(manifests, secrets, server, containers(server)[0])
        docker.until_ready(name, containers(server)[0])
        print(f"{server['metadata']['name']}: ready")
    waiting = []
    for workload in filter(is_service, manifests.workloads()):
        for container in pod(workload).get("initContainers", []):
            waiting.append(docker.start(manifests, secrets, workload, container))
    for job in manifests.of("Job"):
        if "migrate" in job["metadata"]["name"]:
            name = docker.start(manifests, secrets, job, containers(job)[0])
            if docker.exit_code(name, JOB_S) != 0:
                docker.fail(name, "failed")
    for name in waiting:
        if docker.exit_code(name, JOB_S) != 0:
            docker.fail(name, "failed")
    print(f"{len(waiting)} databases migrated while new pods waited")
    running = []
    for workload in filter(is_service, manifests.workloads()):
        running.append((workload, docker.start(manifests, secrets, workload, pod(workload)["containers"][0])))
    for workload, name in running:
        docker.until_ready(name, pod(workload)["containers"][0])
    print(f"{len(running)} services ready")
    gateway = next(name for workload, name in running if workload["metadata"]["name"] == "gateway")
    print(f"the operator signed in, by {sign_in(docker, gateway, secrets)['iss']}")
    stop(docker, manifests, running)


def main():
    program, secrets, rendered = sys.argv[1:4]
    with open(secrets, encoding="utf-8") as file:
        secrets = {one["metadata"]["name"]: one["stringData"] for one in yaml.safe_load_all(file) if one}
    docker = Docker(program, sys.argv[4] if len(sys.argv) > 4 else None)
    try:
        run(docker, Manifests.read(rendered), secrets)
    finally:
        docker.close()


if __name__ == "__main__":
    main()
