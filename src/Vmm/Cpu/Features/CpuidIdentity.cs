using System.Text;

namespace WebVm.Vmm.Cpu.Features;

/// <summary>What CPUID says of who made a processor that guests see (SDM Vol. 2A, CPUID; APM Vol. 3 appendix E).</summary>
internal static class CpuidIdentity
{
    /// <summary>Bits that AMD's leaf 0x80000001 repeats from leaf 1.</summary>
    public const uint RepeatedByAmd = 0x0183_f3ff;

    /// <summary>
    /// Leaf 1 EAX; also EDX after reset. Intel: family 6, a model that no table of quirks knows. AMD: family 0x19, its first model.
    /// </summary>
    public static uint Signature(CpuVendor vendor) => vendor == CpuVendor.Amd ? 0x00a0_0f11u : 0x000e_06f1u;

    /// <summary>The words of leaf 0x80000002, 3 or 4 for a brand string.</summary>
    public static (uint Eax, uint Ebx, uint Ecx, uint Edx) BrandOf(string brand, uint leaf)
    {
        uint[] words = Words(brand, 48);
        uint word = (leaf - 0x8000_0002) * 4;
        return (words[word], words[word + 1], words[word + 2], words[word + 3]);
    }

    /// <summary>A text as the words that registers hold, padded with zeros.</summary>
    /// <param name="length">Bytes.</param>
    public static uint[] Words(string text, int length)
    {
        byte[] bytes = new byte[length];
        Encoding.ASCII.GetBytes(text, bytes);
        uint[] words = new uint[length / 4];
        Buffer.BlockCopy(bytes, 0, words, 0, length);
        return words;
    }
}
