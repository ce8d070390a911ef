# Sourced: versions of what lies in this working tree, so that code that has changed comes into a cluster as another image.

# What the images are made of (.dockerignore).
image_sources() {
    set -- Dockerfile .dockerignore Cargo.toml Cargo.lock crates services proto 'bench/*.sql' 'scripts/images/*.sh' \
        ':(exclude,glob)**/tests/**' ':(exclude,glob)**/*.md'
    git diff --no-ext-diff --binary HEAD -- "$@"
    git ls-files --others --exclude-standard -- "$@" | while read -r file; do
        echo "$file"
        cat "$file"
    done
}

# development_tag VERSION: the version and the commit, and where the sources differ from it, what makes the difference:
# 0.1.0-g0de5476a1b2c, 0.1.0-g0de5476a1b2c-91d3e07f. An image's tag, a label's value and the end of a Job's name.
development_tag() {
    commit=$(git rev-parse HEAD | cut -c 1-12)
    if [ -z "$(image_sources | head -c 1 | od -An -tx1)" ]; then
        echo "$1-g$commit"
    else
        echo "$1-g$commit-$(image_sources | git hash-object --stdin | cut -c 1-8)"
    fi
}

# development_overlay FOLDER TAG: k8s/overlays/dev with another tag, in a folder two levels below this one.
development_overlay() {
    mkdir -p "$1"
    sed 's|\.\./\.\./|../../k8s/|g' k8s/overlays/dev/kustomization.yaml >"$1/kustomization.yaml"
    sed "s|^  tag: .*|  tag: $2|" k8s/overlays/dev/values.yaml >"$1/values.yaml"
}
