# Sourced: what the generated clients need, in .flotilla/clients: npm packages and Python packages, as pinned in
# scripts/run/clients. Nothing is fetched again until a pin changes.

clients=.flotilla/clients

# npm_packages: installs the npm packages; fails where node or the packages can't be had.
npm_packages() {
    command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 || return 1
    [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || return 1
    . scripts/lib/folder.sh
    mkdir -p "$clients"
    cmp -s scripts/run/clients/package-lock.json "$clients/installed-lock.json" && return 0
    cp scripts/run/clients/package.json scripts/run/clients/package-lock.json "$clients/"
    (cd "$clients" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2) || return 1
    cp scripts/run/clients/package-lock.json "$clients/installed-lock.json"
}

# python_packages: installs the Python packages; fails where Python or the packages can't be had.
python_packages() {
    command -v python3 >/dev/null 2>&1 || return 1
    . scripts/lib/folder.sh
    mkdir -p "$clients"
    cmp -s scripts/run/clients/requirements.txt "$clients/installed-requirements.txt" && return 0
    for pip in "python3 -m pip" pip3 pip; do
        $pip --version >/dev/null 2>&1 || continue
        rm -rf "$clients/python-packages"
        PIP_ROOT_USER_ACTION=ignore $pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
            --target "$clients/python-packages" --requirement scripts/run/clients/requirements.txt >&2 || continue
        cp scripts/run/clients/requirements.txt "$clients/installed-requirements.txt"
        return 0
    done
    return 1
}
