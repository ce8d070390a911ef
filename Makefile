# Flotilla: `make` lists the targets.
SHELL := /bin/sh
CARGO ?= cargo
# What `cargo` compiles the fleet as: release, or ci, which is compiled together with the tests. Checks and tests are ci's
# always, so that crates of others are compiled once for all of them.
PROFILE ?= release
FLEET = target/$(PROFILE)/fleet
RUNTIME ?= native
# Further arguments of demo, replay, bench, chaos, logs and others: make demo ARGS="--orders 5000"
ARGS ?=
# TLS=1: mutual TLS between all services, TLS at the gateway
TLS ?= $(FLOTILLA_TLS)
# OBS=1: Prometheus, Alertmanager, the Collector, Zipkin and Jaeger beside the fleet, as far as they can be had
OBS ?= $(FLOTILLA_OBSERVABILITY)
# ONE_PROCESS=1: all six services in one process
ONE_PROCESS ?= $(FLOTILLA_ONE_PROCESS)
export RUNTIME FLEET

# A variable that nothing reads has no effect, so a typo would be ignored silently.
VARIABLES := ARGS BASE BREAKS BUF_AGAINST CARGO CASES FLEET KUBECTL OBS ONE_PROCESS ORDERS PROFILE REGISTRY ROUNDS RUNTIME SECONDS_EACH SEED \
	SERVICE SHELL TAG TLS TOKEN UPGRADE_FROM
GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
UNKNOWN := $(filter-out $(VARIABLES) FLOTILLA_% MAKE MAKEFLAGS MAKEOVERRIDES,$(GIVEN))
ifneq ($(UNKNOWN),)
$(error unknown variable $(UNKNOWN): choose among $(VARIABLES))
endif
ifneq ($(filter-out native compose k8s,$(RUNTIME)),)
$(error unknown value $(RUNTIME) of RUNTIME: choose native, compose or k8s)
endif
ifeq ($(filter release ci,$(PROFILE)),)
$(error unknown value $(PROFILE) of PROFILE: choose release or ci)
endif
ifeq ($(strip $(RUNTIME)),)
override RUNTIME := native
endif
override TLS := $(strip $(TLS))
override OBS := $(strip $(OBS))
override ONE_PROCESS := $(strip $(ONE_PROCESS))
NO := 0 no off false
SWITCH := $(NO) 1 yes on true
$(foreach name,TLS OBS ONE_PROCESS,$(if $(filter-out $(SWITCH),$($(name))),$(error unknown value $($(name)) of $(name): choose 1 or 0)))

.DEFAULT_GOAL := help
.PHONY: help build up up-native up-compose up-k8s down restart status logs demo replay chaos bench bench-growth bench-growth-short bench-plain bench-telemetry bench-one-process profile reset fetch \
	test lint fmt fmt-check clippy buf layers doc docs proto generate test-clients drive doctor images sbom test-images test-compose compose-check k8s-check k8s-apiserver k8s-containers upgrade-test backup restore workflows pins certs grpcurl grpcui test-grpcurl test-tour contract conformance-rpc test-flagd test-browser test-vault test-aws test-faults test-attacks test-attacks-short test-metrics test-full-disk test-observability observability-tools dashboards others mutants mutants-short mutants-check ci ci-long

help:
	@echo "\`make up\` runs the fleet, \`make test\` runs the tests; no setup is needed before."
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z][a-z0-9-]*:.*## / { printf "  %-19s %s\n", $$1, $$2 }' Makefile

##@ Run

build: ## Build the services and the fleet command in release mode; PROFILE=ci builds them and all tests as CI does
	@sh scripts/run/preflight.sh
	@$(CARGO) build --profile $(PROFILE) --locked $(if $(filter ci,$(PROFILE)),--workspace --all-targets,-p flotilla-fleet --bins)

up: ## Start the fleet, natively or with RUNTIME=compose or k8s; TLS=1 adds mutual TLS, OBS=1 Prometheus and tracing, ONE_PROCESS=1 runs all services in one process
	@$(MAKE) --no-print-directory up-$(RUNTIME)

up-native: build
	@if [ -n "$(filter-out $(NO),$(OBS))" ]; then sh scripts/run/prometheus.sh || true; fi
	@FLOTILLA_TLS="$(TLS)" FLOTILLA_OBSERVABILITY="$(OBS)" FLOTILLA_ONE_PROCESS="$(ONE_PROCESS)" sh scripts/lib/files-limit.sh $(FLEET) up

up-compose: build
	@FLOTILLA_TLS="$(TLS)" FLOTILLA_OBSERVABILITY="$(OBS)" FLOTILLA_ONE_PROCESS="$(ONE_PROCESS)" sh scripts/run/compose-up.sh

up-k8s:
	@sh scripts/run/k8s-up.sh

down: ## Stop what `make up` started, and nothing else
	@if [ -x $(FLEET) ]; then $(FLEET) down; else echo "the fleet isn't up"; fi

restart: build ## Restart the fleet, or one member: make restart ARGS=orders
	@sh scripts/lib/files-limit.sh $(FLEET) restart $(ARGS)

status: ## Show services and servers with addresses, process ids and memory
	@if [ -x $(FLEET) ]; then $(FLEET) status; else echo "the fleet isn't up: run make up to start it"; exit 1; fi

logs: ## Print the logs: make logs ARGS="orders --follow"
	@$(FLEET) logs $(ARGS)

demo: ## Simulate a shop's day on the running fleet; report outcomes and latencies, check the invariants
	@$(FLEET) demo $(ARGS)

replay: ## Replay a small set of realistic orders on the running fleet
	@$(FLEET) replay --products data/products.csv --customers data/customers.csv --orders data/orders.csv $(ARGS)

chaos: ## Run the demo while processes are killed and streams lose messages (seeded), then check the invariants
	@$(FLEET) chaos $(ARGS)

bench: up ## Compare the fleet with bare PostgreSQL and the gateway with Envoy, in turn; write the figures to docs/bench
	@sh scripts/run/bench.sh $(ARGS)

profile: up ## Profile the running fleet at full load, as root: flame graphs in docs/bench
	@FLEET=$(FLEET) sh scripts/run/profile.sh

bench-growth: build ## Measure what history, a popular product and large baskets cost, and a transaction that stays open for five minutes
	@sh scripts/test/growth.sh

bench-growth-short: build ## The same with a short history and wider limits
	@sh scripts/test/growth.sh --short

bench-plain: up ## Measure a program that does the same job one message and one transaction at a time
	@sh scripts/test/bench-plain.sh $(ARGS)

bench-telemetry: build ## Measure the cost of logs, metrics and traces, on temporary fleets
	@sh scripts/test/bench-telemetry.sh

bench-one-process: build ## Measure what splitting costs: six processes beside one, on temporary fleets
	@sh scripts/test/bench-one-process.sh

grpcurl: ## Call the running fleet: make grpcurl ARGS="describe flotilla.orders.v1.OrderService"
	@FLEET=$(FLEET) sh scripts/run/grpc-by-hand.sh grpcurl $(ARGS)

grpcui: ## Open a web page to call the running fleet
	@FLEET=$(FLEET) sh scripts/run/grpc-by-hand.sh grpcui $(ARGS)

backup: ## Back up the databases and archive their WAL from then on: make backup ARGS=folder
	@$(FLEET) backup $(ARGS)

restore: ## Restore a stopped fleet's databases: make restore ARGS="folder --to 2026-11-29T12:00:00Z"
	@$(FLEET) restore $(ARGS)

reset: ## Delete the data of a stopped fleet; lists them and asks for confirmation (ARGS=--yes skips it)
	@if [ -x $(FLEET) ]; then $(FLEET) reset $(ARGS); \
	else echo "reset needs the fleet command: run make build first" >&2; exit 1; fi

certs: build ## Create or renew the development certificates: make certs ARGS="--renew"
	@$(FLEET) certs $(ARGS)

fetch: ## Fill the caches of cargo and of the servers, for FLOTILLA_OFFLINE=1
	@$(CARGO) fetch --locked
	@$(MAKE) --no-print-directory build
	@$(FLEET) fetch

doctor: ## Show what is missing on this machine, and how to get it
	@sh scripts/run/doctor.sh

##@ Develop

test: ## Run all tests; they start their own servers
	@sh scripts/run/preflight.sh
	@FLEET=target/ci/fleet sh scripts/lib/files-limit.sh $(CARGO) test --profile ci --workspace --locked

lint: fmt-check clippy buf layers workflows pins mutants-check doc ## Check format, clippy, buf, layers, the list of services, workflows, Dockerfiles, pins, planted faults, docs

fmt: ## Format the code
	@$(CARGO) fmt --all

fmt-check:
	@$(CARGO) fmt --all --check

clippy:
	@$(CARGO) clippy --profile ci --workspace --all-targets --locked -- -D warnings
	@$(CARGO) clippy --profile ci --workspace --test faults --test upgrade --test attacks --locked -- -D warnings

buf:
	@sh scripts/check/buf.sh

layers:
	@python3 scripts/check/layers.py
	@python3 scripts/check/services.py

workflows:
	@sh scripts/check/workflows.sh
	@sh scripts/check/test-parts.sh
	@sh scripts/check/test-make.sh
	@sh scripts/check/test-doctor.sh
	@sh scripts/check/upgrade-fixture.sh

pins:
	@sh scripts/check/test-pins.sh
	@sh scripts/check/pins.sh

mutants-check:
	@sh scripts/check/test-mutants.sh
	@python3 scripts/test/mutants.py --check

doc:
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --profile ci --workspace --no-deps --locked --quiet
	@sh scripts/check/docs.sh

docs: ## Build the API reference of all crates (cargo doc)
	@$(CARGO) doc --workspace --no-deps --locked
	@echo "open target/doc/flotilla_messaging/index.html"

proto: ## Lint the contracts and regenerate their code
	@sh scripts/check/buf.sh
	@touch crates/proto/build.rs crates/validate/build.rs
	@$(CARGO) build --locked -p flotilla-proto

generate: ## Generate a TypeScript and a Python client into .flotilla/clients
	@sh scripts/run/generate.sh

dashboards: ## Regenerate Grafana's dashboards from scripts/test/observability/panels.py
	@PYTHONDONTWRITEBYTECODE=1 python3 scripts/test/observability/dashboards.py

observability-tools: ## Download Zipkin, and build the Collector and Jaeger with Go, for make up OBS=1
	@sh scripts/run/prometheus.sh || true
	@sh scripts/run/collector.sh

##@ Test

drive: build ## Run what a user does on a temporary fleet: up, demo, replay, bench with limits, down
	@sh scripts/test/drive.sh

others: build ## Run the fleet as root in a folder that others can't enter, and as an ordinary user
	@sh scripts/test/others.sh

contract: build ## Test the REST API of a temporary fleet with Schemathesis
	@sh scripts/test/contract.sh

conformance-rpc: ## Run the Connect conformance suite against the gateway: gRPC, gRPC-Web, Connect
	@sh scripts/test/conformance-rpc.sh $(ARGS)

test-clients: build ## Test the generated clients against a temporary fleet
	@sh scripts/test/clients.sh

test-tour: build ## Run the README's tour unchanged, in bash and in zsh, on a temporary fleet
	@sh scripts/test/tour.sh

test-grpcurl: build ## List, describe and call each service with grpcurl, with and without TLS, on a temporary fleet
	@sh scripts/test/grpcurl.sh

test-browser: build ## Call a temporary fleet with connect-web from a page in headless Chromium
	@sh scripts/test/browser.sh

test-faults: build ## Switch on each fault in a temporary fleet: alert, panel, trace and runbook work, and nothing is lost
	@sh scripts/test/faults.sh

test-attacks: build ## Attack a temporary fleet: honest calls succeed, and their p99 at most doubles
	@sh scripts/test/attacks.sh $(ARGS)

test-attacks-short: build ## The same for a few seconds each: honest calls succeed
	@FLOTILLA_ATTACKS_SHORT=1 sh scripts/test/attacks.sh $(ARGS)

test-full-disk: ## Fill the disks of PostgreSQL and NATS under load for 45 s: nothing is lost, and all recovers by itself
	@sh scripts/test/full-disk.sh

test-metrics: build ## Test rules, alerts, dashboards and queries; Prometheus and VictoriaMetrics scrape a temporary fleet
	@sh scripts/test/observability.sh metrics

test-observability: build ## Test traces, tail sampling and logs through a real Collector on a temporary fleet
	@sh scripts/test/observability.sh traces

test-flagd: ## Test that flagd and the built-in provider give the same users the same variants
	@sh scripts/test/flagd.sh

test-vault: ## Test secrets from a real server (OpenBao): keys, leased database credentials, credential rotation
	@sh scripts/test/vault.sh

test-aws: ## Test secrets with the official AWS client against a compatible server (moto)
	@sh scripts/test/aws.sh

upgrade-test: build ## Upgrade under load: expanding migration, services replaced one by one, rolled back and forward, contraction
	@sh scripts/test/upgrade.sh $(ARGS)

mutants: ## Plant each fault of scripts/test/mutants in a copy of the tree; a test must find it: make mutants ARGS="--only saga"
	@python3 scripts/test/mutants.py $(ARGS)

mutants-short: ## The same with the ten faults that are quick to plant
	@python3 scripts/test/mutants.py --short

# Seconds on two cold cores; all of it together must stay under 60 minutes.
ci: ## Run what CI runs
	@MAKE="$(MAKE) PROFILE=ci" sh scripts/lib/parts.sh ci:3600 lint:480 test:1200 mutants-short:240 drive:150 others:60 test-grpcurl:60 test-tour:60 test-clients:90 contract:120 test-browser:120 k8s-check:240 test-metrics:240 test-faults:200 test-attacks-short:240

ci-long: ci ## Run longer checks too: planted faults, growth, images, Compose, API server, upgrade, conformance, secret stores, observability, chaos
	@MAKE="$(MAKE)" sh scripts/lib/parts.sh ci-long:21600 mutants:7200 conformance-rpc:300 test-images:2400 k8s-containers:300 test-compose:780 upgrade-test:2400 test-attacks:1100 k8s-apiserver:2700 test-vault:300 test-aws:600 test-flagd:300 test-full-disk:400 bench-growth-short:900 observability-tools:1800 test-observability:300
	@sh scripts/test/long.sh

##@ Ship

images: ## Build the images of all services and print their sizes
	@sh scripts/release/images.sh

sbom: ## Write a CycloneDX SBOM of each image to .flotilla/sbom, checked against cargo tree
	@sh scripts/release/sbom.sh

test-images: ## Run each image as in production, with 64 MiB and half a processor: it starts, drains and loses nothing
	@sh scripts/test/images.sh

compose-check: ## Check that Compose accepts the files of compose/, and the rules for them
	@sh scripts/check/compose.sh

test-compose: build ## Test the fleet in Compose: up, use, network isolation, down
	@sh scripts/test/compose.sh

k8s-check: ## Check the manifests: three versions of kustomize, schemas of two Kubernetes versions, policies, consistency
	@sh scripts/check/k8s.sh

k8s-apiserver: build ## Test the manifests with a real API server, which is built with Go
	@sh scripts/test/k8s-apiserver.sh

k8s-containers: ## Run the containers of k8s/overlays/dev on Docker as the manifests describe them
	@sh scripts/test/k8s-containers.sh
