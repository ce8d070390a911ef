#!/bin/sh
# Backups of PostgreSQL, in containers of its image beside it (service `archive`; docs/runbooks/restore-databases.md):
#   archive               WAL to wal/ as it is made; a slot holds back what isn't there yet. Runs until it is stopped
#   streams               whether that goes on: the container's health
#   base                  a base backup, verified, in base/<time>
#   list                  base backups, and how far WAL reaches
#   forget                drops the slot: PostgreSQL holds nothing back any more
#   restore BASE [TIME]   the cluster of /data as it was at TIME, else at the end of the archive
# Times are like 2026-01-31T11:59:00Z. All but `restore`, which needs PostgreSQL to be down, ask the server `postgres`.
set -eu
backup=${FLOTILLA_BACKUP_FOLDER:-/var/lib/postgresql}
cluster=${FLOTILLA_CLUSTER:-/data/18/flotilla}
fail() { echo "backup: $1" >&2; exit 1; }
if [ -r /run/secrets/postgres_password ]; then PGPASSWORD=$(cat /run/secrets/postgres_password); export PGPASSWORD; fi
export PGHOST="${PGHOST:-postgres}" PGUSER=postgres PGDATABASE=postgres PGAPPNAME=archive
ask() { psql --no-psqlrc --no-password --tuples-only --no-align --command "$1"; }

archive() {
    mkdir -p "$backup/wal"
    if [ "$(ask "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'archive'")" = 0 ]; then
        # What happened since can't be had any more, or the cluster was restored: either is another history.
        [ -z "$(ls "$backup/wal")" ] || fail "the archive was stopped, or is of another cluster: begin a new volume"
        ask "SELECT pg_create_physical_replication_slot('archive', true)" >/dev/null
    fi
    exec pg_receivewal --no-password --slot=archive --synchronous --directory="$backup/wal"
}

streams() {
    found=$(ask "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'archive' AND state = 'streaming'")
    [ "$found" != 0 ] || fail "WAL doesn't get to the archive"
}

# Beside its place and moved: what is there is whole.
base() {
    streams
    name=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    mkdir -p "$backup/base"
    rm -rf "$backup/base/.new"
    PGAPPNAME=base pg_basebackup --no-password --checkpoint=fast --pgdata="$backup/base/.new"
    pg_verifybackup --exit-on-error --quiet "$backup/base/.new"
    mv "$backup/base/.new" "$backup/base/$name"
    echo "$name"
}

list() {
    ls -1 "$backup/base" 2>/dev/null || true
    echo "WAL: $(ls "$backup/wal" 2>/dev/null | wc -l) files, the last written $(find "$backup/wal" -type f -printf '%TY-%Tm-%TdT%.8TTZ\n' | sort | tail -n 1)"
}

forget() { ask "SELECT pg_drop_replication_slot('archive')" >/dev/null; }

# In a new cluster beside the old one; swapped only when the point is reached.
restore() {
    from=$backup/base/${1:?which base backup: see list}
    [ -s "$from/PG_VERSION" ] || fail "there is no base backup $1"
    if pg_isready --quiet; then fail "PostgreSQL runs: stop it first"; fi
    new=$cluster.restored
    log=/tmp/recovery.log
    rm -rf "$new" /tmp/ended
    mkdir -p "${cluster%/*}"
    cp -a "$from" "$new"
    touch "$new/recovery.signal"
    echo 'local all all trust' >/tmp/pg_hba.conf
    # A setting knows no names of time zones, not even Z.
    set -- "$(echo "${2:-}" | sed 's/T/ /; s/Z$/+00/')"
    # A file that isn't there ends the archive. One that can't be copied must not: above 125 the server gives up.
    fetch="for file in $backup/wal/%f $backup/wal/%f.partial; do if test -f \$file; then cp \$file %p || exit 255; exit 0; fi; done; exit 1"
    (
        # As many connections as it had, or it refuses to replay.
        postgres -D "$new" ${1:+-c "recovery_target_time=$1"} -c recovery_target_action=promote \
            -c "restore_command=$fetch" \
            -c max_connections=200 -c listen_addresses= -c unix_socket_directories=/tmp -c hba_file=/tmp/pg_hba.conf >"$log" 2>&1 || true
        touch /tmp/ended
    ) &
    until [ "$(PGHOST=/tmp ask 'SELECT pg_is_in_recovery()' 2>/dev/null)" = f ]; do
        if [ -e /tmp/ended ]; then
            tail -n 20 "$log" >&2
            rm -rf "$new"
            fail "the point wasn't reached; the cluster is as it was"
        fi
        sleep 0.5
    done
    # To PostgreSQL a segment that is missing is the archive's end.
    newest=$(ls "$backup/wal" | grep -E '^[0-9A-F]{24}$' | cut -c 9- | sort | tail -n 1)
    came_to=$(PGHOST=/tmp ask 'SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 9)')
    if [ -z "$1" ] && [ "$(printf '%s\n' "$newest" "$came_to" | sort | tail -n 1)" != "$came_to" ]; then
        pg_ctl --silent --pgdata="$new" --mode=immediate stop
        rm -rf "$new"
        fail "the replay ended in segment $came_to although the archive goes on to $newest; the cluster is as it was"
    fi
    reached=$(sed -n 's/.*LOG:  \(last completed transaction was at log time .*\)/\1/p' "$log" | tail -n 1)
    pg_ctl --silent --pgdata="$new" --mode=fast stop
    if [ -e "$cluster" ]; then
        before=$cluster.before-$(date -u +%Y%m%dT%H%M%SZ)
        mv "$cluster" "$before"
        echo "the old cluster is ${before##*/}"
    fi
    mv "$new" "$cluster"
    echo "restored: ${reached:-nothing was to be replayed}"
}

command=${1:-}
case $command in
archive | streams | base | list | forget | restore) shift; "$command" "$@" ;;
*) fail "$command is not known: archive, streams, base, list, forget, restore" ;;
esac
