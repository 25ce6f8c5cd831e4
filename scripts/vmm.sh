# ./webvm vmm ...: the monitor's own command line. Rebuilt when a source is newer than the last build.

vmm=src/Vmm/bin/Release/net10.0/webvm-vmm
build_when_changed src/Vmm/Vmm.csproj "$vmm.dll" src/Vmm || exit 4
exec "$WEBVM_ROOT/$vmm" "$@"
