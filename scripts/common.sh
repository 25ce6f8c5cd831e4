# Shared by the verbs of ./webvm: messages, the tools a verb needs, building.

note() { printf 'webvm: %s\n' "$*" >&2; }

# Bad input and a missing host part end with 2 and 4, as webvm-vmm itself does.
fail() { note "$*"; exit 2; }
fail_host() { note "$*"; exit 4; }

cache_directory() {
    printf '%s\n' "${WEBVM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/webvm}"
}

# need_packages REASON PACKAGE:PATH_OR_COMMAND...
# Installs those Debian packages whose file or command is not there. Says what and why first.
need_packages() {
    local reason=$1 entry package probe missing=()
    shift
    for entry in "$@"; do
        package=${entry%%:*}
        probe=${entry#*:}
        if [[ $probe == /* ]]; then
            [[ -e $probe ]] || missing+=("$package")
        else
            PATH="$PATH:/usr/sbin:/sbin" command -v "$probe" >/dev/null || missing+=("$package")
        fi
    done
    [[ ${#missing[@]} -gt 0 ]] || return 0

    note "installing ${missing[*]} ($reason)"
    command -v apt-get >/dev/null || fail_host "no apt-get here; please install ${missing[*]} yourself"
    local as_root=()
    if [[ $(id -u) -ne 0 ]]; then
        command -v sudo >/dev/null || fail_host "not root and no sudo; please run: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    local log
    log=$(mktemp)
    if ! { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" \
        || { "${as_root[@]}" apt-get update \
            && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; }; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        fail_host "could not install ${missing[*]}"
    fi
    rm -f "$log"
}

need_dotnet() {
    command -v dotnet >/dev/null || fail_host "dotnet is not in PATH; install the .NET 10 SDK (https://dot.net)"
    local version
    version=$(cd "$WEBVM_ROOT" && dotnet --version 2>/dev/null || echo 0)
    [[ ${version%%.*} -ge 10 ]] || fail_host "the .NET SDK in PATH is ${version}; WebVm needs 10.0 or later"
    export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1
}

# What building the web pages takes beside the SDK.
need_web() {
    need_dotnet
    need_packages "bundling the pages' TypeScript" nodejs:node npm:npm
}

# build PROJECT_OR_SOLUTION: silent when it works, the compiler's errors when not.
build() {
    need_dotnet
    local log
    log=$(mktemp)
    if ! dotnet build "$WEBVM_ROOT/$1" -c Release -v q -clp:ErrorsOnly -nodeReuse:false >"$log" 2>&1; then
        sort -u "$log" >&2
        rm -f "$log"
        note "the build of $1 failed"
        return 1
    fi
    rm -f "$log"
}

# install_monitor: after the build of src/Vmm, puts the monitor where no later build writes, as machines go on running from its files, and
# names it in WEBVM_MONITOR. Its code is compiled ahead of time (ReadyToRun) if the compiler, a NuGet package, is to be had: machines then
# start a third sooner.
install_monitor() {
    [[ -z ${WEBVM_MONITOR:-} ]] || return 0
    local built="$WEBVM_ROOT/src/Vmm/bin/Release/net10.0" ahead="$WEBVM_ROOT/src/Vmm/bin/ahead" installed="$WEBVM_ROOT/src/Vmm/bin/installed"
    local name folder old
    name=$(sha256sum "$built/webvm-vmm.dll" | cut -c 1-16)
    folder="$installed/$name"
    if [[ ! -d $folder ]]; then
        note "compiling the monitor ahead of time"
        local source="$ahead/publish/Vmm/release_linux-x64"
        if ! dotnet publish "$WEBVM_ROOT/src/Vmm/Vmm.csproj" -c Release -r linux-x64 --self-contained false -p:PublishReadyToRun=true \
            --artifacts-path "$ahead" -v q -nodeReuse:false >/dev/null 2>&1; then
            note "no ahead-of-time compiler to be had; machines start a little later"
            source=$built
        fi
        for old in "$installed"/*; do
            [[ ! -x $old/webvm-vmm ]] || is_running "$old/webvm-vmm" || rm -rf "$old"
        done
        mkdir -p "$installed"
        rm -rf "$folder.new"
        mkdir "$folder.new"
        cp "$source"/*.dll "$source"/*.json "$source/webvm-vmm" "$folder.new/"
        mv -T "$folder.new" "$folder"
    fi
    export WEBVM_MONITOR=$folder/webvm-vmm
}

# is_running PROGRAM: whether a process executes that file.
is_running() {
    local link
    for link in /proc/[0-9]*/exe; do
        [[ $(readlink "$link" 2>/dev/null) != "$1" ]] || return 0
    done
    return 1
}
