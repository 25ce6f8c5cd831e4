using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using WebVm.Api.Settings;
using WebVm.Vmm.Host;

namespace WebVm.Api.Runs;

/// <summary>
/// Makes what earlier builds left open to others, or gave to their monitors, the service's own, before anything of it is read. A monitor of
/// such a build that still runs keeps its folder until it ends: it has to write its exit code there, and what it saves.
/// </summary>
internal sealed partial class OlderFolders(VmFiles files, IOptions<ServiceOptions> options, ILogger<OlderFolders> log) : IHostedService
{
    // Others pass, and see nothing: monitors of another account reach their run's folder and their images by name.
    private const uint PassableMode = 0b111_001_001;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        bool passable = false;
        foreach (string id in files.Runs())
        {
            var run = files.Run(id);
            if (!run.IsAlive())
            {
                PrivateFolder.Take(run.Path);
            }
            else if (!PrivateFolder.TrySetMode(run.Path, PrivateFolder.FolderMode))
            {
                PrivateFolder.TrySetMode(run.Path, PrivateFolder.FolderMode, OlderRun.Owner);
                passable = true;
                LogOlder(log, id);
            }
        }

        Tighten(files.RunsFolder, passable);
        Tighten(options.Value.ImagesFolder, passable);
        Tighten(options.Value.KeysFolder, passable: false);
        TightenVms();
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Once: the folder's own mode, set last, tells that all below it is done.</summary>
    private void TightenVms()
    {
        string folder = Target(options.Value.VmsFolder);
        if (FileIdentity.Of(folder) is not { IsDirectory: true } status || status.Mode == PrivateFolder.FolderMode)
        {
            return;
        }

        foreach (string left in Directory.EnumerateDirectories(folder).SelectMany(vm => PrivateFolder.Take(vm)))
        {
            LogLeft(log, left);
        }

        Tighten(folder, passable: false);
    }

    private static void Tighten(string folder, bool passable) =>
        PrivateFolder.TrySetMode(Target(folder), passable ? PassableMode : PrivateFolder.FolderMode);

    // In the data folder, where nobody else writes, a link is its owner's wish.
    private static string Target(string folder) =>
        Directory.Exists(folder) ? Directory.ResolveLinkTarget(folder, returnFinalTarget: true)?.FullName ?? folder : folder;

    [LoggerMessage(Level = LogLevel.Information,
        Message = "Run {Run} is of an older build, whose monitors had their folder to themselves; it is led until it ends")]
    private static partial void LogOlder(ILogger log, string run);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Path} is no file of the service's and stays as it is")]
    private static partial void LogLeft(ILogger log, string path);
}
