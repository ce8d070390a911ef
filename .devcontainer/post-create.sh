#!/bin/sh
# Once, after the container was made: what it lacks, the caches of cargo and of the servers, and the gateway's port. The
# fleet takes the ports of its last run where they are free, and so the one that the editor forwards.
set -eu
sh scripts/run/doctor.sh
. scripts/lib/folder.sh
[ -e .flotilla/service-ports.json ] || printf '{"gateway": 8080}\n' >.flotilla/service-ports.json
make fetch
