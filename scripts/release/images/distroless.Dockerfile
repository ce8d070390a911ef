# Stand-in for gcr.io/distroless/static-debian12:nonroot: see base.sh.
ARG BASE
FROM ${BASE} AS packages
WORKDIR /packages
RUN apt-get update \
    && apt-get install --yes --no-install-recommends --download-only --reinstall base-files netbase tzdata ca-certificates \
    && mkdir /root-of-image \
    && for name in base-files netbase tzdata; do dpkg-deb --extract /var/cache/apt/archives/${name}_*.deb /root-of-image; done \
    && mkdir -p /root-of-image/etc/ssl/certs /root-of-image/home/nonroot \
    && cp /etc/ssl/certs/ca-certificates.crt /root-of-image/etc/ssl/certs/ \
    && echo 'nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin' >/root-of-image/etc/passwd \
    && echo 'nonroot:x:65532:' >/root-of-image/etc/group
FROM scratch
COPY --from=packages /root-of-image /
USER 65532
