# Shared by the verbs of ./webvm: messages, the tools a verb needs, building.

note() { printf 'webvm: %s\n' "$*" >&2; }

# Bad input and a missing host part end with 2 and 4, as webvm-vmm itself does.
fail() { note "$*"; exit 2; }
fail_host() { note "$*"; exit 4; }

# version: that of this checkout, and the commit it is at, where that is known.
version() {
    local number commit
    number=$(sed -n 's|.*<Version>\(.*\)</Version>.*|\1|p' "$WEBVM_ROOT/Directory.Build.props" | head -n 1)
    commit=$(git -C "$WEBVM_ROOT" rev-parse --short=12 HEAD 2>/dev/null || true)
    printf '%s%s\n' "${number:-0}" "${commit:+ ($commit)}"
}

# data_directory: where a service keeps what it has, unless WEBVM_DATA says otherwise.
data_directory() {
    if [[ $(id -u) -eq 0 ]]; then echo /var/lib/webvm; else echo "${XDG_STATE_HOME:-$HOME/.local/state}/webvm"; fi
}

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
        fail_host "could not install ${missing[*]}; is a mirror of Debian's packages reachable (apt-get update)?"
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

# Whether builds check the code too: two thirds of a compiler's time, of which only tests make use.
check_code=false

# build PROJECT_OR_SOLUTION: silent when it works, the compiler's errors when not.
build() {
    need_dotnet
    local log
    log=$(mktemp)
    if ! dotnet build "$WEBVM_ROOT/$1" -c Release -p:RunAnalyzers=$check_code -v q -clp:ErrorsOnly -nodeReuse:false >"$log" 2>&1; then
        build_failed "$1" "$log"
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

# build_failed PROJECT LOG: what the compiler said, and last, in a sentence, what to do about what is not the code's fault.
build_failed() {
    local why=
    if grep -q 'No space left on device' "$2"; then why="; the disk is full"
    elif grep -qE 'NU1301|NU1101|NU1102' "$2"; then why="; NuGet's packages could not be fetched: the first build needs the internet, or a package source in NuGet.Config"
    elif grep -qE 'EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ETIMEDOUT|ECONNRESET' "$2"; then why="; npm's packages could not be fetched: the first build needs the internet, or a registry in .npmrc"
    fi
    sort -u "$2" >&2
    note "the build of $1 failed$why"
}

# build_when_changed PROJECT "OUTPUT..." FOLDER...: builds unless each output is there and nothing in the folders is newer than the first of them.
# A folder is newer when a file was added or removed.
build_when_changed() {
    local project=$1 output outputs=()
    read -r -a outputs <<<"$2"
    shift 2
    for output in "${outputs[@]}"; do
        [[ -f $WEBVM_ROOT/$output ]] || outputs=()
    done
    if [[ ${#outputs[@]} -gt 0 && -z $(cd "$WEBVM_ROOT" && find "$@" Directory.*.props \
        \( -name bin -o -name obj -o -name node_modules \) -prune -o -newer "${outputs[0]}" -print -quit) ]]; then
        return 0
    fi
    build "$project" || return 1
    # The compiler leaves alone what would not change.
    [[ ${#outputs[@]} -eq 0 ]] || touch "$WEBVM_ROOT/${outputs[0]}"
}

# use_installed_monitor: names the monitor that services and benchmarks of this checkout start in WEBVM_MONITOR, unless another is named there.
use_installed_monitor() {
    begin_installed_monitor
    end_installed_monitor
}

# The same in two steps, between which something else may be done: the compiler takes a minute.
begin_installed_monitor() {
    [[ -n ${WEBVM_MONITOR:-} ]] || begin_monitor "$WEBVM_ROOT/src/Vmm/bin/installed"
}

end_installed_monitor() {
    [[ -z ${WEBVM_MONITOR:-} ]] || return 0
    end_monitor || return
    export WEBVM_MONITOR=$monitor
}

# install_monitor FOLDER: puts the monitor where no later build writes, as machines go on running from its files: into a folder below
# FOLDER that is named by what it is made of. Its program is then in `monitor`: a native one, which starts machines ten times sooner and can
# be confined; the ordinary build, if there is no compiler for it.
install_monitor() {
    begin_monitor "$1"
    end_monitor
}

# begin_monitor FOLDER: names the program in `monitor`, and starts making it if it is not there.
begin_monitor() {
    local installed=$1 name
    monitor_made=
    name=$(monitor_name)
    monitor="$installed/$name/webvm-vmm"
    [[ ! -x $monitor ]] || return 0
    need_dotnet
    mkdir -p "$installed" "$WEBVM_ROOT/src/Vmm/bin"
    note "compiling the monitor"
    want_native_compiler || true
    # One at a time; who waited finds it done. The compiler's server outlives the build, and must not keep the lock.
    (flock 8; [[ -x $monitor ]] || { flock 9; fill_monitor "$installed" "$name" 8>&- 9>&-; }) 8>"$installed/.lock" 9>"$WEBVM_ROOT/src/Vmm/bin/.lock" &
    monitor_made=$!
}

# end_monitor: the program that `monitor` names is there.
end_monitor() {
    [[ -z $monitor_made ]] || wait "$monitor_made" || return
    [[ ! -f $monitor.dll ]] || note "the monitor is the ordinary build: machines start later and behind fewer walls. $(dirname "$monitor")/native.log says why; remove that folder for another try"
}

# monitor_name: of the folder of a monitor that is made of the sources as they are now.
monitor_name() {
    (cd "$WEBVM_ROOT" && find src/Vmm Directory.*.props scripts/common.sh \( -name bin -o -name obj \) -prune -o -type f -print0 \
        | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-16)
}

# What the native compiler links with. Without it there is a fall-back.
want_native_compiler() {
    links_statically || (need_packages "compiling the monitor to a native program" gcc:gcc libc6-dev:/usr/include/stdio.h zlib1g-dev:/usr/include/zlib.h)
}

links_statically() {
    echo 'int main(void) { return 0; }' | gcc -static -x c - -lz -o /dev/null 2>/dev/null
}

# fill_monitor INSTALLED NAME: the folder appears complete or not at all. What no machine runs from any more, and what an
# interrupted call left, goes.
fill_monitor() {
    local installed=$1 new="$1/$2.new" ahead="$WEBVM_ROOT/src/Vmm/bin/ahead" log old
    local source="$ahead/publish/Vmm/release_linux-x64"
    log=$(mktemp -d)
    if ! publish_monitor "$log/native.log" -p:PublishAot=true && ! publish_monitor "$log/ready.log" --self-contained false -p:PublishReadyToRun=true \
        && ! publish_monitor "$log/build.log" --self-contained false; then
        build_failed src/Vmm/Vmm.csproj "$log/build.log"
        rm -rf "$log"
        return 1
    fi
    for old in "$installed"/*; do
        [[ ! -d $old ]] || is_used "$old/webvm-vmm" || rm -rf "$old"
    done
    rm -rf "$new"
    # The program, and either its symbols or the assemblies that it is the host of. The name must not reach the disk before what it stands for.
    mkdir "$new" \
        && find "$source" -maxdepth 1 -type f \( -name webvm-vmm -o -name '*.dbg' -o -name '*.dll' -o -name '*.json' \) -exec cp -t "$new" {} + \
        && { [[ ! -f $new/webvm-vmm.dll ]] || cp "$log/native.log" "$new/"; } \
        && sync "$new"/* \
        && mv -T "$new" "$installed/$2" \
        || { note "the monitor could not be put into $installed"; rm -rf "$log"; return 1; }
    rm -rf "$log"
}

# publish_monitor LOG OPTION...
publish_monitor() {
    local log=$1
    shift
    rm -rf "$source"
    nice dotnet publish "$WEBVM_ROOT/src/Vmm/Vmm.csproj" -c Release -r linux-x64 -p:RunAnalyzers=false "$@" --artifacts-path "$ahead" -v q -nodeReuse:false >"$log" 2>&1
}

# is_used PROGRAM: whether a process executes that file, or is a service that starts machines with it.
is_used() {
    # Processes come and go meanwhile, which is no answer: what is found counts, not how the search ends.
    [[ -n $(find /proc/[0-9]*/exe -printf '%l\n' 2>/dev/null | grep -xF "$1") ]] \
        || grep -qszxF "WEBVM_MONITOR=$1" /proc/[0-9]*/environ \
        || is_held "$1"
}

# is_held PROGRAM: whether somebody holds the file's lock, as services and keepers do, whose own /proc nobody else may read.
is_held() {
    local status=0
    [[ -r $1 ]] || return 1
    (flock -n -E 75 9) 9<"$1" || status=$?
    [[ $status -eq 75 ]]
}
