#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A PostgreSQL server for tests, on a Unix socket in a folder of its own; nothing listens on TCP.
#
#     test/postgres.sh start    starts it (or finds it running) and prints HOTARU_POSTGRES' value
#     test/postgres.sh stop     stops it and removes the folder
#
# Where no server is installed, start prints nothing and says so on stderr: the tests then skip.
folder=${HOTARU_POSTGRES_FOLDER:-/tmp/hotaru-postgres.$(id -u)}
url="postgresql:///hotaru?host=$folder&user=hotaru"

bin=
for candidate in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin; do
    [ -x "$candidate/initdb" ] && bin=$candidate
done
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb 2>/dev/null)" 2>/dev/null)

# The server refuses to run as root: root hands over to the postgres user of the package.
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

start() {
    if [ -z "$bin" ] || [ ! -x "$bin/initdb" ]; then
        echo "no PostgreSQL server is installed" >&2
        return 0
    fi
    if ! as "$bin/pg_ctl" -D "$folder/data" status >/dev/null 2>&1; then
        rm -rf "$folder"
        mkdir -m 0755 "$folder" || return 1
        [ "$(id -u)" = 0 ] && chown postgres "$folder"
        cd "$folder" || return 1
        as "$bin/initdb" -D "$folder/data" -U hotaru --auth=trust --encoding=UTF8 --locale=C --no-sync \
            >"$folder/initdb.log" 2>&1 || { cat "$folder/initdb.log" >&2; return 1; }
        as "$bin/pg_ctl" -D "$folder/data" -w -l "$folder/data/log" \
            -o "-c listen_addresses='' -c unix_socket_directories='$folder' -c max_connections=20" \
            start >/dev/null 2>&1 || { cat "$folder/data/log" >&2; return 1; }
        as "$bin/createdb" -h "$folder" -U hotaru hotaru || return 1
    fi
    echo "$url"
}

stop() {
    [ -d "$folder/data" ] || return 0
    cd / && as "$bin/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null 2>&1
    rm -rf "$folder"
}

case $1 in
start) start ;;
stop)  stop ;;
*)     sed -n '3,8s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
esac
