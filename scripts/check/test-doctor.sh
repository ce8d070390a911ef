#!/bin/sh
# `make doctor` on machines that lack something: a search path with little in it, programs that are too old, a full disk, a
# low limit. It must name what is missing, say how to get it, and end with 1 only where make up or make test need it.
set -eu
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
fail() { echo "test-doctor: $1" >&2; [ -z "${said:-}" ] || echo "$said" >&2; exit 1; }

mkdir -p "$room/here/scripts/run" "$room/base" "$room/whole"
cp scripts/run/doctor.sh "$room/here/scripts/run/"
cp Cargo.toml "$room/here/"
shell=$(command -v sh)
# What any Unix has.
for program in cat dirname id; do ln -s "$(command -v $program)" "$room/base/$program"; done

# stub FOLDER NAME TEXT: a program that says so.
stub() {
    printf '#!%s\necho "%s"\n' "$shell" "$3" >"$room/$1/$2"
    chmod +x "$room/$1/$2"
}
# on FOLDER: runs it there with nothing but that folder to search.
on() {
    status=0
    said=$(PATH=$room/$1 NO_COLOR= "$shell" "$room/here/scripts/run/doctor.sh" 2>&1) || status=$?
}
says() { case $said in *"$1"*) ;; *) fail "it doesn't say: $1" ;; esac; }
hides() { case $said in *"$1"*) fail "it says: $1" ;; esac; }

# A machine with nothing.
on base
[ "$status" = 1 ] || fail "a bare machine ends with $status"
for name in cargo rustc "C compiler" make ps pip; do says "MISSING  $name"; done
says "sudo apt-get install -y gcc make procps python3-pip"
says "sudo dnf install -y gcc make procps-ng python3-pip"
says "brew install gcc make python"
says "https://sh.rustup.rs"
says "6 missing for make up and make test"
hides "$(printf '\033')"

# A machine with everything that is needed, and nothing else.
cp -P "$room"/base/* "$room/whole/"
wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
stub whole cargo "cargo $wanted.0 (000000000 2026-01-01)"
stub whole rustc "rustc $wanted.0 (000000000 2026-01-01)"
stub whole pip3 "pip 24.0 from /usr/lib (python 3.11)"
stub whole df "Filesystem 1024-blocks Used Available Capacity Mounted on
/dev/x 90000000 1 80000000 1% /"
for program in cc make ps; do stub whole $program ""; done
on whole
[ "$status" = 0 ] || fail "a whole machine ends with $status"
hides MISSING
says "everything is here"
says "missing  Docker"
says "docker.io"

# One thing wrong at a time.
broken() {
    rm -rf "$room/broken"
    cp -RP "$room/whole" "$room/broken"
}
broken
stub broken cargo "cargo 1.70.0 (000000000 2023-06-01)"
on broken
[ "$status" = 1 ] || fail "an old cargo ends with $status"
says "1.70.0 is too old, $wanted or newer is needed"
says "rustup update stable"
broken
stub broken df "Filesystem 1024-blocks Used Available Capacity Mounted on
/dev/x 90000000 1 900000 99% /"
on broken
[ "$status" = 1 ] || fail "a full disk ends with $status"
says "only 900 MB are free"
broken
rm "$room/broken/pip3"
on broken
[ "$status" = 1 ] || fail "no pip ends with $status"
says "1 missing for make up and make test"
mkdir -p "$room/here/.flotilla/servers/cache"
: >"$room/here/.flotilla/servers/cache/settled-linux-x86_64.json"
on broken
[ "$status" = 0 ] || fail "servers that are fetched already need no pip, but it ends with $status"

broken
stub broken node v18.20.4
on broken
[ "$status" = 0 ] || fail "an old node ends with $status"
says "18.20.4 is too old for make generate"

status=0
said=$(ulimit -n 512 && PATH=$room/whole "$shell" "$room/here/scripts/run/doctor.sh") || status=$?
[ "$status" = 1 ] || fail "a low limit of open files ends with $status"
says "at most 512 are allowed"

# Colour on a terminal alone, and not against the user's wish.
if command -v python3 >/dev/null 2>&1; then
    on_terminal() {
        said=$(python3 -c 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' \
            env "PATH=$room/whole" "NO_COLOR=$1" "$shell" "$room/here/scripts/run/doctor.sh" </dev/null) || fail "it fails on a terminal"
    }
    on_terminal ''
    says "$(printf '\033[32m')"
    on_terminal 1
    hides "$(printf '\033')"
fi
echo "test-doctor: it names what is missing and how to get it"
