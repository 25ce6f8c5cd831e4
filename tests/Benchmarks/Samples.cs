namespace WebVm.Benchmarks;

/// <summary>Durations of the same thing, by rank.</summary>
internal sealed class Samples(IEnumerable<double> values)
{
    private readonly double[] _sorted = [.. values.Order()];

    public int Count => _sorted.Length;

    public double P50 => At(0.50);

    public double P99 => At(0.99);

    /// <summary>The smallest value that this part of all values does not exceed (nearest rank).</summary>
    private double At(double part) => _sorted.Length == 0
        ? throw new InvalidOperationException("Nothing was measured.")
        : _sorted[Math.Max(0, (int)Math.Ceiling(part * _sorted.Length) - 1)];
}
