using System.Numerics;
using System.Runtime.InteropServices;

namespace WebVm.Vmm.State;

/// <summary>CRC-32C (Castagnoli; RFC 3720 appendix B.4) of bytes that come in pieces.</summary>
internal struct StreamChecksum()
{
    private uint _crc = ~0u;

    public readonly uint Value => ~_crc;

    public void Add(ReadOnlySpan<byte> bytes)
    {
        uint crc = _crc;
        int whole = bytes.Length & ~7;
        foreach (ulong word in MemoryMarshal.Cast<byte, ulong>(bytes[..whole]))
        {
            crc = BitOperations.Crc32C(crc, word);
        }

        foreach (byte single in bytes[whole..])
        {
            crc = BitOperations.Crc32C(crc, single);
        }

        _crc = crc;
    }
}
