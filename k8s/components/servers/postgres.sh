# Makes the cluster of databases where there is none yet, then becomes the server. Needs a shell, initdb and postgres.
set -eu
data=/var/lib/postgresql/18/data
if [ ! -s "$data/PG_VERSION" ]; then
    # In a folder beside it, renamed when it is whole: an interrupted initdb is begun anew.
    rm -rf "$data.new"
    mkdir -p "$data.new"
    initdb --pgdata "$data.new" --username postgres --pwfile /run/secrets/postgres/password \
        --auth-local reject --auth-host scram-sha-256 --encoding UTF8 \
        --locale-provider builtin --builtin-locale C.UTF-8 --locale C
    echo 'host all all all scram-sha-256' >>"$data.new/pg_hba.conf"
    mv "$data.new" "$data"
fi
exec postgres -D "$data" -c listen_addresses='*' -c port=5432 -c unix_socket_directories= -c max_connections=200 \
    -c shared_buffers=128MB -c logging_collector=off -c log_destination=stderr
