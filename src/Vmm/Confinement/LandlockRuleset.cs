using System.Runtime.InteropServices;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Confinement;

/// <summary>
/// Landlock's wall (landlock(7), Documentation/userspace-api/landlock.rst): nothing is reached by name, but for executing one file. What
/// version 1 of the interface cannot refuse (moving between folders, truncating, TCP, device controls, abstract sockets, signals) later
/// ones do; nothing rests on those alone.
/// </summary>
internal static unsafe class LandlockRuleset
{
    private const int PathBeneath = 1; // LANDLOCK_RULE_PATH_BENEATH
    private const ulong Execute = 1; // LANDLOCK_ACCESS_FS_EXECUTE
    private const ulong ReadFile = 1 << 2; // LANDLOCK_ACCESS_FS_READ_FILE
    private const uint AskVersion = 1; // LANDLOCK_CREATE_RULESET_VERSION

    /// <summary>The host's version of the interface; 0 when there is none.</summary>
    public static int Version() => (int)Math.Max(0, RawCalls.Call(SystemCall.SYS_landlock_create_ruleset, 0, 0, (nint)AskVersion));

    /// <summary>A ruleset that refuses all that this host's version can refuse, but to execute <paramref name="program"/>.</summary>
    public static FileDescriptor Create(FileDescriptor program)
    {
        int version = Version();
        // struct landlock_ruleset_attr grew with the versions; fields that an older kernel does not know must not be sent.
        ulong* attributes = stackalloc ulong[3] { FileRights(version), version >= 4 ? 0b11UL : 0, version >= 6 ? 0b11UL : 0 };
        int size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
        nint ruleset = RawCalls.Call(SystemCall.SYS_landlock_create_ruleset, (nint)attributes, size);
        if (ruleset < 0)
        {
            throw new LinuxException("landlock_create_ruleset", RawCalls.Error);
        }

        var descriptor = new FileDescriptor((int)ruleset);
        // The packed struct landlock_path_beneath_attr: allowed_access, parent_fd.
        byte* rule = stackalloc byte[12];
        *(ulong*)rule = Execute | ReadFile;
        *(int*)(rule + 8) = program.Number;
        if (RawCalls.Call(SystemCall.SYS_landlock_add_rule, descriptor.Number, PathBeneath, (nint)rule) != 0)
        {
            int error = RawCalls.Error;
            descriptor.Dispose();
            throw new LinuxException("landlock_add_rule", error);
        }

        return descriptor;
    }

    // LANDLOCK_ACCESS_FS_*: 13 in version 1; then REFER (2), TRUNCATE (3), IOCTL_DEV (5).
    private static ulong FileRights(int version) =>
        ((1UL << 13) - 1) | (version >= 2 ? 1UL << 13 : 0) | (version >= 3 ? 1UL << 14 : 0) | (version >= 5 ? 1UL << 15 : 0);
}
