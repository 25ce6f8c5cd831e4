using Microsoft.Extensions.Options;
using WebVm.Api.Settings;

namespace WebVm.Api.Runs;

/// <summary>Where a VM's files lie.</summary>
public sealed class VmFiles(IOptions<ServiceOptions> options)
{
    public string Folder(Guid vm) => Path.Combine(options.Value.VmsFolder, vm.ToString("N"));

    /// <summary>State that the VM goes on from at its next start.</summary>
    public string Saved(Guid vm) => Path.Combine(Folder(vm), "saved");

    /// <summary>What is kept of the run that crashed last.</summary>
    public string Crash(Guid vm) => Path.Combine(Folder(vm), "crash");

    public string Snapshot(Guid vm, Guid snapshot) => Path.Combine(Folder(vm), "snapshots", snapshot.ToString("N"));

    public string RunsFolder => Path.Combine(options.Value.Data, "run");

    public RunDirectory Run(string runId) => new(RunsFolder, runId);

    /// <summary>The VMs that have a state to go on from.</summary>
    public Guid[] WithSavedState() => Directory.Exists(options.Value.VmsFolder)
        ? [.. Directory.EnumerateDirectories(options.Value.VmsFolder)
            .Select(folder => Guid.TryParse(Path.GetFileName(folder), out var vm) ? vm : Guid.Empty)
                .Where(vm => Directory.Exists(Saved(vm)))]
        : [];

    /// <summary>The runs that have a folder.</summary>
    public string[] Runs()
    {
        return Directory.Exists(RunsFolder) ? [.. Directory.GetDirectories(RunsFolder).Select(folder => Path.GetFileName(folder))] : [];
    }

    public void Delete(Guid vm)
    {
        if (Directory.Exists(Folder(vm)))
        {
            Directory.Delete(Folder(vm), recursive: true);
        }
    }
}
