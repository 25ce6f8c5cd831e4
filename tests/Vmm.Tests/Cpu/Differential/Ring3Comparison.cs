using System.Text;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Tests.Cpu.Differential;

/// <summary>What two processors made of the same code.</summary>
internal static class Ring3Comparison
{
    private const int ControlEnd =
        6;        // FCW, FSW, FTW; the opcode and the two pointers behind are kept differently by every processor
    private const int MxcsrStart = 24;
    private const int RegistersStart = 32;
    private const int SlotBytes = 10;
    private const int XmmStart = 160;
    private const int XmmEnd = 416;
    private const int YmmStart = 576;

    private static readonly string[] _names =
        ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];

    /// <summary>The differences, one per line; empty if there are none.</summary>
    public static string Describe(Ring3State expected, Ring3State actual)
    {
        var text = new StringBuilder();
        Line(text, "vector", (ulong)expected.Vector, (ulong)actual.Vector);
        Line(text, "error code", expected.ErrorCode, actual.ErrorCode);
        Line(text, "cr2", expected.Cr2, actual.Cr2);
        Line(text, "rip", expected.Rip, actual.Rip);
        Line(text, "rflags", expected.Rflags, actual.Rflags);
        for (int i = 0; i < 16; i++)
        {
            Line(text, _names[i], expected.Gpr[i], actual.Gpr[i]);
        }

        Bytes(text, "fcw fsw ftw", expected, actual, 0, ControlEnd - 1);
        Bytes(text, "mxcsr", expected, actual, MxcsrStart, 4);
        for (int i = 0; i < 8; i++)
        {
            Bytes(text, $"st{i}", expected, actual, RegistersStart + (i * 16), SlotBytes);
        }

        for (int i = 0; i < 16; i++)
        {
            Bytes(text, $"xmm{i}", expected, actual, XmmStart + (i * 16), 16);
            Bytes(text, $"ymm{i} high", expected, actual, YmmStart + (i * 16), 16);
        }

        return text.ToString();
    }

    public static bool AreEqual(Ring3State expected, Ring3State actual) =>
        expected.Vector == actual.Vector && expected.ErrorCode == actual.ErrorCode && expected.Cr2 == actual.Cr2
        && expected.Rip == actual.Rip && expected.Rflags == actual.Rflags && expected.Gpr.AsSpan().SequenceEqual(actual.Gpr)
        && Same(expected, actual, 0, ControlEnd - 1) && Same(expected, actual, MxcsrStart, 4)
        && AreSlotsEqual(expected, actual)
        && Same(expected, actual, XmmStart, XmmEnd - XmmStart) && Same(expected, actual, YmmStart, 256);

    /// <summary>The first difference in user memory, or null.</summary>
    public static unsafe string? DescribeMemory(GuestMemory expected, GuestMemory actual)
    {
        foreach (var (start, size) in new[] { (Ring3Layout.Data, Ring3Layout.DataSize), (Ring3Layout.Stack, Ring3Layout.StackSize) })
        {
            var left = new ReadOnlySpan<byte>(expected.HostAt(start), size);
            var right = new ReadOnlySpan<byte>(actual.HostAt(start), size);
            int common = left.CommonPrefixLength(right);
            if (common != size)
            {
                int shown = Math.Min(32, size - common);
                return $"memory at {start + (ulong)common:x}: {Convert.ToHexString(left.Slice(common, shown))} | {Convert.ToHexString(right.Slice(common, shown))}\n";
            }
        }

        return null;
    }

    private static bool AreSlotsEqual(Ring3State expected, Ring3State actual)
    {
        for (int i = 0; i < 8; i++)
        {
            if (!Same(expected, actual, RegistersStart + (i * 16), SlotBytes))
            {
                return false;
            }
        }

        return true;
    }

    private static bool Same(Ring3State expected, Ring3State actual, int start, int length) =>
        expected.Xsave.AsSpan(start, length).SequenceEqual(actual.Xsave.AsSpan(start, length));

    private static void Line(StringBuilder text, string name, ulong expected, ulong actual)
    {
        if (expected != actual)
        {
            text.Append(name).Append(": ").Append($"{expected:x} | {actual:x}\n");
        }
    }

    private static void Bytes(StringBuilder text, string name, Ring3State expected, Ring3State actual, int start, int length)
    {
        if (!Same(expected, actual, start, length))
        {
            text.Append(name).Append(": ").Append(Convert.ToHexString(expected.Xsave, start, length)).Append(" | ")
                .Append(Convert.ToHexString(actual.Xsave, start, length)).Append('\n');
        }
    }
}
