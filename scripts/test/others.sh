#!/bin/sh
# The fleet as others run it: as root in a folder that nobody else can enter, and as an ordinary user.
# An ordinary user who runs this has shown the second part already, and can't show the first.
set -eu
if [ "$(id -u)" != 0 ]; then
    echo "others: run by an ordinary user; root's part is for root"
    exit 0
fi
unset FLOTILLA_HOME FLOTILLA_SERVERS
fleet=${FLEET:-target/release/fleet}
case $fleet in /*) ;; *) fleet=$(pwd)/$fleet ;; esac
closed=$(mktemp -d "${HOME:-/root}/flotilla-try-XXXXXX")
open=$(mktemp -d /tmp/flotilla-try-XXXXXX)
clean() {
    "$fleet" --home "$closed/.flotilla" down >/dev/null 2>&1 || true
    "$fleet" --home "$closed/.flotilla" reset --yes >/dev/null 2>&1 || true
    as_user "$open/bin/fleet" --home "$open/home" down >/dev/null 2>&1 || true
    # Nobody may enter the closed folder, so its servers live outside of it; the record says where.
    servers=$(sed -n 's|.*"home": *"\(/var/tmp/flotilla-[A-Za-z0-9]*\)".*|\1|p' "$closed/.flotilla/run-as.json" 2>/dev/null || true)
    [ -z "$servers" ] || rm -rf "$servers"
    rm -rf "$closed" "$open"
}
as_user() {
    env HOME="$open" setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}
trap clean EXIT

echo "others: as root in $closed"
chmod 700 "$closed"
(cd "$closed" && "$fleet" --home .flotilla up && "$fleet" --home .flotilla demo --products 200 --orders 100 --customers 5 && "$fleet" --home .flotilla down)

echo "others: as an ordinary user"
mkdir -p "$open/bin" "$open/home"
cp "$fleet" "${fleet%/*}/flotilla" "$open/bin/"
chown -R 65534:65534 "$open"
chmod 755 "$open"
(cd "$open" && as_user bin/fleet --home home up && as_user bin/fleet --home home demo --products 200 --orders 100 --customers 5 && as_user bin/fleet --home home down)
echo "others: the fleet runs as root and as an ordinary user"
