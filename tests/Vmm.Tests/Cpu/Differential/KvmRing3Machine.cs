using System.Runtime.InteropServices;
using Tmds.Linux;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Tests.Cpu.Differential;

/// <summary>The host's own processor, by way of a KVM vCPU without interrupt controllers: an exception's handler halts.</summary>
internal sealed unsafe class KvmRing3Machine : IRing3Machine
{
    private const int RunSize = 0x3000;
    private static readonly byte[] _handler = [0xf4];

    private readonly FileDescriptor _kvm;
    private readonly FileDescriptor _vm;
    private readonly FileDescriptor _vcpu;
    private readonly kvm_run* _run;
    private readonly kvm_xsave* _xsave;
    private kvm_sregs _sregs64;
    private kvm_sregs _sregs32;

    public KvmRing3Machine()
    {
        Memory = Ring3Layout.Create(_handler);
        _kvm = new FileDescriptor(FileCalls.Open("/dev/kvm", LibC.O_RDWR | LibC.O_CLOEXEC, 0));
        _vm = new FileDescriptor(KvmCalls.Require(_kvm.Number, KvmRequests.KVM_CREATE_VM, (nuint)0, "KVM_CREATE_VM"));
        KvmCalls.Require(_vm.Number, KvmRequests.KVM_SET_TSS_ADDR, (nuint)0xfffbd000, "KVM_SET_TSS_ADDR");
        var slot = new kvm_userspace_memory_region { memory_size = Ring3Layout.MemorySize, userspace_addr = (ulong)Memory.HostAt(0) };
        KvmCalls.Require(_vm.Number, KvmRequests.KVM_SET_USER_MEMORY_REGION, &slot, "KVM_SET_USER_MEMORY_REGION");
        _vcpu = new FileDescriptor(KvmCalls.Require(_vm.Number, KvmRequests.KVM_CREATE_VCPU, (nuint)0, "KVM_CREATE_VCPU"));
        _run = (kvm_run*)LibC.mmap(
            null, RunSize, LibC.PROT_READ | LibC.PROT_WRITE, LibC.MAP_SHARED, _vcpu.Number, 0);
        _xsave = (kvm_xsave*)NativeMemory.AllocZeroed((nuint)sizeof(kvm_xsave));
        OfferHostCpuid();
        PrepareSystemRegisters();
    }

    public static bool IsAvailable => File.Exists("/dev/kvm");

    public GuestMemory Memory { get; }

    public void Run(Ring3State state)
    {
        kvm_sregs sregs = state.Compatibility ? _sregs32 : _sregs64;
        KvmCalls.Require(_vcpu.Number, KvmRequests.KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
        SetRegisters(state);
        state.Xsave.CopyTo(new Span<byte>(_xsave, Ring3State.XsaveSize));
        KvmCalls.Require(_vcpu.Number, KvmRequests.KVM_SET_XSAVE, _xsave, "KVM_SET_XSAVE");

        int error = KvmCalls.Run(_vcpu.Number);
        if (error != 0 || _run->exit_reason != KvmExits.KVM_EXIT_HLT)
        {
            throw new InvalidOperationException(
                $"KVM_RUN: errno {error}, exit {_run->exit_reason}, suberror {_run->internal_error.suberror}, "
                + $"bytes {Convert.ToHexString(new ReadOnlySpan<byte>(_run->emulation_failure.insn_bytes, 15))}, "
                + $"at {GetRegisters().rip:x}, started at {state.Rip:x}");
        }

        GetState(state);
    }

    public void Dispose()
    {
        _ = LibC.munmap(_run, RunSize);
        NativeMemory.Free(_xsave);
        _vcpu.Dispose();
        _vm.Dispose();
        _kvm.Dispose();
        Memory.Dispose();
    }

    private void GetState(Ring3State state)
    {
        kvm_regs regs = GetRegisters();
        kvm_sregs sregs;
        KvmCalls.Require(_vcpu.Number, KvmRequests.KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
        KvmCalls.Require(_vcpu.Number, KvmRequests.KVM_GET_XSAVE, _xsave, "KVM_GET_XSAVE");
        new ReadOnlySpan<byte>(_xsave, Ring3State.XsaveSize).CopyTo(state.Xsave);
        ReadOnlySpan<ulong> gpr =
        [
            regs.rax, regs.rcx, regs.rdx, regs.rbx, regs.rsp, regs.rbp, regs.rsi, regs.rdi,
            regs.r8, regs.r9, regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15,
        ];
        gpr.CopyTo(state.Gpr);
        Ring3Frame.Complete(state, Memory, regs.rip, regs.rsp, sregs.cr2);
    }

    private kvm_regs GetRegisters()
    {
        kvm_regs regs;
        KvmCalls.Require(_vcpu.Number, KvmRequests.KVM_GET_REGS, &regs, "KVM_GET_REGS");
        return regs;
    }

    private void SetRegisters(Ring3State state)
    {
        ulong[] g = state.Gpr;
        var regs = new kvm_regs
        {
            rax = g[0], rcx = g[1], rdx = g[2], rbx = g[3], rsp = g[4], rbp = g[5], rsi = g[6], rdi = g[7],
            r8 = g[8], r9 = g[9], r10 = g[10], r11 = g[11], r12 = g[12], r13 = g[13], r14 = g[14], r15 = g[15],
            rip = state.Rip,
            rflags = state.Rflags,
        };
        KvmCalls.Require(_vcpu.Number, KvmRequests.KVM_SET_REGS, &regs, "KVM_SET_REGS");
    }

    private void OfferHostCpuid()
    {
        const int Entries = 128;
        byte* buffer = stackalloc byte[sizeof(kvm_cpuid2) + (Entries * sizeof(kvm_cpuid_entry2))];
        ((kvm_cpuid2*)buffer)->nent = Entries;
        KvmCalls.Require(_kvm.Number, KvmRequests.KVM_GET_SUPPORTED_CPUID, buffer, "KVM_GET_SUPPORTED_CPUID");
        KvmCalls.Require(_vcpu.Number, KvmRequests.KVM_SET_CPUID2, buffer, "KVM_SET_CPUID2");
    }

    private void PrepareSystemRegisters()
    {
        kvm_sregs sregs;
        KvmCalls.Require(_vcpu.Number, KvmRequests.KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
        sregs.cr0 = Ring3Controls.Cr0;
        sregs.cr3 = Ring3Layout.PageTables;
        sregs.cr4 = Ring3Controls.Cr4;
        sregs.efer = Ring3Controls.Efer;
        sregs.gdt.@base = Ring3Layout.Gdt;
        sregs.gdt.limit = 10 * 8 - 1;
        sregs.idt.@base = Ring3Layout.Idt;
        sregs.idt.limit = 0xfff;
        sregs.tr = new kvm_segment { @base = Ring3Layout.Tss, limit = 0x67, selector = Ring3Layout.TaskState, type = 11, present = 1 };
        sregs.ldt = new kvm_segment { unusable = 1 };
        sregs.cs = new kvm_segment
        {
            limit = 0xffffffff, selector = Ring3Layout.UserCode64, type = 11, present = 1, dpl = 3, s = 1, l = 1, g = 1,
        };
        var data = new kvm_segment
        {
            limit = 0xffffffff, selector = Ring3Layout.UserData, type = 3, present = 1, dpl = 3, s = 1, db = 1, g = 1,
        };
        sregs.ss = sregs.ds = sregs.es = sregs.fs = sregs.gs = data;
        sregs.fs.@base = Ring3Layout.FsBase;
        sregs.gs.@base = Ring3Layout.GsBase;
        _sregs64 = sregs;
        sregs.cs.selector = Ring3Layout.UserCode32;
        sregs.cs.l = 0;
        sregs.cs.db = 1;
        _sregs32 = sregs;

        kvm_sregs first = _sregs64;
        KvmCalls.Require(_vcpu.Number, KvmRequests.KVM_SET_SREGS, &first, "KVM_SET_SREGS");
        var xcrs = new kvm_xcrs { nr_xcrs = 1 };
        xcrs.xcr0.value = Ring3Controls.Xcr0;
        KvmCalls.Require(_vcpu.Number, KvmRequests.KVM_SET_XCRS, &xcrs, "KVM_SET_XCRS");
    }
}
