"""Rendered manifests as Python data, and the questions that checks ask of them."""

import copy
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
LIST = (ROOT / "services/services.txt").read_text(encoding="utf-8")
SERVICES = re.findall(r"^[a-z]+", LIST, re.MULTILINE)
DATABASES = re.findall(r"^([a-z]+) database$", LIST, re.MULTILINE)
WORKLOADS = ["Deployment", "StatefulSet", "Job"]


class Manifests:
    """The objects of one overlay."""

    def __init__(self, objects):
        self.objects = [one for one in objects if one]

    @classmethod
    def read(cls, path):
        with open(path, encoding="utf-8") as file:
            return cls(yaml.load_all(file, Loader=yaml.CSafeLoader))

    def copy(self):
        return Manifests(copy.deepcopy(self.objects))

    def of(self, *kinds):
        return [one for one in self.objects if one["kind"] in kinds]

    def find(self, kind, name):
        for one in self.of(kind):
            if one["metadata"]["name"] == name:
                return one
        return None

    def workloads(self):
        return self.of(*WORKLOADS)


def name_of(one):
    return f"{one['kind']} {one['metadata']['name']}"


def labels_of(one):
    return one["metadata"].get("labels", {})


def template(workload):
    return workload["spec"]["template"]


def pod(workload):
    return template(workload)["spec"]


def pod_labels(workload):
    return template(workload)["metadata"].get("labels", {})


def containers(workload):
    return pod(workload).get("initContainers", []) + pod(workload)["containers"]


def is_service(workload):
    return workload["kind"] == "Deployment" and pod_labels(workload).get("app.kubernetes.io/component") == "service"


def service_of(container):
    """The service whose image a container runs, or None."""
    name = container["image"].rpartition("/")[2].partition(":")[0]
    return name if name in SERVICES else None


def matches(selector, labels):
    """Whether a label selector (matchLabels, matchExpressions) takes these labels."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for expression in selector.get("matchExpressions", []):
        key, operator, values = expression["key"], expression["operator"], expression.get("values", [])
        held = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }[operator]
        if not held:
            return False
    return True
