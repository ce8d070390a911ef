#!/bin/sh
# Gets Prometheus, promtool, Alertmanager, amtool and VictoriaMetrics from Debian's packages into .flotilla/tools, without
# installing them: no root, no system service. Run by itself it says what there is; sourced it gives `observability_tool`.
folder=.flotilla/tools/observability

# observability_tool NAME...: the path of the first of the names that is fetched, built or installed.
observability_tool() {
    for wanted in "$@"; do
        if [ -x "$folder/$wanted" ]; then echo "$(pwd)/$folder/$wanted"; return 0; fi
    done
    for wanted in "$@"; do command -v "$wanted" 2>/dev/null && return 0; done
    return 1
}

# The packages, each after the program by which it is known to be there, with what its pages are made of.
packages() {
    cat <<'TABLE'
prometheus prometheus libjs-bootstrap4 libjs-d3 libjs-eonasdan-bootstrap-datetimepicker libjs-jquery libjs-jquery-hotkeys libjs-moment libjs-moment-timezone libjs-mustache libjs-popper.js libjs-rickshaw fonts-glyphicons-halflings
prometheus-alertmanager prometheus-alertmanager
victoria-metrics victoria-metrics
TABLE
}

# from_debian PACKAGE...: unpacks packages and takes the first one's programs. Debian's Prometheus and Alertmanager read
# their pages and templates from /usr/share, where nothing is installed: here they look where they are started.
from_debian() {
    tree=$folder/debian
    rm -rf "$tree/packages"
    mkdir -p "$tree/packages"
    (cd "$tree/packages" && apt-get download --quiet=2 "$@" >/dev/null 2>&1 && for file in *.deb; do dpkg-deb -x "$file" ..; done) || return 1
    rm -rf "$tree/packages"
    for program in prometheus promtool prometheus-alertmanager amtool victoria-metrics; do
        [ -f "$tree/usr/bin/$program" ] || continue
        LC_ALL=C sed -e 's#/usr/share/prometheus/web#/proc/self/cwd/web///////#g' \
            -e 's#/usr/share/prometheus/alertmanager#/proc/self/cwd////////////////////#g' "$tree/usr/bin/$program" >"$folder/$program.new"
        chmod 755 "$folder/$program.new"
        mv "$folder/$program.new" "$folder/$program"
    done
    rm -rf "$tree/usr/bin"
    [ ! -d "$tree/usr/share/prometheus/web" ] || ln -sfn debian/usr/share/prometheus/web "$folder/web"
    for file in "$tree"/usr/share/prometheus/alertmanager/*.tmpl; do [ ! -f "$file" ] || cp "$file" "$folder/"; done
}

get_prometheus() {
    command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 || return 0
    . scripts/lib/folder.sh
    mkdir -p "$folder"
    packages | while read -r program needed; do
        observability_tool "$program" >/dev/null && continue
        # A machine that is new has no list of packages yet, or an old one; only root may fetch it.
        # shellcheck disable=SC2086 # one argument each
        from_debian $needed || { [ "$(id -u)" = 0 ] && apt-get update --quiet=2 >/dev/null 2>&1 && from_debian $needed; } ||
            echo "observability: $program can't be fetched from Debian; install it: apt-get install $program" >&2
    done
}

get_prometheus
case $0 in *prometheus.sh)
    for program in prometheus prometheus-alertmanager victoria-metrics; do
        observability_tool "$program" >/dev/null || { echo "observability: $program is missing: install it, or run this on Debian" >&2; missing=1; }
    done
    exit "${missing:-0}" ;;
esac
