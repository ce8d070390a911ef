# Sourced: one server in the background on a free port of loopback, with a folder of its own; both gone when the script ends.
scratch=$(mktemp -d)
server=
end() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    rm -rf "$scratch"
}
trap end EXIT
trap 'exit 1' INT TERM
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

# until_up NAME COMMAND...: waits until the command succeeds; ends the script, with the server's log, where it never does.
until_up() {
    name=$1
    shift
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$server" 2>/dev/null; then
            echo "$name: the server didn't come up:" >&2
            tail -20 "$scratch/log" >&2
            exit 1
        fi
        sleep 0.1
    done
}
