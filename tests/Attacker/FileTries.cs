using Tmds.Linux;
using WebVm.Vmm.Host.Native;
using static WebVm.Vmm.Host.Native.SystemCall;

namespace WebVm.Attacker;

/// <summary>Files of the host, of the service and of other machines.</summary>
internal static unsafe class FileTries
{
    private const int SymbolicLinkCount = 2;

    public static readonly (string, Func<Surroundings, Outcome>)[] All =
    [
        ("read a secret of the service", host => Calls.Open(host.Secret, LibC.O_RDONLY).Outcome),
        ("overwrite a file of the service", host => Calls.Open(host.Secret, LibC.O_WRONLY).Outcome),
        ("make a file in a folder of everybody's", host => Calls.Open($"{host.Folder}/made", LibC.O_WRONLY | LibC.O_CREAT).Outcome),
        ("plant a symbolic link", host => Calls.Of(SYS_symlink, Calls.Text(host.Secret), Calls.Text($"{host.Folder}/link"))),
        ("give a file of the service another name", host => Calls.Of(SYS_link, Calls.Text(host.Secret), Calls.Text($"{host.Folder}/hard"))),
        ("make a FIFO", host => Calls.Of(SYS_mknod, Calls.Text($"{host.Folder}/fifo"), 0x1000 | 0b110_110_110)),
        ("list the host's root", _ => Listed("/")),
        ("climb out of the root", _ => Calls.Open("../../../../../../../../../../../../etc/passwd", LibC.O_RDONLY).Outcome),
        ("read /proc/self/mem", _ => Calls.Open("/proc/self/mem", LibC.O_RDWR).Outcome),
        ("read another's memory in /proc", host => Calls.Open($"/proc/{host.Victim}/mem", LibC.O_RDONLY).Outcome),
        ("read another's environment in /proc", host => Calls.Open($"/proc/{host.Victim}/environ", LibC.O_RDONLY).Outcome),
        ("open the disk's raw device", _ => Calls.Open("/dev/vda", LibC.O_RDONLY).Outcome),
        ("open a terminal", _ => Calls.Open("/dev/ptmx", LibC.O_RDWR).Outcome),
        ("open by handle", _ => OpenByHandle()),
        ("write what was handed for reading", host => Written(host.Handed)),
        ("truncate what was handed for reading", host => Calls.Of(SYS_ftruncate, host.Handed, 0)),
        ("make a file larger than its machine needs", _ => Grown()),
        ("find a descriptor that was not handed over", host => Inherited(host.Handed)),
        ("find the service's settings in the environment", _ =>
            Environment.GetEnvironmentVariables().Keys.Cast<string>().Any(name => name != "WEBVM_MONITOR_DEBUG")
                ? Outcome.Success
                : Outcome.Refused(ErrorNumber.ENOENT)),
    ];

    private static Outcome Listed(string folder)
    {
        var (descriptor, outcome) = Calls.Open(folder, LibC.O_RDONLY | LibC.O_DIRECTORY);
        if (!outcome.Reached)
        {
            return outcome;
        }

        // An empty folder has itself and its parent.
        const int size = 4096;
        byte* entries = stackalloc byte[size];
        var (length, listed) = Calls.Value(SYS_getdents64, descriptor, (nint)entries, size);
        int count = 0;
        for (nint at = 0; at < length; at += *(ushort*)(entries + at + 16))
        {
            count++;
        }

        return listed.Reached && count <= SymbolicLinkCount ? Outcome.Refused(ErrorNumber.ENOENT) : listed;
    }

    private static Outcome OpenByHandle()
    {
        ulong* handle = stackalloc ulong[16];
        new Span<ulong>(handle, 16).Clear();
        *(uint*)handle = 8; // handle_bytes
        *((uint*)handle + 1) = 1; // FILEID_INO32_GEN
        handle[1] = 2; // the root's inode on ext4
        return Calls.Of(SYS_open_by_handle_at, LibC.AT_FDCWD, (nint)handle, LibC.O_RDONLY);
    }

    private static Outcome Written(int descriptor)
    {
        byte one = 1;
        return Calls.Of(SYS_pwrite64, descriptor, (nint)(&one), 1, 0);
    }

    /// <summary>A memory file, which a monitor may make: what limits its size limits every file that it may write.</summary>
    private static Outcome Grown()
    {
        const int fileSizeExceeded = 25; // SIGXFSZ, which would end the process before it can tell
        const nint ignore = 1; // SIG_IGN
        ProcessCalls.SetSignalHandler(fileSizeExceeded, ignore);
        var (file, made) = Calls.Value(SYS_memfd_create, Calls.Text("grown"), 0);
        return made.Reached ? Calls.Of(SYS_ftruncate, (int)file, (nint)1 << 40) : made;
    }

    /// <summary>Beside 0, 1, 2, the control socket, what was handed, and the runtime's own pipe.</summary>
    private static Outcome Inherited(int lastHanded)
    {
        const int getFlags = 3; // F_GETFL
        for (int descriptor = lastHanded + 1; descriptor < 1024; descriptor++)
        {
            if (Calls.Of(SYS_fcntl, descriptor, getFlags).Reached && !IsPipe(descriptor))
            {
                return Outcome.Success;
            }
        }

        return Outcome.Refused(9); // EBADF
    }

    private static bool IsPipe(int descriptor)
    {
        stat status;
        return FileCalls.Status(descriptor, &status) == 0 && (ushort)(status.st_mode & LibC.S_IFMT) == 0x1000;
    }
}
