#!/bin/sh
# Gets what `make up OBS=1` uses beside Prometheus: Zipkin by Maven, the OpenTelemetry Collector and Jaeger built with Go.
# Each is left out, and named, where it can't be had. The first build takes minutes; nothing is installed. Loki takes the
# longest and is built only where it is asked for.
#   sh scripts/run/collector.sh [zipkin] [collector] [jaeger] [loki]
set -eu
folder=$(pwd)/.flotilla/tools/observability
zipkin=3.5.1
. scripts/lib/folder.sh
mkdir -p "$folder"

get_zipkin() {
    [ -f "$folder/zipkin.jar" ] && return 0
    command -v java >/dev/null 2>&1 || { echo "zipkin: Java 17 is missing" >&2; return 1; }
    command -v mvn >/dev/null 2>&1 || { echo "zipkin: Maven is missing; put zipkin-server-$zipkin-exec.jar at $folder/zipkin.jar" >&2; return 1; }
    mvn --quiet --batch-mode dependency:copy -Dartifact="io.zipkin:zipkin-server:$zipkin:jar:exec" -DoutputDirectory="$folder" >&2 || return 1
    mv "$folder/zipkin-server-$zipkin-exec.jar" "$folder/zipkin.jar"
}

# build NAME MODULE PACKAGE: a program of scripts/MODULE/go.mod, whose go.sum pins every module.
build() {
    [ -x "$folder/$1" ] && [ -z "$(find "scripts/run/$2" -type f -newer "$folder/$1")" ] && return 0
    command -v go >/dev/null 2>&1 || { echo "$1: Go is missing" >&2; return 1; }
    echo "building $1: this takes minutes" >&2
    (cd "scripts/run/$2" && CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags='-s -w' -o "$folder/$1.new" "$3") >&2 || return 1
    mv "$folder/$1.new" "$folder/$1"
}

status=0
for wanted in ${*:-zipkin collector jaeger}; do
    case $wanted in
        zipkin) get_zipkin || status=1 ;;
        collector) build collector collector . || status=1 ;;
        jaeger) build jaeger collector github.com/jaegertracing/jaeger/cmd/jaeger || status=1 ;;
        loki) build loki loki github.com/grafana/loki/v3/cmd/loki || status=1 ;;
        *) echo "collector: unknown program $wanted; use one of zipkin, collector, jaeger, loki" >&2; exit 1 ;;
    esac
done
exit "$status"
