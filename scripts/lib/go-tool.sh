# Sourced: builds a tool that is published as a Go module into .flotilla/tools, and prints its path.

# go_tool NAME MODULE VERSION [PACKAGE]: an installed one, or one built from the module (its folder cmd/NAME by default).
go_tool() {
    if command -v "$1" 2>/dev/null; then return 0; fi
    go_built "$1" "$2" "$3" "$2/${4:-cmd/$1}"
}

# go_built NAME MODULE VERSION PACKAGE: one built from exactly that version of the module. It is built in a temporary module
# rather than by `go install`, which asks the proxy for a list of versions that not every proxy has for every module.
go_built() {
    folder=.flotilla/tools/$1-$3
    if [ ! -x "$folder/$1" ]; then
        command -v go >/dev/null 2>&1 || return 1
        . scripts/lib/folder.sh
        mkdir -p "$folder.new"
        printf 'module tools\n\ngo 1.24\n' >"$folder.new/go.mod"
        (cd "$folder.new" && go mod edit -require="$2@$3" && CGO_ENABLED=0 go build -mod=mod -trimpath -o "$1" "$4") >&2 || return 1
        rm -rf "$folder"
        mv "$folder.new" "$folder"
    fi
    echo "$(pwd)/$folder/$1"
}

# The oldest kustomize that has to render the manifests, and one between it and the newest: kubectl 1.27 has 5.0.1, and
# kubectl 1.32 has 5.5.0.
kustomize_oldest() { go_built kustomize sigs.k8s.io/kustomize/kustomize/v5 v5.0.0 sigs.k8s.io/kustomize/kustomize/v5; }
kustomize_between() { go_built kustomize sigs.k8s.io/kustomize/kustomize/v5 v5.5.0 sigs.k8s.io/kustomize/kustomize/v5; }

# The pinned tools for gRPC by hand.
grpcurl_tool() { go_tool grpcurl github.com/fullstorydev/grpcurl v1.9.4; }
grpcui_tool() { go_tool grpcui github.com/fullstorydev/grpcui v1.4.3; }
