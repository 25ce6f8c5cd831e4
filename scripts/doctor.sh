# ./webvm doctor: what this machine has and lacks. Changes nothing; ends with 0 when WebVm can be built and run.
# ./webvm doctor --bundle [FILE]: that, with versions, ends of logs and events, in an archive for whoever is to help.

bundle=
if [[ ${1:-} == --bundle ]]; then
    bundle=${2:-webvm-support-$(date -u +%Y%m%d-%H%M%S).tar.gz}
    [[ $# -eq 1 ]] && shift || shift 2
fi
[[ $# -eq 0 ]] || fail "doctor takes no arguments but --bundle [FILE], and '$1' was given"
if [[ -n $bundle ]]; then
    # shellcheck source=scripts/bundle.sh
    . "$WEBVM_ROOT/scripts/bundle.sh"
    support_bundle "$bundle" "${WEBVM_DATA:-$(data_directory)}" "${WEBVM_LISTEN:-http://127.0.0.1:8080}"
    exit 0
fi
problems=0
line() { printf '%-12s %-8s %s\n' "$1" "$2" "$3"; }
have() { if [[ $1 == /* ]]; then [[ -e $1 ]]; else PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null; fi; }

if have dotnet; then
    version=$(cd "$WEBVM_ROOT" && dotnet --version 2>/dev/null || echo none)
    if [[ ${version%%.*} -ge 10 ]] 2>/dev/null; then line dotnet ok "SDK $version"; else line dotnet old "SDK $version, 10.0 needed"; problems=1; fi
else
    line dotnet missing "install the .NET 10 SDK (https://dot.net)"
    problems=1
fi
if [[ $(uname -sm) == "Linux x86_64" ]]; then line host ok "$(uname -srm), $(nproc) CPUs"; else line host wrong "$(uname -sm); Linux on x86-64 needed"; problems=1; fi
if [[ -r /dev/kvm && -w /dev/kvm ]]; then line kvm ok "/dev/kvm opens"
elif [[ -e /dev/kvm ]]; then line kvm closed "/dev/kvm is there; you may not open it (group kvm). The soft engine works without"
else line kvm none "no /dev/kvm; the soft engine works without"; fi

# What machines are kept by (docs/security.md). The monitor's keeper tries it; without a built monitor only the kernel's switches can be read.
walls() {
    local program found level walls
    program=${WEBVM_MONITOR:-$({ find "$WEBVM_ROOT/src/Vmm/bin/installed" -maxdepth 2 -name webvm-vmm -printf '%T@ %p\n' 2>/dev/null || true; } | sort -n | tail -n 1 | cut -d ' ' -f 2-)}
    if [[ -n $program && -x $program ]] && found=$("$program" keep --probe $([[ $(id -u) -eq 0 ]] && echo --user "${users%%-*}") 2>/dev/null); then
        level=$(sed -n 's/^level //p' <<<"$found") walls=$(sed -n 's/^walls //p' <<<"$found")
        case "$level" in
            users) line walls ok "each machine has a user and namespaces of its own (${walls//,/, })" ;;
            namespaces) line walls ok "each machine has namespaces of its own (${walls//,/, })" ;;
            process) line walls few "machines are kept by ${walls//,/, } alone: $(sed -n 's/^without namespaces: //p' <<<"$found")" ;;
            *) line walls none "machines are ordinary processes: $(sed -n 's/^without process: //p' <<<"$found")" ;;
        esac
    else
        line walls unknown "no monitor is built yet, which would try them"
    fi
    switch() { [[ $(cat "/proc/sys/$1" 2>/dev/null) == "$2" ]]; }
    # Root makes its namespaces without.
    [[ $(id -u) -ne 0 ]] || return 0
    if switch kernel/apparmor_restrict_unprivileged_userns 1 && [[ ! -e /etc/apparmor.d/webvm ]]; then
        line walls closed "AppArmor keeps user namespaces from programs without a profile; scripts/webvm.apparmor is one, and tells how to install it"
    elif switch kernel/unprivileged_userns_clone 0 || switch user/max_user_namespaces 0; then
        line walls closed "user namespaces are switched off here (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces)"
    fi
}
users=${WEBVM_MONITOR_USERS:-2000000000-2000065535}
walls

# What the verbs install, each when it first needs it.
can_install=yes
have apt-get && { [[ $(id -u) -eq 0 ]] || have sudo; } || can_install=no
for entry in node:nodejs:run npm:npm:run /usr/lib/postgresql:postgresql:run cpio:cpio:images lz4:lz4:images dpkg-deb:dpkg:images gcc:gcc:run /usr/include/zlib.h:zlib1g-dev:run nasm:nasm:tests iasl:acpica-tools:tests qemu-system-x86_64:qemu-system-x86:bench; do
    IFS=: read -r program package verb <<<"$entry"
    if have "$program"; then line "${program##*/}" ok "for $verb"
    elif [[ $can_install == yes ]]; then line "${program##*/}" absent "for $verb; installed when first needed"
    else line "${program##*/}" absent "for $verb; neither root nor sudo here: install the package $package"; [[ $verb != run || $package == gcc || $package == zlib1g-dev ]] || problems=1; fi
done

# The folder may be made by the first start: then what it is made in counts.
data=${WEBVM_DATA:-$(data_directory)}
place=$data
until [[ -e $place || $place == [/.] ]]; do place=$(dirname "$place"); done
free=$(($(df -Pk "$place" | awk 'NR == 2 { print $4 }') / 1024))
postgres=$(cat "$data/postgres/data/PG_VERSION" 2>/dev/null || true)
if [[ ! -d $place || ! -w $place || ! -x $place ]]; then line data closed "$data cannot be written to by $(id -un); WEBVM_DATA names another folder"; problems=1
elif [[ -z ${WEBVM_DATABASE:-} && -n $postgres && -d /usr/lib/postgresql && ! -d /usr/lib/postgresql/$postgres ]]; then
    line data other "the database in $data was made by PostgreSQL $postgres, which is not installed; docs/service.md tells what to do"; problems=1
elif [[ $free -lt 1024 ]]; then line data small "$data has $free MiB left on its disk"
else line data ok "$data, $free MiB left on its disk"; fi

listen=${WEBVM_LISTEN:-http://127.0.0.1:8080}
if [[ $listen =~ ^https?://([^/\;]*):([0-9]+) ]]; then
    host=${BASH_REMATCH[1]} port=${BASH_REMATCH[2]}
    [[ $host != [0+*]* && $host != "[::]" ]] || host=127.0.0.1
    if (exec 3<>"/dev/tcp/$host/$port") 2>/dev/null; then line address busy "something answers at $listen already: a WebVm, or else WEBVM_LISTEN names another address"
    else line address ok "$listen"; fi
fi
line cache "$([[ -d $(cache_directory) ]] && echo ok || echo empty)" "$(cache_directory)"
exit $problems
