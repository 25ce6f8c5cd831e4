using System.Runtime.Intrinsics.X86;
using WebVm.Vmm.Cpu.Soft.Semantics.Integer;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Soft.Integer;

/// <summary>What a native monitor does where the just-in-time compiler would have an instruction: the same.</summary>
public sealed class HostBitFieldsTests
{
    private static readonly ulong[] s_edges = [0, 1, 2, 0xff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0x5555_5555_5555_5555,
        0x8000_0000_0000_0000, ulong.MaxValue - 1, ulong.MaxValue];

    [Fact]
    public void Bits_are_deposited_and_extracted_alike_with_and_without_the_instructions()
    {
        Assert.SkipUnless(Bmi2.X64.IsSupported, "This processor has no BMI2.");
        foreach (var (value, mask) in Pairs())
        {
            Assert.Equal(Bmi2.X64.ParallelBitDeposit(value, mask), HostBitFields.DepositByBit(value, mask));
            Assert.Equal(Bmi2.X64.ParallelBitExtract(value, mask), HostBitFields.ExtractByBit(value, mask));
            Assert.Equal(Bmi2.X64.ParallelBitDeposit(value, mask), HostBitFields.DepositByStub(value, mask));
            Assert.Equal(Bmi2.X64.ParallelBitExtract(value, mask), HostBitFields.ExtractByStub(value, mask));
        }
    }

    [Fact]
    public void The_upper_half_of_a_product_is_the_same_by_halves() =>
        Assert.All(
            Pairs(), pair => Assert.Equal(
                Math.BigMul(pair.Left, pair.Right, out _), HostBitFields.MultiplyHighByHalves(pair.Left, pair.Right)));

    private static IEnumerable<(ulong Left, ulong Right)> Pairs()
    {
        var random = new Random(10);
        var all = s_edges.Concat(Enumerable.Range(0, 40).Select(_ => (ulong)random.NextInt64(long.MinValue, long.MaxValue))).ToArray();
        return all.SelectMany(left => all.Select(right => (left, right)));
    }
}
