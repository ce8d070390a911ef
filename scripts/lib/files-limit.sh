#!/bin/sh
# Runs a command with as many open files as are allowed, up to 65536.
hard=$(ulimit -H -n)
if [ "$hard" = unlimited ] || [ "$hard" -gt 65536 ]; then hard=65536; fi
ulimit -S -n "$hard" 2>/dev/null || true
exec "$@"
