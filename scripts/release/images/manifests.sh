#!/bin/sh
# Inside the build: manifests.sh SOURCES TARGET copies the manifests of the workspace, its settings of cargo and the list of services, with empty sources for every crate.
set -eu
cd "$1"
find . -name Cargo.toml -o -name Cargo.lock -o -path ./.cargo/config.toml -o -path ./services/services.txt | while read -r file; do
    mkdir -p "$2/${file%/*}"
    cp "$file" "$2/$file"
done
# Programs and build scripts need a main; libraries may be empty. What a manifest names by `path` has to be there as well.
find . -path '*/src/lib.rs' -o -path '*/src/main.rs' -o -path '*/src/bin/*.rs' -o -name build.rs -not -path '*/src/*' | while read -r file; do
    mkdir -p "$2/${file%/*}"
    case $file in */lib.rs) : >"$2/$file" ;; *) echo 'fn main() {}' >"$2/$file" ;; esac
done
# The same time on every file: the layer is the same whenever it is made.
find "$2" -exec touch -h -d @0 {} +
