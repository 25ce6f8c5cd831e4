using System.Globalization;
using WebVm.Benchmarks;

var known = typeof(IBenchmark).Assembly.GetTypes().Where(type => type.IsClass && type.IsAssignableTo(typeof(IBenchmark)))
    .Select(type => (IBenchmark)Activator.CreateInstance(type)!).OrderBy(benchmark => benchmark.Name, StringComparer.Ordinal).ToArray();
if (args.Except(known.Select(benchmark => benchmark.Name)).ToArray() is { Length: > 0 } unknown)
{
    Console.Error.WriteLine(
        $"There is no benchmark '{string.Join("', '", unknown)}'; there are: {string.Join(", ", known.Select(benchmark => benchmark.Name))}.");
    return 2;
}

foreach (var benchmark in known.Where(benchmark => args.Length == 0 || args.Contains(benchmark.Name)))
{
    Console.WriteLine(benchmark.Name);
    bool titled = false;
    foreach (var (what, value, unit, note, beside) in benchmark.Run())
    {
        if (beside is { } other)
        {
            if (!titled)
            {
                titled = true;
                Console.WriteLine($"  {"",-56} {"WebVm",12} {"QEMU",12} {"",-8} {"ratio",7}");
            }

            Console.WriteLine(
                $"  {what,-56} {Figure(value),12} {Figure(other),12} {unit,-8} {(other == 0 ? "-" : Figure(value / other)),7} {note}".TrimEnd());
        }
        else
        {
            Console.WriteLine($"  {what,-56} {Figure(value),12} {(titled ? new string(' ', 13) : "")}{unit,-8} {note}".TrimEnd());
        }
    }
}

return 0;

static string Figure(double value) => value.ToString(value is >= 100 or 0 ? "F0" : "F2", CultureInfo.InvariantCulture);
