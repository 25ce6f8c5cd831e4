# ./webvm run [-- OPTIONS]: builds the service, makes what it boots by default, serves until Ctrl-C.
# VMs keep running when the service stops; the next start finds them. Settings: the WEBVM_* environment variables.

# shellcheck source=scripts/common.sh
need_web
need_packages "the service keeps its state in a private PostgreSQL cluster" postgresql:/usr/lib/postgresql postgresql-client:psql

note "building"
build src/Vmm/Vmm.csproj || exit 4
build src/Web/Web.csproj || exit 4
install_monitor

# Without network the service still serves what the cache holds.
"$WEBVM_ROOT/webvm" image build tiny || note "no image 'tiny' could be made; upload a kernel of your own to boot"

export WEBVM_CATALOGUE="${WEBVM_CATALOGUE:-$(cache_directory)/images}"
export WEBVM_LISTEN="${WEBVM_LISTEN:-http://127.0.0.1:8080}"
note "starting; Ctrl-C stops the service, machines keep running"
# The program itself takes the signals.
exec "$WEBVM_ROOT/src/Web/bin/Release/net10.0/webvm" "$@"
