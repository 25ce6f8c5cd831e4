# WebVm in a container. Build:  docker build -t webvm .
# Run:  docker run -p 127.0.0.1:8080:8080 -v webvm:/var/lib/webvm [--device /dev/kvm] webvm
# Without --device /dev/kvm the soft engine executes the guests; nothing else changes.

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
    && apt-get install -y --no-install-recommends nodejs npm \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN dotnet publish src/Web -c Release -o /published && cp -r wwwroot /published/

# What runs: the program, PostgreSQL for its private database, the guest image, and an account without privileges.
FROM mcr.microsoft.com/dotnet/aspnet:10.0
RUN apt-get update \
    && apt-get install -y --no-install-recommends postgresql util-linux procps \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home --home-dir /var/lib/webvm webvm
COPY --from=build /published /opt/webvm
COPY --from=guest /guest/images /usr/share/webvm/images
ENV WEBVM_DATA=/var/lib/webvm \
    WEBVM_CATALOGUE=/usr/share/webvm/images \
    WEBVM_LISTEN=http://0.0.0.0:8080 \
    WEBVM_KEEP_RUNNING=false
USER webvm
VOLUME /var/lib/webvm
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["/opt/webvm/webvm", "--health"]
ENTRYPOINT ["/opt/webvm/webvm"]
