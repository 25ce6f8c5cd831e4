# ./webvm run: builds the service, makes what it boots by default, serves until Ctrl-C.
# VMs keep running when the service stops; the next start finds them. Settings: the WEBVM_* environment variables.

[[ $# -eq 0 ]] || fail "run takes no arguments, but '$1' was given; settings are variables: WEBVM_LISTEN=http://127.0.0.1:9000 ./webvm run"
need_web
need_packages "the service keeps its state in a private PostgreSQL cluster" postgresql:/usr/lib/postgresql postgresql-client:psql

begin_installed_monitor
note "building what changed"
program=src/Web/bin/Release/net10.0/webvm
build_when_changed src/Web/Web.csproj "$program.dll wwwroot/js/app.js wwwroot/_framework/blazor.web.js" src migrations || exit 4
# Without network the service still serves what the cache holds.
"$WEBVM_ROOT/webvm" image build tiny || note "no image 'tiny' could be made; upload a kernel of your own to boot"
end_installed_monitor || exit 4

export WEBVM_CATALOGUE="${WEBVM_CATALOGUE:-$(cache_directory)/images}"
export WEBVM_LISTEN="${WEBVM_LISTEN:-http://127.0.0.1:8080}"
note "starting; Ctrl-C stops the service, machines keep running"
# Nobody looks into the service from outside, unless it is asked for (DOTNET_EnableDiagnostics=1).
export DOTNET_EnableDiagnostics="${DOTNET_EnableDiagnostics:-0}"
# The program itself takes the signals.
exec "$WEBVM_ROOT/$program"
