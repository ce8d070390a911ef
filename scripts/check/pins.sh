#!/bin/sh
# Whether docs/pins.md tells the truth: every image, action and tool that a file pins is listed there with the same
# version and place, and nothing else is. No version may be `latest`, a branch or a digest. scripts/check/test-pins.sh tests it.
#   sh scripts/check/pins.sh [--list]
set -eu
PYTHONDONTWRITEBYTECODE=1 exec python3 scripts/check/pins.py "$@"
