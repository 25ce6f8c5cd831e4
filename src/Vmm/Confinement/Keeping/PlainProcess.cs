using System.Runtime.InteropServices;
using Tmds.Linux;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.Confinement.Keeping;

/// <summary>
/// Starts a monitor without walls around it (posix_spawn(3)): where the host has none, and for a build that compiles at run time.
/// </summary>
internal static unsafe partial class PlainProcess
{
    private const int FileActionsSize = 80; // sizeof(posix_spawn_file_actions_t)
    private const int AttributesSize = 336; // sizeof(posix_spawnattr_t)
    private const int SignalSetSize = 128; // sizeof(sigset_t)
    private const short SetSignalMask = 8; // POSIX_SPAWN_SETSIGMASK
    private const short SetSignalDefaults = 4; // POSIX_SPAWN_SETSIGDEF

    /// <returns>The process id.</returns>
    /// <exception cref="ConfinementException">It could not be started.</exception>
    public static int Start(
        string program, IReadOnlyList<string> arguments, IReadOnlyList<string> environment, IReadOnlyList<FileDescriptor> descriptors)
    {
        byte* actions = stackalloc byte[FileActionsSize];
        byte* attributes = stackalloc byte[AttributesSize];
        byte* signals = stackalloc byte[SignalSetSize];
        _ = InitializeActions(actions);
        _ = InitializeAttributes(attributes);
        _ = SetFlags(attributes, SetSignalMask | SetSignalDefaults);
        new Span<byte>(signals, SignalSetSize).Clear();
        _ = SetMask(attributes, signals);
        new Span<byte>(signals, SignalSetSize).Fill(0xff);
        _ = SetDefaults(attributes, signals);
        List<FileDescriptor> high = [];
        try
        {
            for (int index = 0; index < descriptors.Count; index++)
            {
                int copy = LibC.fcntl(descriptors[index].Number, LibC.F_DUPFD_CLOEXEC, descriptors.Count);
                high.Add(copy < 0 ? throw LinuxException.Last("fcntl") : new FileDescriptor(copy));
                _ = AddDuplicate(actions, copy, index);
            }

            int process;
            int error = Spawn(&process, NativeText.Of(program), actions, attributes, NativeText.Of(arguments), NativeText.Of(environment));
            return error == 0 ? process : throw new ConfinementException($"{program}: {Marshal.GetPInvokeErrorMessage(error)}");
        }
        finally
        {
            high.ForEach(descriptor => descriptor.Dispose());
            _ = DestroyActions(actions);
            _ = DestroyAttributes(attributes);
        }
    }

    [LibraryImport("libc", EntryPoint = "posix_spawn")]
    private static partial int Spawn(int* process, byte* path, byte* actions, byte* attributes, byte** arguments, byte** environment);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_init")]
    private static partial int InitializeActions(byte* actions);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_adddup2")]
    private static partial int AddDuplicate(byte* actions, int from, int to);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_destroy")]
    private static partial int DestroyActions(byte* actions);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_init")]
    private static partial int InitializeAttributes(byte* attributes);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setflags")]
    private static partial int SetFlags(byte* attributes, short flags);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setsigmask")]
    private static partial int SetMask(byte* attributes, byte* signals);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setsigdefault")]
    private static partial int SetDefaults(byte* attributes, byte* signals);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_destroy")]
    private static partial int DestroyAttributes(byte* attributes);
}
