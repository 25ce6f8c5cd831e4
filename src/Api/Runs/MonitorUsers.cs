using System.Globalization;
using System.Text;
using Microsoft.Extensions.Options;
using WebVm.Api.Operations;
using WebVm.Api.Settings;
using WebVm.Vmm.Host;

namespace WebVm.Api.Runs;

/// <summary>
/// Gives each run of a root service a uid of its own. It is written into the run's folder before anything has it, and given again only when
/// that folder is gone and no process of the host has it: neither a monitor that another service started, nor one that was left.
/// </summary>
public sealed class MonitorUsers(IOptions<ServiceOptions> options)
{
    private const int LongestNumber = 16;

    private readonly Lock _lock = new();
    private readonly UserRange _range = UserRange.Parse(options.Value.MonitorUsers);
    private uint _next = (uint)Random.Shared.Next();

    /// <summary>The run's uid: the one it has, or a free one.</summary>
    /// <exception cref="OperationFailedException">All are taken.</exception>
    public uint Take(RunDirectory run)
    {
        lock (_lock)
        {
            if (Read(run.User) is { } given)
            {
                return given;
            }

            var taken = Taken(Path.GetDirectoryName(run.Path)!);
            for (uint tried = 0; tried < _range.Count; tried++)
            {
                uint user = _range.First + (_next++ % _range.Count);
                if (!taken.Contains(user))
                {
                    PrivateFile.Write(run.User, Encoding.ASCII.GetBytes(user.ToString(CultureInfo.InvariantCulture)));
                    return user;
                }
            }

            throw new OperationFailedException($"All {_range.Count} user ids of WEBVM_MONITOR_USERS are in use.");
        }
    }

    private HashSet<uint> Taken(string runs)
    {
        var taken = new HashSet<uint>();
        foreach (string folder in Directory.EnumerateDirectories(runs))
        {
            if (Read(Path.Combine(folder, Path.GetFileName(new RunDirectory(runs, "").User))) is { } user)
            {
                taken.Add(user);
            }
        }

        foreach (int process in ProcessHandle.All())
        {
            taken.UnionWith(ProcessHandle.UsersOf(process).Where(_range.Contains));
        }

        return taken;
    }

    private uint? Read(string path) =>
        CheckedFile.TryRead(path, LongestNumber, PrivateFolder.Caller) is { } text
        && uint.TryParse(Encoding.ASCII.GetString(text), NumberStyles.None, CultureInfo.InvariantCulture, out uint user)
            && _range.Contains(user) ? user : null;
}
