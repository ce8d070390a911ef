#!/bin/sh
# Runs targets one after the other and says at the end, also where one failed, how long each took and might have taken:
#
#   sh scripts/lib/parts.sh NAME[:SECONDS] TARGET[:SECONDS]...
#
# SECONDS is a budget, for two cold cores; NAME's is for all of it. A part over its budget is marked and no more, because
# machines are shared and a part that waited for a neighbour isn't wrong; the whole over its budget fails. FLOTILLA_BUDGET
# says otherwise: strict fails for a part too (a machine of one's own), off for neither (a machine that is slower).
set -eu
budget=${FLOTILLA_BUDGET:-}
case $budget in '' | strict | off) ;; *) echo "parts: invalid FLOTILLA_BUDGET=$budget; use strict, off or nothing" >&2; exit 2 ;; esac

# seconds_of ARGUMENT: its budget; nothing where it has none.
seconds_of() {
    case $1 in
        *:*[!0-9]* | *: | :*) echo "parts: invalid argument $1; use TARGET or TARGET:SECONDS" >&2; exit 2 ;;
        *:*) echo "${1#*:}" ;;
    esac
}

# row NAME TOOK BUDGET REMARK
row() { printf '%-22s %6s  %6s  %s\n' "$@" | sed 's/ *$//'; }

# over TOOK BUDGET: by how much, where it is.
over() {
    if [ -n "$2" ] && [ "$1" -gt "$2" ]; then echo "over by $(($1 - $2)) s"; fi
}

# table: what was run, and what wasn't.
table() {
    echo "$rows"
    for part in $left; do row "${part%%:*}" - "$(seconds_of "$part")" "not run"; done
    row total "$(($(date +%s) - start))" "$whole" "$(over $(($(date +%s) - start)) "$whole")"
}

[ $# -gt 1 ] || { echo "parts: nothing to run" >&2; exit 2; }
name=${1%%:*}
for part; do seconds_of "$part" >/dev/null; done
whole=$(seconds_of "$1")
shift
start=$(date +%s)
rows=$(row "$name" "took s" budget "")
left=$*
late=
trap 'table; echo "$name: stopped" >&2; exit 130' INT TERM

for part; do
    target=${part%%:*}
    began=$(date +%s)
    status=0
    ${MAKE:-make} --no-print-directory "$target" || status=$?
    took=$(($(date +%s) - began))
    remark=$(over "$took" "$(seconds_of "$part")")
    [ -z "$remark" ] || late="$late $target"
    [ "$status" = 0 ] || remark="failed${remark:+, $remark}"
    rows="$rows
$(row "$target" "$took" "$(seconds_of "$part")" "$remark")"
    case $left in *" "*) left=${left#* } ;; *) left= ;; esac
    if [ "$status" != 0 ]; then
        table
        echo "$name: $target failed" >&2
        exit "$status"
    fi
done

trap - INT TERM
table
spent=$(over $(($(date +%s) - start)) "$whole")
if [ -n "$spent" ] && [ "$budget" != off ]; then
    echo "$name: all checks passed, but together they are $spent (FLOTILLA_BUDGET=off lets it pass)" >&2
    exit 1
fi
if [ -n "$late" ] && [ "$budget" = strict ]; then
    echo "$name: all checks passed, but over their budget were:$late" >&2
    exit 1
fi
echo "$name: all checks passed"
