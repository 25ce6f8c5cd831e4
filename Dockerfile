# WebVm in a container. Build:  docker build -t webvm .
# Run:  docker run -p 127.0.0.1:8080:8080 -v webvm:/var/lib/webvm --stop-timeout 120 webvm
# The soft engine executes the guests. With --device /dev/kvm --group-add "$(stat -c %g /dev/kvm)" the host's processor can do it; nothing
# else changes. Docker kills after 10 seconds what does not stop; shutting machines down takes up to WEBVM_STOP_DEADLINE_SECONDS (60).

# The guest image: Debian's kernel and BusyBox, taken from its packages.
FROM debian:12-slim AS guest
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates cpio lz4 xz-utils \
    && rm -rf /var/lib/apt/lists/*
COPY webvm /webvm/
COPY scripts /webvm/scripts
RUN apt-get update && WEBVM_CACHE=/guest /webvm/webvm image build tiny

# The program.
FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev nodejs npm zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN ./webvm publish /published

# What runs: the program, PostgreSQL for its private database, the guest image, and an account without privileges.
FROM mcr.microsoft.com/dotnet/aspnet:10.0
# The package would make a cluster of its own in the image; the service makes its own in the volume, when it starts.
RUN mkdir /etc/postgresql-common && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \
    && apt-get update \
    && apt-get install -y --no-install-recommends postgresql util-linux procps \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 webvm \
    && useradd --uid 10001 --gid webvm --no-create-home --home-dir /var/lib/webvm --shell /usr/sbin/nologin webvm \
    && install -d -m 0700 -o webvm -g webvm /var/lib/webvm
COPY --from=build /published /opt/webvm
COPY --from=guest /guest/images /usr/share/webvm/images
ENV WEBVM_DATA=/var/lib/webvm \
    WEBVM_CATALOGUE=/usr/share/webvm/images \
    WEBVM_LISTEN=http://0.0.0.0:8080 \
    WEBVM_KEEP_RUNNING=false \
    DOTNET_EnableDiagnostics=0 \
    ASPNETCORE_HTTP_PORTS=
USER webvm
VOLUME /var/lib/webvm
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["/opt/webvm/webvm", "--health"]
ENTRYPOINT ["/opt/webvm/webvm"]
