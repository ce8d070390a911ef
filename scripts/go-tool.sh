# Sourced: builds a tool that is published as a Go module into .flotilla/tools, and prints its path.

# go_tool NAME MODULE VERSION [PACKAGE]: an installed one, or one built from the module (its folder cmd/NAME by default).
# Built in a module of its own rather than by `go install`: that asks which other versions there are, and not every
# proxy has such a list of every module.
go_tool() {
    if command -v "$1" 2>/dev/null; then return 0; fi
    folder=.flotilla/tools/$1-$3
    if [ ! -x "$folder/$1" ]; then
        command -v go >/dev/null 2>&1 || return 1
        . scripts/folder.sh
        mkdir -p "$folder.new"
        printf 'module tools\n\ngo 1.24\n' >"$folder.new/go.mod"
        (cd "$folder.new" && go mod edit -require="$2@$3" && CGO_ENABLED=0 go build -mod=mod -trimpath -o "$1" "$2/${4:-cmd/$1}") >&2 || return 1
        rm -rf "$folder"
        mv "$folder.new" "$folder"
    fi
    echo "$(pwd)/$folder/$1"
}

# The pinned tools for gRPC by hand.
grpcurl_tool() { go_tool grpcurl github.com/fullstorydev/grpcurl v1.9.4; }
grpcui_tool() { go_tool grpcui github.com/fullstorydev/grpcui v1.4.3; }
