using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Cpu.State;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>
/// Where the manuals of Intel (SDM) and AMD (APM) differ. A comparison with a host's processor would see one of them only.
/// </summary>
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

    [Theory]
    [InlineData(CpuVendor.Intel, 0)]
    [InlineData(CpuVendor.Amd, 3)]
    public void A_return_to_an_outer_level_makes_null_selectors_0_on_Intel(CpuVendor vendor, int selector)
    {
        using var machine = new LongModeProcessor();
        machine.Cpu->Vendor = vendor;
        machine.Cpu->State.Segments[SegmentIndex.Fs] = new SegmentRegister { Selector = 3, Base = 0x1234_5678,
            Attributes = SegmentAttributes.Unusable };
        machine.Place(a =>
        {
            a.push(0x23);
            a.push((int)LongModeProcessor.Stack);
            a.push(2);
            a.push(0x2b);
            a.push((int)Entry);
            a.iretq();
        });
        machine.Vcpu.Step(6, out _);
        Assert.Equal(Entry, machine.Cpu->State.Rip);
        Assert.Equal(selector, machine.Cpu->State.Segments[SegmentIndex.Fs].Selector);

        // The base of a thread's data stays.
        Assert.Equal(0x1234_5678UL, machine.Cpu->State.Segments[SegmentIndex.Fs].Base);

        // Of an inner level's data segment neither keeps anything to use.
        Assert.Equal(0, machine.Cpu->State.Segments[SegmentIndex.Gs].Selector);
        Assert.True(machine.Cpu->State.Segments[SegmentIndex.Gs].Attributes.HasFlag(SegmentAttributes.Unusable));
    }

    [Theory]
    [InlineData(CpuVendor.Intel, true, 0UL)]
    [InlineData(CpuVendor.Amd, true, 0UL)]
    [InlineData(CpuVendor.Amd, false, 0x1234_5678UL)]
    public void A_null_selector_clears_the_base_on_Intel_and_where_AMD_says_so(CpuVendor vendor, bool told, ulong expected)
    {
        var profile = SoftOffer.Everything(vendor);
        profile = told
            ? profile
            : new CpuProfile(CpuModel.Host, vendor, profile.Features.Without(CpuFeature.Find("null_seg_clears_base")!));
        using var machine = new LongModeProcessor(profile);
        machine.Cpu->State.Segments[SegmentIndex.Fs].Base = 0x1234_5678;
        machine.Gpr(0) = 0;
        machine.Place([0x8e, 0xe0]);
        Assert.Equal(Outcome.Continue, Step(machine));
        Assert.Equal(expected, machine.Cpu->State.Segments[SegmentIndex.Fs].Base);
        Assert.Equal(vendor == CpuVendor.Amd && told, (CpuidPolicy.Read(machine.Cpu, 0x8000_0021, 0).Eax & 0x40) != 0);
    }

    [Theory]
    [InlineData(CpuVendor.Intel, false, 0UL)]
    [InlineData(CpuVendor.Amd, true, 5UL)]
    public void The_upper_half_of_TSC_AUX_is_refused_on_Intel_and_ignored_on_AMD(CpuVendor vendor, bool taken, ulong value)
    {
        using var machine = new LongModeProcessor(SoftOffer.Everything(vendor));
        Assert.Equal(taken, ModelSpecificRegisterAccess.TryWrite(machine.Cpu, Msr.TscAux, 0x1_0000_0005));
        Assert.True(ModelSpecificRegisterAccess.TryRead(machine.Cpu, Msr.TscAux, out ulong read));
        Assert.Equal(value, read);
    }

    [Theory]
    [InlineData(CpuVendor.Intel, false, 0UL)]
    [InlineData(CpuVendor.Amd, true, 1UL)]
    public void Entry_points_of_SYSENTER_are_64_bits_on_Intel_and_32_on_AMD(CpuVendor vendor, bool taken, ulong value)
    {
        using var machine = new LongModeProcessor(SoftOffer.Everything(vendor));
        Assert.Equal(taken, ModelSpecificRegisterAccess.TryWrite(machine.Cpu, Msr.SysenterEip, 0x8000_0000_0000_0001));
        Assert.True(ModelSpecificRegisterAccess.TryRead(machine.Cpu, Msr.SysenterEip, out ulong read));
        Assert.Equal(value, read);
    }

    [Theory]
    [InlineData(CpuVendor.Intel, "GenuineIntel", 6u)]
    [InlineData(CpuVendor.Amd, "AuthenticAMD", 0x19u)]
    public void CPUID_is_one_vendors_throughout(CpuVendor vendor, string identification, uint family)
    {
        using var machine = new LongModeProcessor(SoftOffer.Everything(vendor));
        bool amd = vendor == CpuVendor.Amd;
        var (maximum, ebx, ecx, edx) = CpuidPolicy.Read(machine.Cpu, 0, 0);
        Assert.Equal(
            identification, System.Text.Encoding.ASCII.GetString(
                System.Runtime.InteropServices.MemoryMarshal.AsBytes<uint>((uint[])[ebx, edx, ecx])));
        uint signature = CpuidPolicy.Read(machine.Cpu, 1, 0).Eax;
        Assert.Equal(family, (signature >> 8 & 0xf) + ((signature >> 8 & 0xf) == 0xf ? signature >> 20 & 0xff : 0));

        // Beyond the last basic leaf Intel's repeat that, AMD's give nothing.
        Assert.Equal(amd ? default : CpuidPolicy.Read(machine.Cpu, maximum, 0), CpuidPolicy.Read(machine.Cpu, maximum + 1, 0));

        // Caches: leaf 4 or 0x8000001d. Leaf 1's bits again in 0x80000001. Speculation control in leaf 7 or 0x80000008.
        Assert.Equal(amd, CpuidPolicy.Read(machine.Cpu, 4, 0).Eax == 0);
        Assert.Equal(amd, CpuidPolicy.Read(machine.Cpu, 0x8000_0000, 0).Eax >= 0x8000_001d);
        Assert.Equal(amd, (CpuidPolicy.Read(machine.Cpu, 0x8000_0001, 0).Edx & 1) != 0);
        Assert.Equal(amd, (CpuidPolicy.Read(machine.Cpu, 7, 0).Edx & (1 << 26)) == 0);
        Assert.Equal(amd, (CpuidPolicy.Read(machine.Cpu, 0x8000_0008, 0).Ebx & (1 << 14)) != 0);
    }

    [Theory]
    [InlineData(CpuVendor.Intel, false)]
    [InlineData(CpuVendor.Amd, true)]
    public void CPUID_tells_of_SYSCALL_outside_64_bit_mode_on_AMD_alone(CpuVendor vendor, bool told)
    {
        using var machine = new LongModeProcessor(SoftOffer.Everything(vendor));
        Assert.NotEqual(0u, CpuidPolicy.Read(machine.Cpu, 0x8000_0001, 0).Edx & 0x800);
        machine.Cpu->State.Segments[SegmentIndex.Cs].Attributes = (SegmentAttributes)0xc09b;
        machine.Vcpu.StateReplaced();
        Assert.Equal(told, (CpuidPolicy.Read(machine.Cpu, 0x8000_0001, 0).Edx & 0x800) != 0);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Bases_may_be_as_wide_as_the_processor_has_addresses_whatever_CR4_says(bool la57)
    {
        const ulong wide = 0x00ff_0000_0000_0000;
        var profile = SoftOffer.Everything(CpuVendor.Intel);
        profile = la57 ? profile : new CpuProfile(CpuModel.Host, CpuVendor.Intel, profile.Features.Without(CpuFeature.Find("la57")!));
        foreach (uint msr in (uint[])[Msr.Lstar, Msr.Cstar, Msr.FsBase, Msr.GsBase, Msr.KernelGsBase, Msr.SysenterEsp, Msr.SysenterEip])
        {
            using var machine = new LongModeProcessor(profile);
            Assert.Equal(la57, ModelSpecificRegisterAccess.TryWrite(machine.Cpu, msr, wide));
        }

        (byte[] Code, string What)[] instructions =
        [
            ([0x0f, 0x01, 0x16], "LGDT"), ([0x0f, 0x01, 0x1e], "LIDT"), ([0x66, 0x0f, 0x38, 0x82, 0x06], "INVPCID"),
            ([0xf3, 0x48, 0x0f, 0xae, 0xd1], "WRFSBASE"),
            ([0x0f, 0x00, 0xd0], "LLDT"), ([0x0f, 0x00, 0xd8], "LTR"),
        ];
        foreach (var (code, what) in instructions)
        {
            using var machine = new LongModeProcessor(profile);
            machine.Cpu->State.Cr4 |= Cr4.Fsgsbase;
            machine.Gpr(1) = wide;
            machine.Gpr(6) = LongModeProcessor.Data;
            machine.Gpr(0) = what is "LLDT" or "LTR" ? 0x30u : 0;
            machine.Write(LongModeProcessor.Data + (what == "INVPCID" ? 8UL : 2UL), wide);
            machine.Write(LongModeProcessor.Gdt + 0x30, what == "LLDT" ? 0x0000_8200_0000_0067UL : 0x0000_8900_0000_0067UL);
            machine.Write(LongModeProcessor.Gdt + 0x38, wide >> 32);
            machine.Place(code);
            Assert.True(la57 == (Step(machine) == Outcome.Continue), what);
            Assert.True(la57 || machine.Cpu->Exception == WebVm.Vmm.Cpu.Soft.Context.ExceptionVector.GeneralProtection, what);
        }
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
