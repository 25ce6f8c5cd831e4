using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Differential;

/// <summary>The soft engine against the host's own processor, which KVM lets us run user code on.</summary>
public sealed class DifferentialTests
{
    private const string NoKvm = "There is no /dev/kvm to compare with.";

    public static bool HasKvm => KvmRing3Machine.IsAvailable;

    [Fact(Skip = NoKvm, SkipUnless = nameof(HasKvm))]
    public void RandomStreamsEndAlikeOnBothProcessors() => Compare(seed: 1, instructions: 20_000);

    [Fact(Explicit = true)]
    public void AMillionRandomInstructionsEndAlikeOnBothProcessors()
    {
        int seed = int.TryParse(Environment.GetEnvironmentVariable("WEBVM_SEED"), out int given) ? given : 2;
        long count = long.TryParse(Environment.GetEnvironmentVariable("WEBVM_COUNT"), out long asked) ? asked : 1_200_000;
        Compare(seed, count);
    }

    [Fact(Skip = NoKvm, SkipUnless = nameof(HasKvm))]
    public void APlantedMistakeIsFoundAndNamed()
    {
        using var oracle = new KvmRing3Machine();
        using var subject = new PlantedMistake(new SoftRing3Machine());
        var run = new DifferentialRun(oracle, subject, bitness: 64, maximumFindings: 1);

        run.Execute(seed: 3, instructions: 20_000);

        Assert.Equal(1, run.FindingCount);
        Assert.Contains("--- Adc_", run.Report(), StringComparison.Ordinal);
    }

    private static void Compare(int seed, long instructions)
    {
        using var oracle = new KvmRing3Machine();
        using var subject = new SoftRing3Machine();
        var run = new DifferentialRun(oracle, subject, bitness: 64);

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
