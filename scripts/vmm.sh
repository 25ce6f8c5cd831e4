# ./webvm vmm ...: the monitor's own command line. Rebuilt when a source is newer than the last build.

vmm="$WEBVM_ROOT/src/Vmm/bin/Release/net10.0/webvm-vmm"
if [[ ! -x $vmm || -n $(find "$WEBVM_ROOT/src/Vmm" "$WEBVM_ROOT"/Directory.*.props -newer "$vmm.dll" \
    \( -name '*.cs' -o -name '*.csproj' -o -name '*.props' \) -not -path '*/obj/*' -print -quit 2>/dev/null) ]]; then
    build src/Vmm/Vmm.csproj || exit 4
    touch "$vmm.dll"
fi
exec "$vmm" "$@"
