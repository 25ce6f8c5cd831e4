using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace WebVm.Vmm.Cpu.Features;

/// <summary>A set of features as the bits that CPUID shows them by.</summary>
[InlineArray(CpuidWords.Count)]
internal struct CpuFeatureSet
{
    private uint _first;

    public static CpuFeatureSet Of(IEnumerable<CpuFeature> features)
    {
        var set = default(CpuFeatureSet);
        foreach (var feature in features)
        {
            set = set.With(feature);
        }

        return set;
    }

    /// <summary>What this host's own processor shows.</summary>
    public static CpuFeatureSet OfHost()
    {
        var set = default(CpuFeatureSet);
        uint basic = (uint)X86Base.CpuId(0, 0).Eax;
        uint extended = (uint)X86Base.CpuId(unchecked((int)0x8000_0000), 0).Eax;
        foreach (var (leaf, subleaf) in CpuidWords.Leaves.Where(place => place.Leaf <= (place.Leaf < 0x8000_0000 ? basic : extended)))
        {
            (int eax, int ebx, int ecx, int edx) = X86Base.CpuId((int)leaf, (int)subleaf);
            int[] registers = [eax, ebx, ecx, edx];
            for (int i = 0; i < registers.Length; i++)
            {
                if (CpuidWords.At(leaf, subleaf, i) is { } word)
                {
                    set[word] = (uint)registers[i];
                }
            }
        }

        return set;
    }

    public uint this[CpuidWord word]
    {
        readonly get => this[(int)word];
        set => this[(int)word] = value;
    }

    public readonly bool Has(CpuFeature feature) => (this[feature.Word] & feature.Mask) != 0;

    public readonly CpuFeatureSet With(CpuFeature feature)
    {
        var set = this;
        set[feature.Word] |= feature.Mask;
        return set;
    }

    public readonly CpuFeatureSet Without(CpuFeature feature)
    {
        var set = this;
        set[feature.Word] &= ~feature.Mask;
        return set;
    }

    public readonly CpuFeatureSet Except(in CpuFeatureSet other)
    {
        var set = this;
        for (int i = 0; i < CpuidWords.Count; i++)
        {
            set[i] &= ~other[i];
        }

        return set;
    }

    /// <summary>The features of the table that are in the set, in the table's order.</summary>
    public readonly IReadOnlyList<CpuFeature> Named()
    {
        var set = this;
        return [.. CpuFeature.All.Where(feature => set.Has(feature))];
    }
}
