#!/bin/sh
# Whether migrations are safe on live tables: squawk's rules as .squawk.toml has them, and that each says which older
# releases tolerate it. scripts/check/test-migrations.sh tests it.
set -eu
. scripts/lib/tool.sh
squawk=$(tool squawk squawk-cli 2.70.0) || skip migrations "squawk is not installed and pip can't get it"
PYTHONDONTWRITEBYTECODE=1 exec python3 scripts/check/migrations.py "$squawk" "$@"
