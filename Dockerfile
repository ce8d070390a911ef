# Images of the fleet: one target for each service, and `fleet` for the command that drives and checks it.
#
#   docker build --target orders --tag flotilla/orders:0.1.0 .
#   docker buildx build --platform linux/amd64,linux/arm64 --target orders .    cross-compiled, nothing is emulated
#   docker build --target orders --build-arg BASE=gcr.io/distroless/static-debian12:nonroot .
#
# Build arguments: RUST_IMAGE (compiler), BASE (what lies under the binary), VERSION, REVISION, CREATED, SOURCE (labels).
# Build secrets, both optional, never in a layer: `ca`, certificates to trust while crates are fetched;
# `cargo`, a configuration for cargo such as a mirror of the registry and its token.
#   docker build --secret id=ca,src=ca.crt --secret id=cargo,src=config.toml --target orders .
# No `# syntax=` line and nothing newer than Docker 20.10 understands: it builds where no registry answers.

ARG RUST_IMAGE=rust:1.95-bookworm
ARG BASE=scratch

# The compiler runs on the builder's own platform whatever the image is for: TARGETARCH only chooses linker and target.
# BuildKit sets it; a default here would win over what BuildKit sets.
FROM --platform=${BUILDPLATFORM} ${RUST_IMAGE} AS toolchain
ARG TARGETARCH
WORKDIR /build
COPY scripts/release/images/toolchain.sh scripts/release/images/cargo.sh /usr/local/bin/
RUN --mount=type=secret,id=ca sh /usr/local/bin/toolchain.sh

# For compose/dev.yaml: sources are mounted, bacon builds and restarts what changed.
FROM toolchain AS dev
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=secret,id=ca \
    --mount=type=secret,id=cargo,target=/usr/local/cargo/config.toml \
    if [ -s /run/secrets/ca ]; then export CARGO_HTTP_CAINFO=/run/secrets/ca; fi \
    && cargo install --locked --no-default-features --root /usr/local bacon@3.26.0 \
    && install --directory --owner 65532 --group 65532 /target /crates
ENV CARGO_TARGET_DIR=/target CARGO_HOME=/crates HOME=/tmp BACON_CONFIG=/sources/compose/bacon.toml
WORKDIR /sources
USER 65532:65532
STOPSIGNAL SIGTERM

# Manifests and empty sources: the same from one change of the code to the next, so that what follows stays cached.
FROM toolchain AS manifests
COPY . /sources
RUN sh /sources/scripts/release/images/manifests.sh /sources /manifests

# All dependencies, in a layer.
FROM toolchain AS dependencies
COPY --from=manifests /manifests /build
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=secret,id=ca \
    --mount=type=secret,id=cargo,target=/usr/local/cargo/config.toml \
    sh /usr/local/bin/cargo.sh build

# The code of the project: one call of cargo for all images. The cache begins as the layer above and keeps what was
# compiled of the project itself, so a change costs the crates that it touches.
FROM toolchain AS build
COPY . /build
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/build/target,from=dependencies,source=/build/target,sharing=locked \
    --mount=type=secret,id=ca \
    --mount=type=secret,id=cargo,target=/usr/local/cargo/config.toml \
    sh scripts/release/images/changed.sh && sh /usr/local/bin/cargo.sh install /out

# What lies beside the binary: certificates of the public authorities, and names for the user and its group.
FROM toolchain AS root
RUN mkdir -p /root-of-image/etc/ssl/certs \
    && cp /etc/ssl/certs/ca-certificates.crt /root-of-image/etc/ssl/certs/ \
    && echo 'nonroot:x:65532:65532:nonroot:/:/sbin/nologin' >/root-of-image/etc/passwd \
    && echo 'nonroot:x:65532:' >/root-of-image/etc/group

FROM ${BASE} AS bare
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=https://github.com/flotilla/flotilla
LABEL org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${REVISION} \
      org.opencontainers.image.created=${CREATED} \
      org.opencontainers.image.source=${SOURCE} \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.vendor="Flotilla"
COPY --from=root /root-of-image /
USER 65532:65532
STOPSIGNAL SIGTERM

FROM bare AS service
ENV FLOTILLA__GRPC__LISTEN=0.0.0.0:8080 \
    FLOTILLA__SERVICE__ADMIN_LISTEN=0.0.0.0:9090
EXPOSE 8080 9090
HEALTHCHECK --interval=3s --timeout=3s --start-period=30s --retries=3 CMD ["/service", "healthcheck"]
ENTRYPOINT ["/service"]
CMD ["serve"]

FROM service AS gateway
LABEL org.opencontainers.image.title="flotilla/gateway" \
      org.opencontainers.image.description="The public edge: REST, gRPC, gRPC-Web and Connect on one port"
COPY --from=build --chmod=0555 /out/flotilla-gateway /service

FROM service AS identity
LABEL org.opencontainers.image.title="flotilla/identity" \
      org.opencontainers.image.description="Users, credentials and sessions"
COPY --from=build --chmod=0555 /out/flotilla-identity /service

FROM service AS inventory
LABEL org.opencontainers.image.title="flotilla/inventory" \
      org.opencontainers.image.description="Products, prices, stock and reservations"
COPY --from=build --chmod=0555 /out/flotilla-inventory /service

FROM service AS orders
LABEL org.opencontainers.image.title="flotilla/orders" \
      org.opencontainers.image.description="Orders and their saga"
COPY --from=build --chmod=0555 /out/flotilla-orders /service

FROM service AS payments
LABEL org.opencontainers.image.title="flotilla/payments" \
      org.opencontainers.image.description="Accounts and a double-entry ledger"
COPY --from=build --chmod=0555 /out/flotilla-payments /service

FROM service AS notification
LABEL org.opencontainers.image.title="flotilla/notification" \
      org.opencontainers.image.description="Preferences, deliveries and the live feed"
COPY --from=build --chmod=0555 /out/flotilla-notification /service

FROM bare AS fleet
LABEL org.opencontainers.image.title="flotilla/fleet" \
      org.opencontainers.image.description="The command that drives and checks a fleet"
COPY --from=build --chmod=0555 /out/fleet /fleet
ENTRYPOINT ["/fleet"]
