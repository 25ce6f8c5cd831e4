using System.Diagnostics;
using System.Text.Json;
using WebVm.Api.Operations;
using WebVm.Vmm.Control;
using WebVm.Vmm.Host;

namespace WebVm.Api.Runs;

/// <summary>
/// Saved machine states. The monitor writes into files of the service's in the run directory; the service moves the finished folder where
/// it belongs, so that a state is there completely or not at all.
/// </summary>
internal static class StateFolder
{
    /// <summary>
    /// Has the monitor write its machine's state, and puts it in place. The connection is one of its own: others are answered meanwhile,
    /// and the monitor gives up when it ends.
    /// </summary>
    /// <param name="progress">Told how much is done, in percent.</param>
    /// <returns>The guest memory in the state, in bytes.</returns>
    /// <exception cref="IOException">The monitor is gone, or the state could not be written.</exception>
    /// <exception cref="ControlException">The monitor refused, or failed.</exception>
    public static async Task<long> SaveAsync(RunDirectory run, string target, Action<int> progress, CancellationToken cancellation)
    {
        string written = Path.Combine(run.Path, "state-" + Guid.NewGuid().ToString("N")[..8]);
        try
        {
            using var client = await ControlClient.ConnectAsync(run.Control, cancellation);
            client.Event += (name, data) =>
            {
                if (name == ControlEvents.Saving && data.Deserialize(ControlJson.Default.SaveProgress) is { } saved)
                {
                    progress(Math.Clamp(saved.Percent, 0, 100));
                }
            };
            client.Start();
            var result = await client.SaveAsync(written).WaitAsync(cancellation);
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            if (run.IsOfOlderBuild)
            {
                written = Take(written, target);
            }
            else
            {
                // Which images a machine boots is the service's word alone. A monitor that gave one of its state's files this name still
                // has that file, by no name.
                File.Delete(Path.Combine(written, BootFiles.FileName));
                BootFiles.Read(run.Path)?.Write(written);
            }

            Replace(written, target);
            return result.MemoryBytes;
        }
        catch
        {
            Delete(written);
            throw;
        }
    }

    /// <summary>
    /// Copies a state; whatever stood at the target is gone. cp keeps holes, and shares blocks where the file system can.
    /// </summary>
    /// <exception cref="OperationFailedException">The copy failed; nothing is left of it.</exception>
    public static async Task CopyAsync(string from, string to, CancellationToken cancellation)
    {
        Delete(to);
        Directory.CreateDirectory(Path.GetDirectoryName(to)!);
        using var copy = Process.Start(
            new ProcessStartInfo("cp", ["-a", "--sparse=always", "--reflink=auto", from, to]) { RedirectStandardError = true })!;
        try
        {
            string complaint = await copy.StandardError.ReadToEndAsync(cancellation);
            await copy.WaitForExitAsync(cancellation);
            if (copy.ExitCode != 0)
            {
                throw new OperationFailedException($"The state could not be copied: {complaint.Trim()}");
            }
        }
        catch
        {
            copy.Kill();
            await copy.WaitForExitAsync(CancellationToken.None);
            Delete(to);
            throw;
        }
    }

    /// <summary>Moves a finished state to where it belongs, in the place of an older one.</summary>
    public static void Replace(string finished, string target)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        try
        {
            if (DurableFiles.PublishReplacing(finished, target))
            {
                Delete(finished);
            }

            DurableFiles.SynchronizeDirectory(Path.GetDirectoryName(target)!);
        }
        catch (LinuxException failure)
        {
            throw new IOException($"The state could not be put in place: {failure.Message}", failure);
        }
    }

    /// <summary>
    /// Takes a state from a monitor of an older build, which wrote into a folder of its own: it is moved to where the monitor reaches
    /// nothing, and only then looked at.
    /// </summary>
    private static string Take(string written, string target)
    {
        string taken = target + ".taken";
        Delete(taken);
        Directory.Move(written, taken);
        if (PrivateFolder.Take(taken) is [var foreign, ..])
        {
            Delete(taken);
            throw new IOException($"The monitor saved something that is no file: {Path.GetFileName(foreign)}");
        }

        return taken;
    }

    public static void Delete(string path)
    {
        switch (FileIdentity.Of(path))
        {
            case { IsDirectory: true }:
                Directory.Delete(path, recursive: true);
                break;
            case not null:
                File.Delete(path);
                break;
        }
    }
}
