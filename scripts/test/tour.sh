#!/bin/sh
# Runs the blocks of the README's tour as they stand, from top to bottom, in bash and in zsh, on a fleet of their own, and
# looks at what came of them. Only two paths are others: that of the file with variables (the README's is the checkout's
# fleet's), and that of the fleet command, which may be built in another profile.
set -eu
. scripts/lib/tool.sh
shells="bash zsh"
missing=
for tool in zsh jq; do command -v $tool >/dev/null 2>&1 || missing="$missing $tool"; done
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    install="apt-get install --yes --quiet --no-install-recommends$missing"
    # A machine that is new has no list of packages yet, or an old one.
    $install >&2 || { apt-get update --quiet >&2 && $install >&2; } || true
fi
command -v jq >/dev/null 2>&1 || skip tour "jq is not installed"
if ! command -v zsh >/dev/null 2>&1; then
    (skip tour-in-zsh "zsh is not installed")
    shells=bash
fi
name=tour
. scripts/lib/own-fleet.sh
fail() { echo "tour: $1" >&2; exit 1; }

tour=$FLOTILLA_HOME/tour.sh
awk '/^## /{ tour = /^## A first tour/ } /^```/{ block = tour && /^```sh/; next } block' README.md |
    sed "s|^\. \.flotilla/env$|. '$FLOTILLA_HOME/env'|; s|target/release/fleet|$fleet|g" >"$tour"
[ "$(wc -l <"$tour")" -gt 20 ] || fail "the README's tour has no blocks"
# Pasted into an interactive zsh, a comment is a command that isn't found.
if grep -n '\(^\|[[:space:]]\)#' "$tour"; then fail "comments in the tour's blocks"; fi
grep -qF "$FLOTILLA_HOME/env" "$tour" || fail "the tour doesn't read the variables"

$fleet up >/dev/null
for shell in $shells; do
    case $shell in zsh) options=-f ;; *) options=--noprofile ;; esac
    said=$FLOTILLA_HOME/$shell.log
    # Uses variables that the tour sets.
    # shellcheck disable=SC2016
    check='curl -fsS "$api/v1/$order" -H "authorization: Bearer $ada" | jq -e ".state == \"ORDER_STATE_CONFIRMED\"" >/dev/null'
    { echo 'set -eu'; cat "$tour"; echo "$check"; } >"$FLOTILLA_HOME/$shell.sh"
    $shell $options "$FLOTILLA_HOME/$shell.sh" >"$said" 2>&1 || { tail -n 20 "$said" >&2; fail "a step fails in $shell"; }
    for wanted in 'CONFIRMED' '"Brass lantern"' 'flotilla.orders.v1.OrderService' '"received"'; do
        grep -qF "$wanted" "$said" || fail "the tour in $shell doesn't print $wanted"
    done
done
echo "tour: the README's tour works in $shells"
