using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Differential;

/// <summary>The soft engine against the host's own processor, which KVM lets us run user code on.</summary>
public sealed class DifferentialTests
{
    private const string NoKvm = "There is no /dev/kvm to compare with.";

    public static bool HasKvm => KvmRing3Machine.IsAvailable;

    [Fact(Skip = NoKvm, SkipUnless = nameof(HasKvm))]
    public void Random_streams_end_alike_on_both_processors() =>
        Compare(seed: 1, instructions: 20_000, new InstructionPool(64), bitness: 64);

    [Fact(Explicit = true)]
    public void A_million_random_instructions_end_alike_on_both_processors()
    {
        int seed = int.TryParse(Environment.GetEnvironmentVariable("WEBVM_SEED"), out int given) ? given : 2;
        long count = long.TryParse(Environment.GetEnvironmentVariable("WEBVM_COUNT"), out long asked) ? asked : 1_200_000;
        Compare(seed, count, new InstructionPool(64), bitness: 64);
    }

    [Fact(Skip = NoKvm, SkipUnless = nameof(HasKvm))]
    public void Compatibility_mode_streams_end_alike()
    {
        Assert.SkipUnless(
            RunsCompatibilityModeNatively(),
            "KVM emulates 32-bit code here (no hardware virtualization), so there is no real processor to compare with.");
        Compare(seed: 1, instructions: 10_000, new InstructionPool(32), bitness: 32);
    }

    [Fact(Skip = NoKvm, SkipUnless = nameof(HasKvm))]
    public void Privileged_instructions_fault_alike() =>
        Compare(seed: 1, instructions: 5_000, new InstructionPool(64, privileged: true), bitness: 64);

    [Fact(Skip = NoKvm, SkipUnless = nameof(HasKvm))]
    public void Random_encodings_mean_the_same() => CompareEncodings(seed: 1, streams: 60);

    [Fact(Explicit = true)]
    public void Many_random_encodings_mean_the_same() =>
        CompareEncodings(int.TryParse(Environment.GetEnvironmentVariable("WEBVM_SEED"), out int given) ? given : 2, streams: 3000);

    [Fact(Skip = NoKvm, SkipUnless = nameof(HasKvm))]
    public void A_planted_mistake_is_found_and_named()
    {
        using var oracle = new KvmRing3Machine();
        using var subject = new PlantedMistake(new SoftRing3Machine());
        var run = new DifferentialRun(oracle, subject, new InstructionPool(64), bitness: 64, maximumFindings: 1);

        run.Execute(seed: 3, instructions: 20_000);

        Assert.Equal(1, run.FindingCount);
        Assert.Contains("--- Adc_", run.Report(), StringComparison.Ordinal);
    }

    private static void CompareEncodings(int seed, int streams)
    {
        using var oracle = new KvmRing3Machine();
        using var subject = new SoftRing3Machine();
        var run = new DifferentialRun(oracle, subject, new InstructionPool(64), bitness: 64);

        run.ExecuteEncodings(seed, streams);

        Assert.True(run.FindingCount == 0, run.Report());
    }

    private static bool RunsCompatibilityModeNatively()
    {
        using var machine = new KvmRing3Machine();
        machine.Memory.TryWrite(
            new GuestPhysicalAddress(Ring3Layout.Code), (ReadOnlySpan<byte>)[0xd9, 0xee, 0xd9, 0xfa, 0x0f, 0x0b]); // FLDZ, FSQRT, UD2
        var state = new Ring3State { Rip = Ring3Layout.Code, Compatibility = true };
        state.Gpr[4] = Ring3Layout.Stack + 0x1000;
        BitConverter.TryWriteBytes(state.Xsave, (ushort)0x37f);
        BitConverter.TryWriteBytes(state.Xsave.AsSpan(24), 0x1f80u);
        machine.Run(state);
        return state.Rip == Ring3Layout.Code + 4;
    }

    private static void Compare(int seed, long instructions, InstructionPool pool, int bitness)
    {
        using var oracle = new KvmRing3Machine();
        using var subject = new SoftRing3Machine();
        var run = new DifferentialRun(oracle, subject, pool, bitness);

        if (int.TryParse(Environment.GetEnvironmentVariable("WEBVM_STREAM"), out int stream))
        {
            // A single stream, by the seed that a finding names.
            run.ExecuteStream(stream);
        }
        else
        {
            run.Execute(seed, instructions);
        }

        Assert.True(run.FindingCount == 0, run.Report());
        TestContext.Current.TestOutputHelper?.WriteLine(run.Report());
    }
}
