# Sourced: a fleet of the script's own, named by $name, on the servers that are fetched already; gone when the script ends.
FLOTILLA_HOME=$(pwd)/.flotilla/$name
export FLOTILLA_HOME
FLOTILLA_SERVERS=$(pwd)/.flotilla
export FLOTILLA_SERVERS
mkdir -p "$FLOTILLA_HOME"
fleet="sh scripts/lib/files-limit.sh ${FLEET:-target/release/fleet}"
trap '$fleet down >/dev/null 2>&1 || true; $fleet reset --yes >/dev/null 2>&1 || true' EXIT
