# ./webvm doctor: what this machine has and lacks. Changes nothing; ends with 0 when WebVm can be built and run.

problems=0
line() { printf '%-12s %-8s %s\n' "$1" "$2" "$3"; }
have() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null; }

if have dotnet; then
    version=$(dotnet --version 2>/dev/null || echo none)
    if [[ ${version%%.*} -ge 10 ]] 2>/dev/null; then line dotnet ok "SDK $version"; else line dotnet old "SDK $version, 10.0 needed"; problems=1; fi
else
    line dotnet missing "install the .NET 10 SDK"
    problems=1
fi
if [[ $(uname -sm) == "Linux x86_64" ]]; then line host ok "$(uname -srm), $(nproc) CPUs"; else line host wrong "$(uname -sm); Linux on x86-64 needed"; problems=1; fi
if [[ -r /dev/kvm && -w /dev/kvm ]]; then line kvm ok "/dev/kvm opens"
elif [[ -e /dev/kvm ]]; then line kvm closed "/dev/kvm is there; you may not open it (group kvm). The soft engine works without"
else line kvm none "no /dev/kvm; the soft engine works without"; fi
for entry in gcc:tests nasm:tests iasl:tests cpio:images dpkg-deb:images qemu-system-x86_64:bench; do
    if have "${entry%%:*}"; then line "${entry%%:*}" ok "for ${entry#*:}"; else line "${entry%%:*}" absent "for ${entry#*:}; installed when first needed"; fi
done
line cache "$([[ -d $(cache_directory) ]] && echo ok || echo empty)" "$(cache_directory)"
exit $problems
