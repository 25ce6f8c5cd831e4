using System.Globalization;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Devices.Catalogue;

/// <summary>
/// What only one device of a machine can have: a range of ports, addresses, slots, an interrupt, or a part that exists once.
/// </summary>
/// <param name="Space">What is counted, in the plural: ranges of different spaces never clash.</param>
/// <param name="Format">How a number of the space is written; null for a part that exists once, which the space names.</param>
public sealed record Claim(string Space, ulong First, ulong Count, Func<ulong, string>? Format)
{
    /// <summary>The setting that it follows from, so that a clash leads there; null for the device's place.</summary>
    public string? Setting { get; init; }

    /// <summary>Where the space ends.</summary>
    public ulong Limit { get; init; } = ulong.MaxValue;

    public static Claim Ports(ulong first, int count) => new("ports", first, (ulong)count, Hexadecimal) { Limit = ushort.MaxValue + 1UL };

    public static Claim Memory(ulong first, ulong size) =>
        new("addresses", first, size, Hexadecimal) { Limit = GuestMemory.AddressSpaceSize };

    /// <summary>A global system interrupt that is not shared.</summary>
    public static Claim Interrupt(int gsi) => new("interrupts", (ulong)gsi, 1, number => number.ToString(CultureInfo.InvariantCulture));

    /// <summary>Something that a machine has once, such as "the machine's console".</summary>
    public static Claim Only(string part) => new(part, 0, 1, null);

    public bool Clashes(Claim other) => Space == other.Space && First < other.First + other.Count && other.First < First + Count;

    private static string Hexadecimal(ulong number) => number.ToString("x", CultureInfo.InvariantCulture);

    public override string ToString() =>
        Format is null ? Space : Count == 1 ? $"{Space} {Format(First)}" : $"{Space} {Format(First)}-{Format(First + Count - 1)}";
}
