#!/bin/sh
# Fills PostgreSQL's and NATS' disks under load for FLOTILLA_DISK_SECONDS (default 45) and frees them again: nothing may be
# lost, and events must flow again within 30 s. The disks are small in-memory file systems. Root may mount them; other users
# do so in a user namespace, if the system allows one.
set -eu
. scripts/lib/tool.sh
FLOTILLA_DISK_SECONDS=${FLOTILLA_DISK_SECONDS:-45}
export FLOTILLA_DISK_SECONDS
[ "$(uname -s)" = Linux ] || skip test-full-disk "it needs Linux"
enter=
if [ "$(id -u)" != 0 ]; then
    enter="unshare --user --map-current-user --mount --keep-caps"
    $enter true 2>/dev/null || skip test-full-disk "no file system can be mounted: neither root nor a user namespace"
fi
cargo test --profile ci -p flotilla-messaging --test it --no-run
CI=true $enter cargo test --profile ci -p flotilla-messaging --test it -- --nocapture real::full_disk
