using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Tests.Cpu.Differential;

/// <summary>The soft engine's processor.</summary>
internal sealed unsafe class SoftRing3Machine : IRing3Machine, IGuestBus
{
    private const SegmentAttributes UserData =
        SegmentAttributes.Accessed | SegmentAttributes.WritableOrReadable | SegmentAttributes.CodeOrData | SegmentAttributes.DplMask
        | SegmentAttributes.Present | SegmentAttributes.Default32 | SegmentAttributes.Granularity4K;

    private const SegmentAttributes UserCode =
        SegmentAttributes.Accessed | SegmentAttributes.WritableOrReadable | SegmentAttributes.Code | SegmentAttributes.CodeOrData
        | SegmentAttributes.DplMask | SegmentAttributes.Present | SegmentAttributes.Granularity4K;

    private static readonly byte[] _handler = [0xf4];
    private readonly CpuState* _state = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);

    public SoftRing3Machine()
    {
        Memory = Ring3Layout.Create(_handler);
        Vcpu = new SoftVcpu(0, CpuPlace.Alone, Memory, this);
        NativeMemory.Clear(_state, (nuint)sizeof(CpuState));
        Vcpu.Save(_state);
        _state->Cr0 = Ring3Controls.Cr0;
        _state->Cr3 = Ring3Layout.PageTables;
        _state->Cr4 = Ring3Controls.Cr4;
        _state->Efer = Ring3Controls.Efer;
        _state->Xcr0 = Ring3Controls.Xcr0;
        _state->Gdtr = new DescriptorTableRegister { Base = Ring3Layout.Gdt, Limit = (10 * 8) - 1 };
        _state->Idtr = new DescriptorTableRegister { Base = Ring3Layout.Idt, Limit = 0xfff };
        var data = new SegmentRegister { Limit = uint.MaxValue, Selector = Ring3Layout.UserData, Attributes = UserData };
        foreach (SegmentIndex index in new[] { SegmentIndex.Es, SegmentIndex.Ss, SegmentIndex.Ds, SegmentIndex.Fs, SegmentIndex.Gs })
        {
            _state->Segments[index] = data;
        }

        _state->Segments[SegmentIndex.Fs].Base = Ring3Layout.FsBase;
        _state->Segments[SegmentIndex.Gs].Base = Ring3Layout.GsBase;
        _state->Segments[SegmentIndex.Ldtr] = new SegmentRegister { Attributes = SegmentAttributes.Unusable };
        _state->Segments[SegmentIndex.Tr] = new SegmentRegister
        {
            Base = Ring3Layout.Tss,
            Limit = 0x67,
            Selector = Ring3Layout.TaskState,
            Attributes = (SegmentAttributes)0xb | SegmentAttributes.Present,
        };
    }

    public SoftVcpu Vcpu { get; }

    public GuestMemory Memory { get; }

    /// <summary>Runs with another CR0 from now on.</summary>
    public void ChangeControls(Func<ulong, ulong> change) => _state->Cr0 = change(_state->Cr0);

    public void Run(Ring3State state)
    {
        for (int i = 0; i < 16; i++)
        {
            _state->Gpr[i] = state.Gpr[i];
        }

        _state->Rip = state.Rip;
        _state->Rflags = state.Rflags;
        _state->Activity = VcpuActivity.Active;
        _state->Cr2 = 0;
        _state->Segments[SegmentIndex.Cs] = new SegmentRegister
        {
            Limit = uint.MaxValue,
            Selector = state.Compatibility ? Ring3Layout.UserCode32 : Ring3Layout.UserCode64,
            Attributes = UserCode | (state.Compatibility ? SegmentAttributes.Default32 : SegmentAttributes.Long),
        };
        _state->Segments[SegmentIndex.Ss] = new SegmentRegister { Limit = uint.MaxValue, Selector = Ring3Layout.UserData,
            Attributes = UserData };
        state.Xsave.CopyTo(new Span<byte>((byte*)_state + CpuState.XsaveOffset, Ring3State.XsaveSize));
        Vcpu.Load(_state);
        VcpuExit exit = Vcpu.RunUntilHalt();

        CpuState* after = stackalloc CpuState[1];
        Vcpu.Save(after);
        if (exit != VcpuExit.Kicked || after->Activity != VcpuActivity.Halted)
        {
            throw new InvalidOperationException(
                $"The soft engine ended with {exit} at {after->Rip:x}, started at {state.Rip:x}: {Vcpu.Failure}");
        }

        new Span<ulong>(after->Gpr, 16).CopyTo(state.Gpr);
        new ReadOnlySpan<byte>((byte*)after + CpuState.XsaveOffset, Ring3State.XsaveSize).CopyTo(state.Xsave);
        Ring3Frame.Complete(state, Memory, after->Rip - 1, after->Gpr[4], after->Cr2);
    }

    public void Dispose()
    {
        Vcpu.Dispose();
        Memory.Dispose();
        NativeMemory.AlignedFree(_state);
    }

    uint IGuestBus.ReadPort(ushort port, int size) => uint.MaxValue;

    void IGuestBus.WritePort(ushort port, int size, uint value)
    {
    }

    ulong IGuestBus.ReadMmio(GuestPhysicalAddress address, int size) => ulong.MaxValue;

    void IGuestBus.WriteMmio(GuestPhysicalAddress address, int size, ulong value)
    {
    }
}
