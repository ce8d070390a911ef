#!/bin/sh
# PostgreSQL in a container: makes the cluster where the volume has none, then becomes the server. Needs nothing that
# other images than the published one could lack. Runs as the owner of the volume; the password comes as a secret.
#   sh postgres.sh [FOLDER]
set -eu
data=${1:-/var/lib/postgresql/18/flotilla}
if [ ! -s "$data/PG_VERSION" ]; then
    # Whatever it is, it may be somebody's data.
    if [ -e "$data" ] || [ -L "$data" ]; then echo "$data is there and is no cluster" >&2; exit 1; fi
    # Made beside it and moved: a cluster that is there is a whole one.
    rm -rf "$data.new"
    mkdir -p "${data%/*}"
    initdb --pgdata="$data.new" --username=postgres --pwfile=/run/secrets/postgres_password --auth=scram-sha-256 \
        --encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C >/dev/null
    mv "$data.new" "$data"
fi
# Services and backups come from other containers.
for databases in all replication; do
    rule="host $databases all all scram-sha-256"
    grep -qxF "$rule" "$data/pg_hba.conf" || echo "$rule" >>"$data/pg_hba.conf"
done
exec postgres -D "$data" -c listen_addresses='*' -c max_connections=200 -c shared_buffers=128MB \
    -c max_slot_wal_keep_size=8GB -c shared_preload_libraries=pg_stat_statements -c unix_socket_directories=/var/run/postgresql
