#!/bin/sh
# Runs targets one after the other, and says at the end how long each took: sh scripts/parts.sh NAME TARGET...
set -eu
name=$1
shift
took=
for part; do
    began=$(date +%s)
    ${MAKE:-make} --no-print-directory "$part"
    took="$took$(printf '%6d s  %s' $(($(date +%s) - began)) "$part")
"
done
printf '%s' "$took"
echo "$name: all checks passed"
