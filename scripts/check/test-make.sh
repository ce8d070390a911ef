#!/bin/sh
# Variables of make: an unknown name or value is refused, and those in the documentation are known.
set -eu
cd "$(dirname "$0")/../.."
fail() { echo "test-make: $1" >&2; exit 1; }
say() { make --no-print-directory --dry-run "$@" 2>&1; }
refused() {
    wanted=$1
    shift
    if said=$(say "$@"); then fail "make $* is accepted"; fi
    case $said in *"$wanted"*) ;; *) fail "make $* says: $said" ;; esac
}
refused 'unknown variable TSL' status TSL=1
refused 'unknown value maybe of TLS' status TLS=maybe
refused 'unknown value flase of OBS' status OBS=flase
refused 'unknown value composse of RUNTIME' down RUNTIME=composse
refused 'unknown value debug of PROFILE' build PROFILE=debug
refused 'unknown variable MAKEFOO' status MAKEFOO=1
for given in TLS=1 TLS=0 TLS= OBS=yes PROFILE=ci 'ARGS=--orders 5 --x=2' RUNTIME=k8s; do
    say status "$given" >/dev/null || fail "make status '$given' is refused"
done
# Without the fleet command it isn't known what belongs to whom.
if said=$(make --no-print-directory reset FLEET=/nonexistent/fleet 2>&1); then fail "make reset goes on without the fleet command"; fi
case $said in *'run make build first'*) ;; *) fail "make reset says: $said" ;; esac
for name in $(grep -rhoE 'make [a-z0-9-]+( [A-Z_]+=[^ ]*)+' docs README.md k8s compose .ci .github | grep -oE '[A-Z_]+=' | sort -u); do
    case $name in RUNTIME= | PROFILE=) continue ;; esac
    say status "${name}1" >/dev/null || fail "the documentation gives make $name, which is refused"
done
echo "test-make: unknown variables and values are refused"
