# Sourced: builds kube-apiserver and kube-controller-manager with Go into .flotilla/tools, and prints their folder.

# control_plane VERSION: an earlier build, or one from the module k8s.io/kubernetes.
# That module replaces its own parts (k8s.io/api, k8s.io/apiserver, ...) by folders of its repository, which the module
# doesn't carry; here they are replaced by the versions that are published of them: v1.X.Y of the whole is v0.X.Y of each.
control_plane() {
    folder=.flotilla/tools/kubernetes-$1
    if [ ! -x "$folder/kube-apiserver" ] || [ ! -x "$folder/kube-controller-manager" ]; then
        command -v go >/dev/null 2>&1 || return 1
        . scripts/lib/folder.sh
        mkdir -p "$folder.new"
        (cd "$folder.new" && build_control_plane "$1") >&2 || return 1
        rm -rf "$folder"
        mv "$folder.new" "$folder"
    fi
    echo "$(pwd)/$folder"
}

# In a folder of its own: writes the module's files and builds.
build_control_plane() {
    printf 'module tools\n\ngo 1.26.0\n' >go.mod
    own=$(go mod download -json "k8s.io/kubernetes@$1" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
    [ -n "$own" ] || return 1
    for part in $(sed -n 's|^[[:space:]]*\(k8s.io/[a-z-]*\) => ./staging/.*|\1|p' "$own"); do
        go mod edit -replace="$part=$part@v0${1#v1}" || return 1
    done
    go mod edit -require="k8s.io/kubernetes@$1" || return 1
    for program in kube-apiserver kube-controller-manager; do
        CGO_ENABLED=0 go build -mod=mod -trimpath -o "$program" \
            -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$1" "k8s.io/kubernetes/cmd/$program" || return 1
    done
}
