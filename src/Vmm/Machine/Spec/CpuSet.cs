using System.Globalization;
using System.Numerics;

namespace WebVm.Vmm.Machine.Spec;

/// <summary>A set of vCPU indexes from 0 to 63, written as Linux writes them: "0-3,8".</summary>
public readonly record struct CpuSet(ulong Mask)
{
    public const int Limit = 64;

    public int Count => BitOperations.PopCount(Mask);

    /// <summary>Highest index in the set; -1 when it is empty.</summary>
    public int Highest => 63 - BitOperations.LeadingZeroCount(Mask);

    public static CpuSet FirstOf(int count) => new(count >= Limit ? ulong.MaxValue : (1UL << count) - 1);

    public bool Contains(int cpu) => cpu is >= 0 and < Limit && ((Mask >> cpu) & 1) != 0;

    public static bool TryParse(string text, out CpuSet set)
    {
        set = default;
        if (text.Length == 0)
        {
            return true;
        }

        ulong mask = 0;
        foreach (string part in text.Split(','))
        {
            string[] ends = part.Split('-');
            if (ends.Length > 2 || !TryIndex(ends[0], out int first) || !TryIndex(ends[^1], out int last) || last < first)
            {
                return false;
            }

            for (int cpu = first; cpu <= last; cpu++)
            {
                mask |= 1UL << cpu;
            }
        }

        set = new CpuSet(mask);
        return true;
    }

    public override string ToString()
    {
        var parts = new List<string>();
        for (int cpu = 0; cpu < Limit; cpu++)
        {
            if (!Contains(cpu))
            {
                continue;
            }

            int first = cpu;
            while (Contains(cpu + 1))
            {
                cpu++;
            }

            parts.Add(first == cpu ? $"{first}" : $"{first}-{cpu}");
        }

        return string.Join(',', parts);
    }

    private static bool TryIndex(string text, out int index) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out index) && index < Limit;
}
