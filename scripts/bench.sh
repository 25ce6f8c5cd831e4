# ./webvm bench [NAME...]: the benchmarks of tests/Benchmarks. QEMU is there to be compared with.

need_packages "the emulator to compare with" qemu-system-x86:qemu-system-x86_64
need_packages "building the C loops to compare with" gcc:gcc libc6-dev:/usr/include/linux/kvm.h
"$WEBVM_ROOT/webvm" image build tiny >/dev/null
build tests/Benchmarks/Benchmarks.csproj || exit 4
exec "$WEBVM_ROOT/tests/Benchmarks/bin/Release/net10.0/Benchmarks" "$@"
