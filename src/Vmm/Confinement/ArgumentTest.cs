namespace WebVm.Vmm.Confinement;

/// <summary>
/// A condition on what a filter sees of a system call. The kernel takes an argument that is declared an int from the lower half of its
/// register, whatever the upper one holds, so those are compared by their lower half; addresses, lengths and flags of 64 bits as a whole.
/// </summary>
internal readonly record struct ArgumentTest
{
    private const int ArgumentsOffset = 16; // offsetof(struct seccomp_data, args)
    private const int InstructionPointerOffset = 8;

    private ArgumentTest(ArgumentTestKind kind, int offset, ulong mask, params ulong[] values) =>
        (Kind, Offset, Mask, Values) = (kind, offset, mask, values);

    public ArgumentTestKind Kind { get; }

    /// <summary>Of the lower half, in struct seccomp_data.</summary>
    public int Offset { get; }

    public ulong Mask { get; }

    public ReadOnlyMemory<ulong> Values { get; }

    /// <summary>The lower 32 bits are one of these.</summary>
    /// <param name="argument">Counted from 0.</param>
    public static ArgumentTest IsOneOf(int argument, params ReadOnlySpan<uint> values)
    {
        var wide = new ulong[values.Length];
        for (int index = 0; index < values.Length; index++)
        {
            wide[index] = values[index];
        }

        return new(ArgumentTestKind.OneOf32, At(argument), uint.MaxValue, wide);
    }

    /// <summary>None of these bits of the lower half is set.</summary>
    public static ArgumentTest HasNone(int argument, uint mask) => new(ArgumentTestKind.None32, At(argument), mask);

    /// <summary>These bits of the lower half have that value.</summary>
    public static ArgumentTest Has(int argument, uint mask, uint value) => new(ArgumentTestKind.Masked32, At(argument), mask, value);

    /// <summary>All 64 bits.</summary>
    public static ArgumentTest IsWide(int argument, ulong value) => new(ArgumentTestKind.Equal64, At(argument), ulong.MaxValue, value);

    /// <summary>The call comes from the instruction before this address.</summary>
    public static ArgumentTest ReturnsTo(ulong address) => new(ArgumentTestKind.Equal64, InstructionPointerOffset, ulong.MaxValue, address);

    private static int At(int argument) => ArgumentsOffset + (argument * sizeof(ulong));
}

internal enum ArgumentTestKind
{
    OneOf32,
    None32,
    Masked32,
    Equal64,
}
