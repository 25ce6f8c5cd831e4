using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Cpu.State;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>Protection keys of user pages (PKU) and supervisor pages (PKS) (SDM Vol. 3A §4.6.2).</summary>
public sealed unsafe class ProtectionKeyTests
{
    private const ulong Key5 = 5UL << 59;
    private const ulong AccessDisabled = 1UL << 10;
    private const ulong WriteDisabled = 2UL << 10;
    private const uint User = 4;
    private const uint Write = 2;
    private const uint ByKey = 0x21;

    /// <summary>Rights, by whom, with CR0.WP, and what reads and writes then end with: 0 or the error code.</summary>
    [Theory]
    [InlineData(0UL, 3, true, 0u, 0u)]
    [InlineData(AccessDisabled, 3, true, ByKey | User, ByKey | User | Write)]
    [InlineData(WriteDisabled, 3, true, 0u, ByKey | User | Write)]
    [InlineData(WriteDisabled, 3, false, 0u, ByKey | User | Write)]
    [InlineData(AccessDisabled, 0, true, ByKey, ByKey | Write)]
    [InlineData(WriteDisabled, 0, true, 0u, ByKey | Write)]
    [InlineData(WriteDisabled, 0, false, 0u, 0u)]
    [InlineData(AccessDisabled << 2, 3, true, 0u, 0u)]
    public void PKRU_limits_data_accesses_to_user_pages(ulong rights, int cpl, bool writeProtect, uint read, uint write)
    {
        using var machine = Machine(Cr4.Pke, cpl, writeProtect, user: true);
        ProtectionKeyRights.SetUser(machine.Cpu, (uint)rights);
        Assert.Equal(read, Probe(machine, write: false));
        Assert.Equal(write, Probe(machine, write: true));

        // Taken up at once, and not without CR4.PKE.
        ProtectionKeyRights.SetUser(machine.Cpu, 0);
        Assert.Equal(0u, Probe(machine, write: true));
        ProtectionKeyRights.SetUser(machine.Cpu, (uint)rights);
        Assert.Equal(write, Probe(machine, write: true));
        Assert.True(ControlRegisters.TrySetCr4(machine.Cpu, machine.Cpu->State.Cr4 & ~Cr4.Pke));
        Assert.Equal(0u, Probe(machine, write: true));
    }

    [Theory]
    [InlineData(0UL, true, 0u, 0u)]
    [InlineData(AccessDisabled, true, ByKey, ByKey | Write)]
    [InlineData(WriteDisabled, true, 0u, ByKey | Write)]
    [InlineData(WriteDisabled, false, 0u, 0u)]
    public void IA32_PKRS_limits_data_accesses_to_supervisor_pages(ulong rights, bool writeProtect, uint read, uint write)
    {
        using var machine = Machine(Cr4.Pks, 0, writeProtect, user: false);
        Assert.True(ModelSpecificRegisterAccess.TryWrite(machine.Cpu, Msr.Pkrs, rights));
        Assert.False(ModelSpecificRegisterAccess.TryWrite(machine.Cpu, Msr.Pkrs, 1UL << 32));
        Assert.Equal(read, Probe(machine, write: false));
        Assert.Equal(write, Probe(machine, write: true));

        // PKRU has no say in it.
        ProtectionKeyRights.SetUser(machine.Cpu, uint.MaxValue);
        Assert.Equal(read, Probe(machine, write: false));
    }

    [Theory]
    [InlineData(true, 0u, 0u, null)]
    [InlineData(false, 0u, 0u, 6)]
    [InlineData(true, 1u, 0u, 13)]
    [InlineData(true, 0u, 1u, 13)]
    public void WRPKRU_and_RDPKRU_move_the_register(bool enabled, uint ecx, uint edx, int? vector)
    {
        using var machine = Machine(enabled ? Cr4.Pke : 0, 0, true, user: true);
        machine.Gpr(0) = 0x1234_5678;
        machine.Gpr(1) = ecx;
        machine.Gpr(2) = edx;
        machine.Place([0x0f, 0x01, 0xef, 0x31, 0xc0, 0x0f, 0x01, 0xee]);
        machine.Vcpu.Step(3, out var outcome);
        if (vector is { } expected)
        {
            Assert.Equal(Outcome.Exception, outcome);
            Assert.Equal((ExceptionVector)expected, machine.Cpu->Exception);
        }
        else
        {
            Assert.Equal(0x1234_5678UL, machine.Gpr(0));
            Assert.Equal(0x10u, CpuidPolicy.Read(machine.Cpu, 7, 0).Ecx & 0x10);
        }
    }

    [Theory]
    [InlineData(0x207u, false, 832)]
    [InlineData(0x207u, true, 832)]
    [InlineData(0x203u, true, 576)]
    public void XSAVE_and_XRSTOR_carry_it(uint components, bool compacted, int offset)
    {
        using var machine = Machine(Cr4.Pke | Cr4.Osxsave, 0, true, user: true);
        machine.Cpu->State.Xcr0 = 0x207;
        machine.Vcpu.StateReplaced();
        ProtectionKeyRights.SetUser(machine.Cpu, 0x0fed_cba8);
        machine.Gpr(0) = components;
        machine.Gpr(2) = 0;
        machine.Gpr(6) = LongModeProcessor.Data + 0x20_0000;

        // XSAVE or XSAVEC, then XRSTOR.
        machine.Place(compacted ? [0x0f, 0xc7, 0x26, 0x0f, 0xae, 0x2e] : [0x0f, 0xae, 0x26, 0x0f, 0xae, 0x2e]);
        Assert.Equal(1, machine.Vcpu.Step(1, out _));
        Assert.Equal(0x0fed_cba8UL, machine.Read<ulong>(machine.Gpr(6) + (ulong)offset));
        ProtectionKeyRights.SetUser(machine.Cpu, 4);
        Assert.Equal(1, machine.Vcpu.Step(1, out _));
        Assert.Equal(0x0fed_cba8UL, machine.Cpu->State.Xsave.Pkru);

        // Where the image does not have it, it goes to its initial value.
        machine.Write(machine.Gpr(6) + 512, 0UL);
        machine.Cpu->State.Rip = LongModeProcessor.Code + 3;
        Assert.Equal(1, machine.Vcpu.Step(1, out _));
        Assert.Equal(0UL, machine.Cpu->State.Xsave.Pkru);
        Assert.Equal((8u, 832u), (CpuidPolicy.Read(machine.Cpu, 0xd, 9).Eax, CpuidPolicy.Read(machine.Cpu, 0xd, 9).Ebx));
        Assert.Equal(840u, CpuidPolicy.Read(machine.Cpu, 0xd, 0).Ebx);
    }

    /// <summary>The 2 MiB at <see cref="LongModeProcessor.Data"/> have key 5.</summary>
    private static LongModeProcessor Machine(ulong cr4, int cpl, bool writeProtect, bool user)
    {
        var machine = new LongModeProcessor(SoftOffer.Everything(CpuVendor.Intel));
        ulong cell = LongModeProcessor.PageTables + 0x2000 + ((LongModeProcessor.Data >> 21) * 8);
        machine.Write(cell, (machine.Read<ulong>(cell) & (user ? ulong.MaxValue : ~4UL)) | Key5);
        ref var state = ref machine.Cpu->State;
        state.Cr4 |= cr4;
        state.Cr0 = writeProtect ? state.Cr0 | Cr0.Wp : state.Cr0 & ~Cr0.Wp;
        state.Segments[SegmentIndex.Ss].Attributes |= (SegmentAttributes)(cpl << 5);
        machine.Vcpu.StateReplaced();
        return machine;
    }

    private static uint Probe(LongModeProcessor machine, bool write) =>
        SlowAccess.TryProbe(machine.Cpu, new(LongModeProcessor.Data + 8), 4, write) ? 0 : machine.Cpu->ExceptionErrorCode;
}
