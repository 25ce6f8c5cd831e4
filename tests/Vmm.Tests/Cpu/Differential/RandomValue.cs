using System.Buffers.Binary;

namespace WebVm.Vmm.Tests.Cpu.Differential;

/// <summary>Values that find mistakes: edges of every width, and floating-point numbers of every kind.</summary>
internal static class RandomValue
{
    private static readonly ulong[] _edges =
    [
        0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x7fffffffffffffff, 0x8000000000000000,
        0xffffffffffffffff, 0xfffffffffffffffe, 0xffffffff80000000, 0xffffffffffffff80, 0x100000000, 0x5555555555555555,
    ];

    private static readonly float[] _singles =
    [
        0f, -0f, 1f, -1f, 0.5f, 2f, 1.5f, float.MaxValue, float.MinValue, float.Epsilon, 1.1754944e-38f, 1.17e-38f, -1e-40f, 1e38f, 1e-38f,
        float.PositiveInfinity, float.NegativeInfinity, float.NaN, 2147483648f, -2147483904f, 9.223372e18f, 65504f, 65520f, 0.1f,
        123456.789f,
    ];

    private static readonly double[] _doubles =
    [
        0, -0.0, 1, -1, 0.5, 2, 1.5, double.MaxValue, double.MinValue, double.Epsilon, 2.2250738585072014e-308, 1e-310, 1e-45, 3.5e38,
        1e300, 1e-300,
        double.PositiveInfinity, double.NegativeInfinity, double.NaN, 2147483648.0, -2147483649.0, 9.3e18, 0.1, 123456.789, 1e18,
    ];

    public static ulong Integer(Random random) => random.Next(4) switch
    {
        0 => _edges[random.Next(_edges.Length)],
        1 => (ulong)random.Next(-256, 256),
        2 => (ulong)random.NextInt64() ^ ((ulong)random.Next(2) << 63),
        _ => (ulong)random.NextInt64() >> random.Next(64),
    };

    /// <summary>Fills with a mix of integers, singles and doubles.</summary>
    public static void Fill(Random random, Span<byte> bytes)
    {
        for (int i = 0; i + 8 <= bytes.Length; i += 8)
        {
            Span<byte> slot = bytes.Slice(i, 8);
            switch (random.Next(6))
            {
                case 0:
                    random.NextBytes(slot);
                    break;
                case 1:
                    BinaryPrimitives.WriteUInt64LittleEndian(slot, Integer(random));
                    break;
                case 2 or 3:
                    BinaryPrimitives.WriteSingleLittleEndian(slot, Single(random));
                    BinaryPrimitives.WriteSingleLittleEndian(slot[4..], Single(random));
                    break;
                default:
                    BinaryPrimitives.WriteDoubleLittleEndian(slot, Double(random));
                    break;
            }
        }
    }

    /// <summary>An 80-bit number: mostly normal, sometimes zero, denormal, infinite, NaN or an unsupported encoding.</summary>
    public static void Extended(Random random, Span<byte> bytes)
    {
        ulong significand = (ulong)random.NextInt64() << random.Next(40);
        int exponent = random.Next(8) switch { 0 => 0, 1 => 0x7fff, 2 => random.Next(0x7fff), _ => 0x3fff + random.Next(-70, 70) };
        significand = random.Next(8) switch { 0 => 0, 1 => significand, _ => significand | (1UL << 63) };
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, significand);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[8..], (ushort)(exponent | (random.Next(2) << 15)));
    }

    private static float Single(Random random) => random.Next(3) switch
    {
        0 => _singles[random.Next(_singles.Length)],
        1 => BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue)),
        _ => (float)((random.NextDouble() - 0.5) * Math.Pow(10, random.Next(-12, 12))),
    };

    private static double Double(Random random) => random.Next(3) switch
    {
        0 => _doubles[random.Next(_doubles.Length)],
        1 => BitConverter.Int64BitsToDouble(random.NextInt64(long.MinValue, long.MaxValue)),
        _ => (random.NextDouble() - 0.5) * Math.Pow(10, random.Next(-20, 20)),
    };
}
