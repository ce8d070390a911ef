#!/bin/sh
# buf lint and format over proto/, with a buf of our own where none is installed.
set -eu
. scripts/tool.sh
buf=$(tool buf buf-bin 1.75.0) || skip buf "buf is not installed and pip can't get it"
"$buf" lint
"$buf" format --diff --exit-code proto
echo "buf: the contracts are clean"
