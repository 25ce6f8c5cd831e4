# ./webvm publish FOLDER: the service, ready to be started there as FOLDER/webvm by a container or a service manager.
# What runs from the folder is not disturbed: files are replaced, never written into, and each monitor has a folder of its own.

[[ $# -eq 1 && -n $1 && $1 != -* ]] || fail "usage: ./webvm publish FOLDER"
need_web
# Whoever serves it is somebody else.
umask 022
mkdir -p "$1" 2>/dev/null && [[ -w $1 ]] || fail "the folder $1 cannot be written to; name another, or give it to $(id -un)"
folder=$(cd "$1" && pwd -P)
work=$(mktemp -d "$folder/.new.XXXXXX")
trap 'rm -rf "$work"' EXIT

begin_monitor "$folder/monitors"
note "building"
publish_service() {
    dotnet publish "$WEBVM_ROOT/src/Web/Web.csproj" -c Release -p:RunAnalyzers=false -o "$work/program" -v q -clp:ErrorsOnly -nodeReuse:false "$@" >"$work/log" 2>&1
}
# Compiled ahead, the service is up in two thirds of the time; the compiler for that is a package, which may not be to be had.
if ! publish_service -r linux-x64 --self-contained false -p:PublishReadyToRun=true && ! publish_service; then
    build_failed src/Web/Web.csproj "$work/log"
    exit 4
fi
cp -r "$WEBVM_ROOT/wwwroot" "$work/program/"
end_monitor || exit 4

# The service looks for the monitor's program beside itself.
rm "$work/program/webvm-vmm"
ln -s "monitors/$(basename "$(dirname "$monitor")")/webvm-vmm" "$work/webvm-vmm"
cp -r --remove-destination "$work/program"/* "$folder/"
mv -T "$work/webvm-vmm" "$folder/webvm-vmm"
note "published; start $folder/webvm"
