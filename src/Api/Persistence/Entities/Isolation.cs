using WebVm.Api.Settings;

namespace WebVm.Api.Persistence.Entities;

/// <summary>What stands between a monitor and its host.</summary>
/// <param name="Level">"users" (a uid of its own for each machine), "namespaces", "process" or "none".</param>
/// <param name="Walls">What stands: user, uid, pid, mount, net, ipc, uts, root, cgroup, landlock:N, seccomp. What does not is
/// absent.</param>
public sealed record Isolation(string Level, IReadOnlyList<string> Walls)
{
    public const string Users = "users";
    public const string Namespaces = "namespaces";
    public const string Process = "process";
    public const string None = "none";

    /// <summary>The wall that is a uid of the monitor's own.</summary>
    public const string OwnUser = "uid";

    /// <summary>The wall that is a control group of the monitor's own.</summary>
    public const string Group = "cgroup";

    /// <summary>Why each higher level cannot be had ("namespaces: …"); for the log.</summary>
    internal IReadOnlyList<string> Obstacles { get; init; } = [];

    // The files of the host, its processes and its network are out of reach: what "namespaces" means to who demands it, at either level.
    private static readonly string[] s_namespaces = ["pid", "mount", "net", "root"];

    /// <summary>Whether this is what WEBVM_ISOLATION demands, or more.</summary>
    public bool Meets(IsolationDemand demand) => demand switch
    {
        IsolationDemand.Process => Level is Users or Namespaces or Process && Walls.Contains("seccomp"),
        IsolationDemand.Namespaces => Level is Users or Namespaces && s_namespaces.All(Walls.Contains),
        IsolationDemand.Best => true,
        _ => false,
    };

    /// <summary>From what <c>webvm-vmm keep --probe</c> prints; null when that is something else.</summary>
    internal static Isolation? Parse(string text)
    {
        string? level = null;
        string[] walls = [];
        List<string> obstacles = [];
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            switch (line.Split(' ', 2, StringSplitOptions.TrimEntries))
            {
                case ["level", Users or Namespaces or Process or None] words:
                    level = words[1];
                    break;
                case ["without", var obstacle]:
                    obstacles.Add(obstacle);
                    break;
                case ["walls", var names]:
                    walls = names.Split([',', ' '], StringSplitOptions.RemoveEmptyEntries);
                    break;
            }
        }

        return level is null ? null : new Isolation(level, walls) { Obstacles = obstacles };
    }
}
