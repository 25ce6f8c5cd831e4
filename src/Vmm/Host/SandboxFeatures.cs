using System.Runtime.InteropServices;
using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>What the host has for locking a monitor in, and for doing I/O on its behalf. Asked, not used.</summary>
public sealed record SandboxFeatures
{
    /// <summary>Filters can kill the process (seccomp(2)).</summary>
    public required bool Seccomp { get; init; }

    /// <summary>Version of Landlock's interface; 0 when absent.</summary>
    public required int Landlock { get; init; }

    /// <summary>
    /// Users without privileges may make user namespaces (user_namespaces(7)), and no filter around this process refuses it, as a
    /// container's does.
    /// </summary>
    public required bool UserNamespaces { get; init; }

    public required bool NetworkNamespaces { get; init; }

    /// <summary>Page faults handled in user space, at least those of user mode (userfaultfd(2)).</summary>
    public required bool Userfaultfd { get; init; }

    public required bool IoUring { get; init; }

    public required bool ProcessDescriptors { get; init; }

    public required bool VhostNet { get; init; }

    public required bool VhostVsock { get; init; }

    /// <summary>Open files at most.</summary>
    public required ulong DescriptorLimit { get; init; }

    public static SandboxFeatures Probe() => new()
    {
        Seccomp = HasSeccompAction(SeccompCalls.SECCOMP_RET_KILL_PROCESS),
        Landlock = Math.Max(
            0, (int)LibC.syscall(SystemCall.SYS_landlock_create_ruleset, 0, 0, SandboxCalls.LANDLOCK_CREATE_RULESET_VERSION)),
        UserNamespaces = Number("/proc/sys/user/max_user_namespaces") > 0 && Number("/proc/sys/kernel/unprivileged_userns_clone", 1) != 0
            && IsLetThrough(ProcessCalls.CLONE_NEWUSER),
        NetworkNamespaces = File.Exists("/proc/self/ns/net"),
        Userfaultfd = Descriptor((int)LibC.syscall(SystemCall.SYS_userfaultfd, SandboxCalls.UFFD_USER_MODE_ONLY | LibC.O_CLOEXEC)),
        // With no parameters the call fails with EFAULT where it exists and may be used.
        IoUring = (int)LibC.syscall(SystemCall.SYS_io_uring_setup, 1, 0) < 0 && Marshal.GetLastPInvokeError() == ErrorNumber.EFAULT,
        ProcessDescriptors = Descriptor((int)LibC.syscall(SystemCall.SYS_pidfd_open, Environment.ProcessId, 0)),
        VhostNet = CanOpen("/dev/vhost-net"),
        VhostVsock = CanOpen("/dev/vhost-vsock"),
        DescriptorLimit = LimitOfDescriptors(),
    };

    /// <summary>
    /// Whether filters let unshare(2) of that namespace through. Beside a flag that it does not have, it does nothing but to fail with
    /// EINVAL, in the kernel.
    /// </summary>
    private static bool IsLetThrough(int flag)
    {
        const int notAFlag = 1;
        return (int)LibC.syscall(SystemCall.SYS_unshare, flag | notAFlag) < 0 && Marshal.GetLastPInvokeError() == ErrorNumber.EINVAL;
    }

    /// <summary>Whether a device node opens for reading and writing.</summary>
    public static bool CanOpen(string path) => Descriptor(FileCalls.Open(path, LibC.O_RDWR | LibC.O_CLOEXEC | LibC.O_NONBLOCK, 0));

    private static bool Descriptor(int result)
    {
        if (result < 0)
        {
            return false;
        }

        new FileDescriptor(result).Dispose();
        return true;
    }

    private static unsafe bool HasSeccompAction(uint action) =>
        (int)LibC.syscall(SystemCall.SYS_seccomp, SandboxCalls.SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;

    private static unsafe ulong LimitOfDescriptors()
    {
        rlimit limit;
        return ThreadCalls.GetLimit(ThreadCalls.RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
    }

    private static long Number(string path, long otherwise = 0) =>
        File.Exists(path) && long.TryParse(File.ReadAllText(path), System.Globalization.CultureInfo.InvariantCulture, out long value)
            ? value
            : otherwise;
}
