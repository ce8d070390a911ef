# Sourced: versions of what lies in this working tree, so that code that has changed comes into a cluster as another image.
# Needs `sources` of scripts/lib/docker-engine.sh.

# development_tag VERSION: the version, and behind it the digest of all that images are made of, committed or not:
# 0.1.0-91d3e07f4c2a. An image's tag, a label's value and the end of a Job's name.
development_tag() { echo "$1-$(sources | cut -c 1-12)"; }

# development_overlay FOLDER TAG: k8s/overlays/dev with another tag, in a folder two levels below this one.
development_overlay() {
    mkdir -p "$1"
    sed 's|\.\./\.\./|../../k8s/|g' k8s/overlays/dev/kustomization.yaml >"$1/kustomization.yaml"
    sed "s|^  tag: .*|  tag: $2|" k8s/overlays/dev/values.yaml >"$1/values.yaml"
}
