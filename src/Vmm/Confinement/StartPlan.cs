using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Confinement;

/// <summary>
/// Everything that the cloned process does before it executes the monitor, prepared before the clone: from then on it takes no memory and
/// calls nothing of the runtime. All in native memory.
/// </summary>
internal unsafe struct StartPlan
{
    /// <summary>More descriptors than a machine is ever handed.</summary>
    public const int MostDescriptors = 200;

    /// <summary>Read once: the keeper has done its part.</summary>
    public int Go;

    /// <summary>Takes <see cref="StartFailure"/>; closed by the exec.</summary>
    public int Failure;

    /// <summary>The monitor's program.</summary>
    public int Program;

    /// <summary>Kept open by the init as long as it lives; -1 for none.</summary>
    public int Lock;

    /// <summary>The file cgroup.procs of the monitor's control group, to be written; -1 for none.</summary>
    public int Group;

    /// <summary>A Landlock ruleset; -1 for none.</summary>
    public int Ruleset;

    public int DescriptorCount;

    /// <summary>Become 0, 1, 2 … in the monitor. All these numbers are above those before.</summary>
    public fixed int Descriptors[MostDescriptors];

    public int LimitCount;

    public rlimit* Limits;

    public int* LimitNames;

    /// <summary>Null when the root stays the host's.</summary>
    public byte* MountPoint;

    public byte* Tmpfs;

    public byte* TmpfsOptions;

    public byte* HostName;

    public byte* Here;

    public byte* Root;

    public byte* Empty;

    public byte* InitName;

    /// <summary>User and group to become; 0 to stay.</summary>
    public uint User;

    /// <summary>There is a process-id namespace, and its first process waits for the monitor.</summary>
    public bool HasInit;

    public sock_fprog Filter;

    /// <summary>Of the first process of the namespace: it waits, and ends.</summary>
    public sock_fprog InitFilter;

    public delegate* unmanaged[SuppressGCTransition]<nint, nint, nint, nint, nint, nint, nint> Exec;

    public byte** Arguments;

    public byte** Environment;
}

/// <summary>What the cloned process could not do.</summary>
internal struct StartFailure
{
    public StartStep Step;

    public int Error;
}

internal enum StartStep
{
    Group = 1,
    Root,
    HostName,
    Limits,
    User,
    Capabilities,
    Privileges,
    Landlock,
    Init,
    Descriptors,
    Filter,
    Exec,
}
