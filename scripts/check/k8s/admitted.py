"""Questions of scripts/test/k8s-apiserver.sh about a rendered overlay.

    python admitted.py namespace|object|pods FILE
"""

import sys

import yaml

from manifests import Manifests


def main():
    question, file = sys.argv[1:]
    manifests = Manifests.read(file)
    namespace = manifests.of("Namespace")[0]
    if question == "namespace":
        print(namespace["metadata"]["name"])
    elif question == "object":
        yaml.safe_dump(namespace, sys.stdout)
    else:
        # One of each StatefulSet at least: the next waits for the first to be ready.
        print(sum(one["spec"].get("replicas", 1) if one["kind"] == "Deployment" else 1 for one in manifests.workloads()))


if __name__ == "__main__":
    main()
