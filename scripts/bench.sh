# ./webvm bench [NAME...]: the benchmarks of tests/Benchmarks. QEMU is there to be compared with.

need_web
need_packages "the emulator to compare with" qemu-system-x86:qemu-system-x86_64 ovmf:/usr/share/ovmf/OVMF.fd
need_packages "building the C loops to compare with" gcc:gcc libc6-dev:/usr/include/linux/kvm.h
need_packages "the service keeps its state in a private PostgreSQL cluster" postgresql:/usr/lib/postgresql postgresql-client:psql
need_packages "the browser that shows consoles" chromium:/usr/bin/chromium
"$WEBVM_ROOT/webvm" image build tiny >/dev/null
build tests/Benchmarks/Benchmarks.csproj || exit 4
use_installed_monitor
exec "$WEBVM_ROOT/tests/Benchmarks/bin/Release/net10.0/Benchmarks" "$@"
