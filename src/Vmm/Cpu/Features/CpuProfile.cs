using Iced.Intel;

namespace WebVm.Vmm.Cpu.Features;

/// <summary>
/// The processor of one machine as it was decided on: what CPUID shows, and what works because of it. Shared by the machine's vCPUs.
/// </summary>
internal sealed class CpuProfile
{
    private readonly bool[] _hiddenInstructions = new bool[Enum.GetValues<CpuidFeature>().Length];
    private readonly uint[] _absentMsrs;
    private readonly bool _longLahf;

    public CpuProfile(CpuModel model, CpuVendor vendor, CpuFeatureSet features)
    {
        Model = model;
        Vendor = vendor;
        Features = features;
        HashSet<uint> absent = [.. CpuFeature.VendorMsrs.Where(row => row.Vendor != vendor).Select(row => row.Msr)];
        foreach (var feature in CpuFeature.All.Where(feature => !features.Has(feature)))
        {
            absent.UnionWith(feature.Msrs);
            foreach (var group in feature.Instructions)
            {
                _hiddenInstructions[(int)group] = true;
            }
        }

        foreach (var feature in features.Named())
        {
            absent.ExceptWith(feature.Msrs);
            Cr4 |= feature.Cr4;
            Xcr0 |= feature.Xcr0;
            Efer |= feature.Efer;
        }

        Xcr0 = Has("xsave") ? Xcr0 | 1 : 1;
        _absentMsrs = [.. absent];
        _longLahf = Has("lahf_lm");
        HasGigabytePages = Has("pdpe1gb");
        KeepsBasesOfNullSelectors = vendor == CpuVendor.Amd && !Has("null_seg_clears_base");
    }

    public CpuModel Model { get; }

    public CpuVendor Vendor { get; }

    public CpuFeatureSet Features { get; }

    /// <summary>Bits of CR4 that may be set. RDPMC may be allowed to user code by every processor.</summary>
    public ulong Cr4 { get; } = State.Cr4.Pce;

    /// <summary>Bits of XCR0 that may be set.</summary>
    public ulong Xcr0 { get; }

    /// <summary>Bits of IA32_EFER that may be set.</summary>
    public ulong Efer { get; }

    /// <summary>57 bits of linear address exist, whether or not CR4.LA57 has them used.</summary>
    public bool HasLa57 => (Cr4 & State.Cr4.La57) != 0;

    /// <summary>Pages of 1 GiB exist; else the bit that makes them is reserved.</summary>
    public bool HasGigabytePages { get; }

    /// <summary>
    /// A null selector leaves a segment register's base and limit alone, as AMD's older processors do (APM Vol. 2 §4.5.3).
    /// </summary>
    public bool KeepsBasesOfNullSelectors { get; }

    public bool Has(string feature) => CpuFeature.Find(feature) is { } known && Features.Has(known);

    /// <summary>An access to the MSR faults, as it comes with a feature that is not there or with the other vendor.</summary>
    public bool LacksMsr(uint msr) => _absentMsrs.AsSpan().Contains(msr);

    /// <summary>The instruction comes with a feature that is not there.</summary>
    public bool Lacks(in Instruction instruction)
    {
        foreach (var group in instruction.Code.CpuidFeatures())
        {
            if (_hiddenInstructions[(int)group])
            {
                return true;
            }
        }

        // Two instructions have a feature of their own for 64-bit mode alone.
        return instruction.Mnemonic is Mnemonic.Lahf or Mnemonic.Sahf && instruction.CodeSize == CodeSize.Code64 && !_longLahf;
    }

    /// <summary>Whether prefixes make LZCNT of BSR, or TZCNT of BSF: without the feature they mean nothing.</summary>
    public DecoderOptions DecoderOptions =>
        (Has("lzcnt") ? DecoderOptions.None : DecoderOptions.NoMPFX_0FBD)
            | (Has("bmi1") ? DecoderOptions.None : DecoderOptions.NoMPFX_0FBC);
}
