using System.Globalization;

namespace WebVm.Vmm.Confinement.Keeping;

/// <summary>A file that the keeper opens for the monitor, which knows it by its name alone.</summary>
internal readonly record struct HandedFile(string Name, string Path);

/// <summary>What `webvm-vmm keep` is told. A service gives these options, nobody types them.</summary>
internal sealed class KeeperOptions
{
    /// <summary>The run's folder, the service's own. Null for a probe.</summary>
    public string? Folder { get; private set; }

    public IsolationLevel Level { get; private set; }

    public uint? User { get; private set; }

    /// <summary>The folder of the monitor's control group; null for none of its own.</summary>
    public string? Group { get; private set; }

    /// <summary>Bytes of the largest file that the monitor may write; null for no limit.</summary>
    public ulong? LargestFile { get; private set; }

    /// <summary>/dev/kvm is handed over if it opens.</summary>
    public bool Kvm { get; private set; }

    /// <summary>Tries which levels this host has, and starts nothing.</summary>
    public bool Probes { get; private set; }

    public List<HandedFile> Files { get; } = [];

    /// <summary>The monitor's own.</summary>
    public List<string> Arguments { get; } = [];

    /// <exception cref="FormatException">They are not understood.</exception>
    public static KeeperOptions Parse(ReadOnlySpan<string> arguments)
    {
        var options = new KeeperOptions();
        for (int index = 0; index < arguments.Length; index++)
        {
            switch (arguments[index])
            {
                case "--":
                    options.Arguments.AddRange(arguments[(index + 1)..]);
                    return options.Checked();
                case "--kvm":
                    options.Kvm = true;
                    break;
                case "--probe":
                    options.Probes = true;
                    break;
                case var name when index + 1 < arguments.Length:
                    options.Take(name, arguments[++index]);
                    break;
                default:
                    throw new FormatException($"'{arguments[index]}' is not understood");
            }
        }

        return options.Checked();
    }

    private void Take(string name, string value)
    {
        switch (name)
        {
            case "--folder":
                Folder = FullPath(value);
                break;
            case "--group":
                Group = FullPath(value);
                break;
            case "--level":
                Level = IsolationLevels.Parse(value)
                    ?? throw new FormatException($"'{value}' is no level; there are none, process, namespaces and users");
                break;
            case "--user":
                User = uint.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out uint user)
                    && user is > 0 and < uint.MaxValue
                    ? user
                    : throw new FormatException($"'{value}' is no user id that a monitor may have");
                break;
            case "--largest-file":
                LargestFile = ulong.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out ulong bytes)
                    ? bytes
                    : throw new FormatException($"'{value}' is no number of bytes");
                break;
            case "--file":
                int equals = value.IndexOf('=', StringComparison.Ordinal);
                Files.Add(
                    equals > 0 ? new(value[..equals], value[(equals + 1)..]) : throw new FormatException($"'{value}' is not NAME=PATH"));
                break;
            default:
                throw new FormatException($"'{name}' is not understood");
        }
    }

    private static string FullPath(string value) =>
        System.IO.Path.IsPathFullyQualified(value) ? value : throw new FormatException($"'{value}' is not an absolute path");

    private KeeperOptions Checked() =>
        Level == IsolationLevel.Users && User is null && !Probes ? throw new FormatException("the level users needs --user")
        : Folder is null && !Probes ? throw new FormatException("--folder is needed")
        : this;
}
