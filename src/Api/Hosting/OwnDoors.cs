using System.Globalization;
using WebVm.Vmm.Host;

namespace WebVm.Api.Hosting;

/// <summary>The ways into the service's own process, closed before it reads a secret.</summary>
public static class OwnDoors
{
    private const string Diagnostics = "DOTNET_EnableDiagnostics";

    // What the service makes is its own alone.
    private const uint NothingForOthers = 0b000_111_111;

    /// <summary>
    /// Closes them. The process may begin anew for it, once, as the runtime opens its diagnostics before any of our code runs.
    /// </summary>
    public static void Close()
    {
        OwnProcess.KeepInheritedDescriptors();
        if (!IsDecided())
        {
            DeleteDiagnostics();
            OwnProcess.ExecuteAgain(Diagnostics, "0");
        }

        OwnProcess.ForbidInspection();
        OwnProcess.SetFileMask(NothingForOthers);
    }

    // Set to whatever, also for one part of it (_IPC, _Debugger, _Profiler) or by its older name: somebody asked for it.
    private static bool IsDecided() => Environment.GetEnvironmentVariables().Keys.Cast<string>()
        .Any(name => name.StartsWith(Diagnostics, StringComparison.OrdinalIgnoreCase)
            || name.StartsWith("COMPlus_EnableDiagnostics", StringComparison.OrdinalIgnoreCase));

    /// <summary>The runtime removes its sockets and pipes at its end, which does not come.</summary>
    private static void DeleteDiagnostics()
    {
        foreach (string kind in new[] { "dotnet-diagnostic", "clr-debug-pipe" })
        {
            foreach (string door in Directory.EnumerateFileSystemEntries(
                Path.GetTempPath(), string.Create(CultureInfo.InvariantCulture, $"{kind}-{Environment.ProcessId}-*")))
            {
                try
                {
                    File.Delete(door);
                }
                catch (Exception another) when (another is IOException or UnauthorizedAccessException)
                {
                    // Of a process that had the number before.
                }
            }
        }
    }
}
