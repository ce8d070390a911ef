# Sourced: a Python with the packages of requirements.txt, in an environment of its own under .flotilla/tools.

# k8s_python: prints the interpreter's path. Made anew when a pin changes; offline once it is there. Needs Python 3.11.
k8s_python() {
    pins=$(cat scripts/check/k8s/requirements.txt scripts/check/k8s/constraints.txt | cksum | cut -d ' ' -f 1)
    folder=.flotilla/tools/k8s-python-$pins
    if [ ! -x "$folder/bin/python" ]; then
        python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || return 1
        . scripts/lib/folder.sh
        rm -rf "$folder.new"
        python3 -m venv "$folder.new" >&2 || return 1
        "$folder.new/bin/python" -m pip install --quiet --only-binary :all: --disable-pip-version-check \
            --constraint scripts/check/k8s/constraints.txt --requirement scripts/check/k8s/requirements.txt >&2 || return 1
        mv "$folder.new" "$folder"
    fi
    echo "$(pwd)/$folder/bin/python"
}
