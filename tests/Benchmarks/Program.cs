using System.Globalization;
using WebVm.Benchmarks;

var known = typeof(IBenchmark).Assembly.GetTypes().Where(type => type.IsClass && type.IsAssignableTo(typeof(IBenchmark)))
    .Select(type => (IBenchmark)Activator.CreateInstance(type)!).OrderBy(benchmark => benchmark.Name, StringComparer.Ordinal).ToArray();
if (args.Except(known.Select(benchmark => benchmark.Name)).ToArray() is { Length: > 0 } unknown)
{
    Console.Error.WriteLine($"There is no benchmark '{string.Join("', '", unknown)}'; there are: {string.Join(", ", known.Select(benchmark => benchmark.Name))}.");
    return 2;
}

foreach (var benchmark in known.Where(benchmark => args.Length == 0 || args.Contains(benchmark.Name)))
{
    Console.WriteLine(benchmark.Name);
    foreach (var (what, value, unit, note) in benchmark.Run())
    {
        string figure = value.ToString(value is >= 100 or 0 ? "F0" : "F2", CultureInfo.InvariantCulture);
        Console.WriteLine($"  {what,-48} {figure,12} {unit,-8} {note}");
    }
}

return 0;
