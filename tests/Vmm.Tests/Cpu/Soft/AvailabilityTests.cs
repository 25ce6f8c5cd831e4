using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Time;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>What CPUID does not show does not work, and what it shows does: every row of the table both ways.</summary>
public sealed unsafe class AvailabilityTests
{
    /// <summary>An instruction of each feature that has any, in 64-bit code.</summary>
    private static readonly Dictionary<string, byte[]> s_samples = new()
    {
        ["tsc"] = [0x0f, 0x31],
        ["cx8"] = [0x0f, 0xc7, 0x0e],
        ["sep"] = [0x0f, 0x34],
        ["cmov"] = [0x0f, 0x44, 0xc3],
        ["clflush"] = [0x0f, 0xae, 0x3e],
        ["mmx"] = [0x0f, 0xef, 0xc0],
        ["fxsr"] = [0x0f, 0xae, 0x06],
        ["sse"] = [0x0f, 0x57, 0xc0],
        ["sse2"] = [0x66, 0x0f, 0xef, 0xc0],
        ["sse3"] = [0xf2, 0x0f, 0x7c, 0xc1],
        ["pclmulqdq"] = [0x66, 0x0f, 0x3a, 0x44, 0xc1, 0],
        ["ssse3"] = [0x66, 0x0f, 0x38, 0x00, 0xc1],
        ["fma"] = [0xc4, 0xe2, 0xf1, 0x98, 0xc2],
        ["cx16"] = [0x48, 0x0f, 0xc7, 0x0e],
        ["sse4_1"] = [0x66, 0x0f, 0x38, 0x17, 0xc1],
        ["sse4_2"] = [0x66, 0x0f, 0x38, 0x37, 0xc1],
        ["movbe"] = [0x0f, 0x38, 0xf0, 0x06],
        ["popcnt"] = [0xf3, 0x0f, 0xb8, 0xc3],
        ["aes"] = [0x66, 0x0f, 0x38, 0xdc, 0xc1],
        ["xsave"] = [0x0f, 0xae, 0x26],
        ["avx"] = [0xc5, 0xf8, 0x57, 0xc0],
        ["f16c"] = [0xc4, 0xe2, 0x79, 0x13, 0xc1],
        ["rdrand"] = [0x0f, 0xc7, 0xf0],
        ["fsgsbase"] = [0xf3, 0x0f, 0xae, 0xc0],
        ["bmi1"] = [0xc4, 0xe2, 0x78, 0xf3, 0xc8],
        ["avx2"] = [0xc5, 0xfd, 0xef, 0xc0],
        ["bmi2"] = [0xc4, 0xe2, 0x7b, 0xf5, 0xc3],
        ["invpcid"] = [0x66, 0x0f, 0x38, 0x82, 0x06],
        ["rdseed"] = [0x0f, 0xc7, 0xf8],
        ["adx"] = [0x66, 0x0f, 0x38, 0xf6, 0xc3],
        ["smap"] = [0x0f, 0x01, 0xca],
        ["clflushopt"] = [0x66, 0x0f, 0xae, 0x3e],
        ["clwb"] = [0x66, 0x0f, 0xae, 0x36],
        ["sha_ni"] = [0x0f, 0x38, 0xc9, 0xc1],
        ["pku"] = [0x0f, 0x01, 0xee],
        ["gfni"] = [0x66, 0x0f, 0x38, 0xcf, 0xc1],
        ["vaes"] = [0xc4, 0xe2, 0x75, 0xdc, 0xc2],
        ["vpclmulqdq"] = [0xc4, 0xe3, 0x75, 0x44, 0xc2, 0],
        ["rdpid"] = [0xf3, 0x0f, 0xc7, 0xf8],
        ["avx_vnni"] = [0xc4, 0xe2, 0x71, 0x50, 0xc2],
        ["xsaveopt"] = [0x0f, 0xae, 0x36],
        ["xsavec"] = [0x0f, 0xc7, 0x26],
        ["syscall"] = [0x0f, 0x05],
        ["rdtscp"] = [0x0f, 0x01, 0xf9],
    };

    public static TheoryData<string> Features() =>
        [.. CpuFeature.All.Where(feature => Everything(VendorOf(feature)).Has(feature.Name)).Select(feature => feature.Name)];

    [Theory]
    [MemberData(nameof(Features))]
    public void Cpuid_shows_it_and_what_comes_with_it_works_or_neither(string name)
    {
        var feature = CpuFeature.Find(name)!;
        Check(feature, Everything(VendorOf(feature)), present: true);

        // Without everything else that brings the same along.
        var without = Everything(VendorOf(feature)).Features;
        foreach (var other in CpuFeature.All.Where(other => other.Msrs.Intersect(feature.Msrs).Any() || (other.Cr4 & feature.Cr4) != 0))
        {
            without = without.Without(other);
        }

        Check(feature, new CpuProfile(CpuModel.Host, VendorOf(feature), without.Without(feature)), present: false);
    }

    [Fact]
    public void Every_feature_with_instructions_has_a_sample() =>
        Assert.Empty(CpuFeature.All.Where(feature => feature.Instructions.Count > 0 && Everything(VendorOf(feature)).Features.Has(feature))
            .Select(feature => feature.Name).Except(s_samples.Keys).Except(["lzcnt"]));

    [Theory]
    [InlineData("lzcnt", 0xbd, 60, 3)]
    [InlineData("bmi1", 0xbc, 3, 3)]
    public void Without_the_feature_the_prefix_of_a_count_of_zeros_means_nothing(string name, byte opcode, ulong counted, ulong scanned)
    {
        foreach (bool present in (bool[])[true, false])
        {
            var profile = Everything(CpuVendor.Intel);
            using var machine = new LongModeProcessor(
                present ? profile : new CpuProfile(CpuModel.Host, CpuVendor.Intel, profile.Features.Without(CpuFeature.Find(name)!)));
            machine.Gpr(3) = 8;
            machine.Place([0xf3, 0x48, 0x0f, opcode, 0xc3]);
            machine.Vcpu.Step(1, out _);
            Assert.Equal(present ? counted : scanned, machine.Gpr(0));
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Lahf_in_64_bit_mode_and_pages_of_a_gigabyte_come_with_their_features(bool present)
    {
        var features = Everything(CpuVendor.Intel).Features;
        features = present ? features : features.Without(CpuFeature.Find("lahf_lm")!).Without(CpuFeature.Find("pdpe1gb")!);
        using var machine = new LongModeProcessor(new CpuProfile(CpuModel.Host, CpuVendor.Intel, features));
        machine.Place([0x9f]);
        machine.Vcpu.Step(1, out var outcome);
        Assert.Equal(present ? Outcome.Continue : Outcome.Exception, outcome);

        machine.Write(LongModeProcessor.PageTables + 0x1008, 0x87UL);
        Assert.Equal(present, SlowAccess.TryProbe(machine.Cpu, new(0x4000_0000), 1, write: false));
        Assert.True(present || machine.Cpu->ExceptionErrorCode == 9);
    }

    [Fact]
    public void The_APIC_bit_follows_the_base_register()
    {
        using var processor = new LongModeProcessor();
        using var timers = new TimerService(new VirtualClock());
        using var engine = new SoftEngine(processor.Memory, processor, timers, Everything(CpuVendor.Intel));
        var vcpu = (SoftVcpu)engine.CreateVcpu(0, CpuPlace.Alone);
        Assert.NotEqual(0u, CpuidPolicy.Read(vcpu.Context, 1, 0).Edx & 0x200);
        Assert.True(ModelSpecificRegisterAccess.TryWrite(vcpu.Context, LocalApic.MsrApicBase, LocalApic.DefaultBase));
        Assert.Equal(0u, CpuidPolicy.Read(vcpu.Context, 1, 0).Edx & 0x200);
    }

    [Fact]
    public void X2APIC_mode_needs_the_feature()
    {
        using var processor = new LongModeProcessor();
        using var timers = new TimerService(new VirtualClock());
        var features = Everything(CpuVendor.Intel).Features.Without(CpuFeature.Find("x2apic")!);
        using var engine = new SoftEngine(processor.Memory, processor, timers, new CpuProfile(CpuModel.Host, CpuVendor.Intel, features));
        var cpu = ((SoftVcpu)engine.CreateVcpu(0, CpuPlace.Alone)).Context;
        Assert.False(
            ModelSpecificRegisterAccess.TryWrite(
                cpu, LocalApic.MsrApicBase, LocalApic.DefaultBase | LocalApic.BaseEnable | LocalApic.BaseX2ApicEnable));
    }

    [Theory]
    [InlineData(CpuVendor.Intel)]
    [InlineData(CpuVendor.Amd)]
    public void MSRs_of_the_other_vendor_do_not_exist(CpuVendor vendor)
    {
        using var machine = new LongModeProcessor(Everything(vendor));
        foreach (var (owner, msr) in CpuFeature.VendorMsrs)
        {
            Assert.Equal(owner == vendor, ModelSpecificRegisterAccess.TryRead(machine.Cpu, msr, out _));
        }
    }

    private static void Check(CpuFeature feature, CpuProfile profile, bool present)
    {
        using var processor = new LongModeProcessor(profile);
        using var timers = new TimerService(new VirtualClock());
        using var engine = new SoftEngine(processor.Memory, processor, timers, profile);
        var withApic = ((SoftVcpu)engine.CreateVcpu(0, CpuPlace.Alone)).Context;
        Assert.Equal(present, Shown(processor.Cpu, feature));
        for (int bit = 0; bit < 64; bit++)
        {
            ulong mask = 1UL << bit;
            if ((feature.Cr4 & mask) != 0)
            {
                // From protected mode without paging, where none of them has conditions but PCIDE.
                using var machine = new LongModeProcessor(profile);
                bool set = ControlRegisters.TrySetCr4(machine.Cpu, (machine.Cpu->State.Cr4 & profile.Cr4) | Cr4.Pae | mask);
                Assert.Equal(present, set || (mask == Cr4.La57 && (profile.Cr4 & Cr4.La57) != 0));
            }

            if ((feature.Xcr0 & mask) != 0)
            {
                Assert.Equal(present, (profile.Xcr0 & mask) != 0);
                Assert.Equal(present, (CpuidPolicy.Read(processor.Cpu, 0xd, 0).Eax & mask) != 0);
            }

            if ((feature.Efer & mask) != 0)
            {
                Assert.Equal(
                    present, ModelSpecificRegisterAccess.TryWrite(
                        processor.Cpu, Msr.Efer, (processor.Cpu->State.Efer & profile.Efer) | mask));
            }
        }

        foreach (uint msr in feature.Msrs.Where(msr => msr is < LocalApic.MsrX2Apic or > LocalApic.MsrX2ApicLast))
        {
            bool reads = ModelSpecificRegisterAccess.TryRead(withApic, msr, out _);
            bool writes = ModelSpecificRegisterAccess.TryWrite(withApic, msr, 0);
            Assert.True(present == (reads || writes), $"MSR 0x{msr:x}");
        }

        if (s_samples.TryGetValue(feature.Name, out byte[]? sample))
        {
            Assert.Equal(present, Executes(profile, sample));
        }
    }

    /// <summary>The instruction exists; whether it may do what it wants here is another matter.</summary>
    private static bool Executes(CpuProfile profile, byte[] code)
    {
        using var machine = new LongModeProcessor(profile);
        machine.Cpu->State.Cr4 |= Cr4.Fsgsbase | Cr4.Osxsave | Cr4.Osfxsr | Cr4.Pke;
        machine.Cpu->State.Efer |= Efer.Sce;
        machine.Vcpu.StateReplaced();
        machine.Gpr(0) = machine.Gpr(6) = LongModeProcessor.Data;
        machine.Place(code);
        machine.Vcpu.Step(1, out var outcome);
        return outcome != Outcome.Exception || machine.Cpu->Exception != ExceptionVector.InvalidOpcode;
    }

    private static bool Shown(CpuContext* cpu, CpuFeature feature)
    {
        foreach (var (leaf, subleaf) in CpuidWords.Leaves)
        {
            var (eax, ebx, ecx, edx) = CpuidPolicy.Read(cpu, leaf, subleaf);
            uint[] registers = [eax, ebx, ecx, edx];
            for (int i = 0; i < 4; i++)
            {
                if (CpuidWords.At(leaf, subleaf, i) == feature.Word)
                {
                    return (registers[i] & feature.Mask) != 0;
                }
            }
        }

        throw new InvalidOperationException(feature.Name);
    }

    private static CpuProfile Everything(CpuVendor vendor) => SoftOffer.Everything(vendor);

    private static CpuVendor VendorOf(CpuFeature feature) => feature.Vendor ?? CpuVendor.Intel;
}
