using System.Diagnostics;
using WebVm.Api.Settings;

namespace WebVm.Api.Runs;

/// <summary>How the monitor's program is started as keeper: with an environment of what it needs, and nothing of the service's.</summary>
internal static class KeeperCommand
{
    // Where a .NET runtime is, for builds that need one; language of messages.
    private static readonly string[] s_inherited = ["PATH", "DOTNET_ROOT", "DOTNET_ROOT_X64", "LANG", "LC_ALL"];

    public static string Program(ServiceOptions options) => options.Monitor ?? Path.Combine(AppContext.BaseDirectory, "webvm-vmm");

    public static ProcessStartInfo Start(ServiceOptions options, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(Program(options), arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        var inherited =
            s_inherited.Select(name => (name, value: Environment.GetEnvironmentVariable(name)))
                .Where(variable => variable.value is not null)
                .ToArray();
        start.Environment.Clear();
        foreach (var (name, value) in inherited)
        {
            start.Environment[name] = value;
        }

        // Nobody debugs it from outside: no diagnostics socket, which a killed process would leave behind.
        start.Environment["DOTNET_EnableDiagnostics"] = "0";
        if (options.DebugsMonitors)
        {
            start.Environment["WEBVM_MONITOR_DEBUG"] = "1";
        }

        return start;
    }
}
