namespace WebVm.Vmm.Confinement;

/// <summary>How far a monitor is kept from everything else, from least to most (docs/security.md).</summary>
internal enum IsolationLevel
{
    /// <summary>An ordinary process, for hosts that have none of the below and for builds that compile at run time.</summary>
    None,

    /// <summary>Landlock and a filter of system calls; a user of its own where the keeper may give it one.</summary>
    Process,

    /// <summary>Also namespaces and an empty root, in a user namespace of the service's account.</summary>
    Namespaces,

    /// <summary>Namespaces and an empty root made by root, and a user of its own.</summary>
    Users,
}

internal static class IsolationLevels
{
    private static readonly string[] s_names = ["none", "process", "namespaces", "users"];

    public static string Name(IsolationLevel level) => s_names[(int)level];

    public static IsolationLevel? Parse(string name)
    {
        int index = Array.IndexOf(s_names, name);
        return index < 0 ? null : (IsolationLevel)index;
    }
}
