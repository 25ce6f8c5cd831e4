using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Cpu.Soft.Interpretation;
using WebVm.Vmm.Cpu.State;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>Where the manuals of Intel (SDM) and AMD (APM) differ. A comparison with a host's processor would see one of them only.</summary>
public sealed unsafe class VendorTests
{
    private const ulong Entry = 0x28_0000;
    private const ulong CompatibilityEntry = 0x28_1000;

    [Theory]
    [InlineData(CpuVendor.Intel, false)]
    [InlineData(CpuVendor.Amd, true)]
    public void Syscall_from_compatibility_mode_is_undefined_on_Intel_and_goes_to_CSTAR_on_AMD(CpuVendor vendor, bool enters)
    {
        using var machine = Machine(vendor, 0x18);
        machine.Place([0x0f, 0x05]);
        Expect(machine, enters ? CompatibilityEntry : null);
        if (enters)
        {
            Assert.Equal(LongModeProcessor.Code + 2, machine.Gpr(1));
            Assert.Equal(8, machine.Cpu->State.Segments[SegmentIndex.Cs].Selector);
            Assert.Equal(0, machine.Cpu->Cpl);
            Assert.True(machine.Cpu->IsCode64);
        }
    }

    [Theory]
    [InlineData(CpuVendor.Intel)]
    [InlineData(CpuVendor.Amd)]
    public void Syscall_from_64_bit_mode_goes_to_LSTAR_on_both(CpuVendor vendor)
    {
        using var machine = Machine(vendor, 0x28);
        machine.Place([0x0f, 0x05]);
        Expect(machine, Entry);
    }

    [Theory]
    [InlineData(CpuVendor.Intel, false)]
    [InlineData(CpuVendor.Amd, true)]
    public void Syscall_in_legacy_protected_mode_exists_on_AMD_alone(CpuVendor vendor, bool enters)
    {
        using var machine = Machine(vendor, 0x18);
        Legacy(machine);
        machine.Cpu->State.Gpr[11] = 77;
        machine.Cpu->State.Rflags |= RflagsBits.If;
        machine.Vcpu.StateReplaced();
        machine.Place([0x0f, 0x05]);
        Expect(machine, enters ? 0x28_2000 : null);
        if (enters)
        {
            Assert.Equal(0UL, machine.Cpu->State.Rflags & RflagsBits.If);
            Assert.Equal(77UL, machine.Gpr(11));
            Assert.Equal(LongModeProcessor.Code + 2, machine.Gpr(1));
        }
    }

    [Theory]
    [InlineData(CpuVendor.Intel, 0x18, true)]
    [InlineData(CpuVendor.Intel, 0x28, true)]
    [InlineData(CpuVendor.Amd, 0x18, false)]
    [InlineData(CpuVendor.Amd, 0x28, false)]
    public void Sysenter_exists_in_long_mode_on_Intel_alone(CpuVendor vendor, int selector, bool enters)
    {
        using var machine = Machine(vendor, (ushort)selector);
        machine.Place([0x0f, 0x34]);
        Expect(machine, enters ? Entry : null);
    }

    [Theory]
    [InlineData(CpuVendor.Intel)]
    [InlineData(CpuVendor.Amd)]
    public void Sysenter_exists_in_legacy_mode_on_both(CpuVendor vendor)
    {
        using var machine = Machine(vendor, 0x18);
        Legacy(machine);
        machine.Place([0x0f, 0x34]);
        Expect(machine, Entry);
    }

    [Theory]
    [InlineData(CpuVendor.Intel, 6)]
    [InlineData(CpuVendor.Amd, -1)]
    public void Sysexit_in_long_mode_is_undefined_on_AMD(CpuVendor vendor, int vector)
    {
        using var machine = new LongModeProcessor();
        machine.Cpu->Vendor = vendor;
        machine.Cpu->State.Msr.SysenterCs = 8;
        machine.Gpr(1) = LongModeProcessor.Stack;
        machine.Gpr(2) = Entry;
        machine.Place([0x48, 0x0f, 0x35]);
        Assert.Equal(vendor == CpuVendor.Amd ? Outcome.Exception : Outcome.Continue, Step(machine));
        Assert.Equal(vector == 6 ? 3 : 0, machine.Cpu->Cpl);
    }

    [Theory]
    [InlineData(CpuVendor.Intel, 0)]
    [InlineData(CpuVendor.Amd, 3)]
    public void Sysret_to_an_address_that_cannot_be_faults_at_CPL_0_on_Intel_and_at_CPL_3_on_AMD(CpuVendor vendor, int cpl)
    {
        using var machine = new LongModeProcessor();
        machine.Cpu->Vendor = vendor;
        machine.Cpu->State.Msr.Star = 0x1bUL << 48;
        machine.Gpr(1) = 0x8000_0000_0000_0000;
        machine.Gpr(11) = 2;
        machine.Place([0x48, 0x0f, 0x07, 0x90]);
        var outcome = Step(machine);
        if (cpl == 3)
        {
            Assert.Equal(Outcome.Continue, outcome);
            outcome = Step(machine);
        }

        Assert.Equal(Outcome.Exception, outcome);
        Assert.Equal(13, (int)machine.Cpu->Exception);
        Assert.Equal(cpl, machine.Cpu->Cpl);
    }

    [Theory]
    [InlineData(CpuVendor.Intel, 0xc0f3u)]
    [InlineData(CpuVendor.Amd, 0x1_0060u)]
    public void Sysret_renews_all_of_SS_on_Intel_and_its_selector_alone_on_AMD(CpuVendor vendor, uint attributes)
    {
        using var machine = new LongModeProcessor();
        machine.Cpu->Vendor = vendor;
        machine.Cpu->State.Segments[SegmentIndex.Ss] = new SegmentRegister { Attributes = SegmentAttributes.Unusable };
        machine.Cpu->State.Msr.Star = 0x1bUL << 48;
        machine.Gpr(1) = Entry;
        machine.Gpr(11) = 2;
        machine.Place([0x48, 0x0f, 0x07]);
        Assert.Equal(Outcome.Continue, Step(machine));
        var ss = machine.Cpu->State.Segments[SegmentIndex.Ss];
        Assert.Equal(0x23, ss.Selector);
        Assert.Equal(attributes, (uint)ss.Attributes);
        Assert.Equal(3, machine.Cpu->Cpl);
    }

    [Theory]
    [InlineData(CpuVendor.Intel, false)]
    [InlineData(CpuVendor.Amd, true)]
    public void Sysret_from_compatibility_mode_exists_on_AMD_alone(CpuVendor vendor, bool exists)
    {
        using var machine = Machine(vendor, 0x18);
        machine.Cpu->State.Segments[SegmentIndex.Cs].Attributes &= ~SegmentAttributes.DplMask;
        machine.Cpu->State.Segments[SegmentIndex.Ss].Attributes &= ~SegmentAttributes.DplMask;
        machine.Vcpu.StateReplaced();
        machine.Gpr(1) = Entry;
        machine.Place([0x0f, 0x07]);
        Assert.Equal(exists ? Outcome.Continue : Outcome.Exception, Step(machine));
        Assert.Equal(exists ? 3 : 0, machine.Cpu->Cpl);
        Assert.Equal(exists ? Entry : LongModeProcessor.Code, machine.Cpu->State.Rip);
    }

    /// <summary>At CPL 3 in the code segment of a selector, with the entry points of all system calls set.</summary>
    private static LongModeProcessor Machine(CpuVendor vendor, ushort selector)
    {
        var machine = new LongModeProcessor();
        machine.Cpu->Vendor = vendor;
        ref var state = ref machine.Cpu->State;
        state.Msr.Star = (8UL << 32) | 0x28_2000;
        state.Msr.Lstar = Entry;
        state.Msr.Cstar = CompatibilityEntry;
        state.Msr.SysenterCs = 8;
        state.Msr.SysenterEip = Entry;
        state.Msr.SysenterEsp = LongModeProcessor.Stack;
        state.Segments[SegmentIndex.Cs] = new SegmentRegister
        {
            Selector = (ushort)(selector | 3), Limit = uint.MaxValue, Attributes = (SegmentAttributes)(selector == 0x28 ? 0xa0fb : 0xc0fb),
        };
        state.Segments[SegmentIndex.Ss].Attributes |= SegmentAttributes.DplMask;
        machine.Vcpu.StateReplaced();
        return machine;
    }

    /// <summary>32-bit protected mode without paging.</summary>
    private static void Legacy(LongModeProcessor machine)
    {
        machine.Cpu->State.Cr0 &= ~Cr0.Pg;
        machine.Cpu->State.Efer &= ~(Efer.Lma | Efer.Lme);
        machine.Vcpu.StateReplaced();
    }

    /// <summary>The instruction goes to an entry point, or is undefined.</summary>
    private static void Expect(LongModeProcessor machine, ulong? entry)
    {
        var outcome = Step(machine);
        if (entry is { } address)
        {
            Assert.Equal(Outcome.Continue, outcome);
            Assert.Equal(address, machine.Cpu->State.Rip);
        }
        else
        {
            Assert.Equal(Outcome.Exception, outcome);
            Assert.Equal(6, (int)machine.Cpu->Exception);
            Assert.Equal(LongModeProcessor.Code, machine.Cpu->State.Rip);
        }
    }

    private static Outcome Step(LongModeProcessor machine)
    {
        machine.Vcpu.Step(1, out var outcome);
        return outcome;
    }
}
