namespace WebVm.Benchmarks;

/// <summary>One figure.</summary>
/// <param name="What">What was measured.</param>
/// <param name="Value">The figure.</param>
/// <param name="Unit">Its unit, such as "ns" or "B/op".</param>
/// <param name="Note">What it compares with, or under which conditions it was taken.</param>
/// <param name="Beside">The same of QEMU, where it was measured in the same run.</param>
internal readonly record struct Measurement(string What, double Value, string Unit, string Note = "", double? Beside = null);

/// <summary>Something that ./webvm bench measures. Found by reflection; a class with a constructor without parameters.</summary>
internal interface IBenchmark
{
    /// <summary>What one asks for on the command line.</summary>
    string Name { get; }

    IEnumerable<Measurement> Run();
}
