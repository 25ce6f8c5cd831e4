using System.Reflection;
using Xunit;
using Xunit.v3;

namespace WebVm.Kit.Service;

/// <summary>Puts what services logged during a test beside the test's failure.</summary>
[AttributeUsage(AttributeTargets.Assembly)]
internal sealed class ServiceReport : BeforeAfterTestAttribute
{
    private static readonly List<ServiceProcess> s_shared = [];

    /// <summary>Has a service reported that outlives tests; others are when they end.</summary>
    public static void Share(ServiceProcess service)
    {
        lock (s_shared)
        {
            s_shared.Add(service);
        }
    }

    public override void After(MethodInfo methodUnderTest, IXunitTest test)
    {
        if (TestContext.Current.TestState?.Result == TestResult.Failed)
        {
            lock (s_shared)
            {
                s_shared.ForEach(service => service.Tell());
            }
        }
    }
}

/// <summary>What a test's failure shows of the service.</summary>
public sealed partial class ServiceProcess
{
    // Characters.
    private const int Shown = 8000;

    partial void Report() => Tell();

    /// <summary>Writes the end of the log into the test's output, which is shown if it fails.</summary>
    internal void Tell()
    {
        string log = Log;
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"The log of the service in {Data} ends:\n{log[Math.Max(0, log.Length - Shown)..]}");
    }
}
