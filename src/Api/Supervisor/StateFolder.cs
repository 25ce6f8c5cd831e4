using WebVm.Vmm.Control;

namespace WebVm.Api.Supervisor;

/// <summary>
/// Saved machine states. The unprivileged monitor writes into its own run directory; the service moves the finished folder where
/// it belongs, so that a state is there completely or not at all.
/// </summary>
internal static class StateFolder
{
    public static async Task<long> SaveAsync(ControlClient client, RunDirectory run, string target)
    {
        string written = Path.Combine(run.Path, "state-" + Guid.NewGuid().ToString("N")[..8]);
        var result = await client.SaveAsync(written);
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        Directory.Move(written, target);
        return result.MemoryBytes;
    }
}
