using Tmds.Linux;
using WebVm.Vmm.Confinement;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Guest.Tests;

/// <summary>
/// A process that puts a filter in front of itself which asks about its calls, hands over the descriptor by which that is answered, and
/// becomes the monitor. It is one of its own: in the process of the tests the filter's thread would wait for an answer in the midst of
/// things that whoever answers needs too (the collector, the compiler's locks, the start of another process), and threads that it begets
/// would go on asking for ever.
/// </summary>
internal static unsafe class WatchedStart
{
    public const string Role = "watched";

    /// <summary>
    /// Above whatever the monitor has: sending on it is the one call beyond the list that is not asked about, and the exec closes it.
    /// </summary>
    private const int LeastSocket = 1000;

    /// <param name="arguments">Where somebody listens for the descriptor; the monitor's program and its arguments.</param>
    public static int Execute(string[] arguments)
    {
        using var connected = UnixSocket.TryConnect(arguments[0]) ?? throw new IOException("nobody listens");
        using var socket = new FileDescriptor(LibC.fcntl(connected.Number, LibC.F_DUPFD_CLOEXEC, LeastSocket));
        var filter = NotAskedAbout(socket.Number).Assemble(SeccompCalls.SECCOMP_RET_USER_NOTIF);
        byte** argv = NativeText.Of(arguments[1..]);
        byte** environment = NativeText.Of(["WEBVM_MONITOR_DEBUG=1"]);
        if (ThreadCalls.ProcessControl(ThreadCalls.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        {
            throw LinuxException.Last("prctl");
        }

        // Once before: what is compiled when it is first called must not be when the filter stands and nobody can answer yet.
        Hand(socket, connected);
        fixed (sock_filter* first = filter)
        {
            var program = new sock_fprog { len = (ushort)filter.Length, filter = first };
            int listener = (int)RawCalls.Call(
                SystemCall.SYS_seccomp, (nint)SeccompCalls.SECCOMP_SET_MODE_FILTER, (nint)SeccompCalls.SECCOMP_FILTER_FLAG_NEW_LISTENER,
                (nint)(&program));
            Hand(socket, new FileDescriptor(listener));
        }

        RawCalls.Call(SystemCall.SYS_execve, (nint)argv[0], (nint)argv, (nint)environment);
        throw new LinuxException("execve", RawCalls.Error);
    }

    /// <summary>Takes the descriptor of a process in this role.</summary>
    public static FileDescriptor Take(FileDescriptor listening)
    {
        using var socket = UnixSocket.Accept(listening);
        List<FileDescriptor> received = [];
        byte[] mark = new byte[1];
        while (received.Count < 2)
        {
            if (DescriptorPassing.Receive(socket, mark, received) == 0)
            {
                throw new IOException("The process ended before it had a filter.");
            }
        }

        received[0].Dispose();
        return received[1];
    }

    /// <summary>Calls that any thread of a monitor may make; of those there are too many.</summary>
    private static SystemCallFilter NotAskedAbout(int socket)
    {
        var filter = new SystemCallFilter();
        foreach (var rule in InnerFilter.Of(ThreadRole.Vcpu, Environment.ProcessId, kvm: false).Rules.Where(
            rule => rule.Action == SeccompCalls.SECCOMP_RET_ALLOW))
        {
            filter.Allow(rule.Number, rule.Reason, rule.Tests);
        }

        return filter.Allow(SystemCall.SYS_sendmsg, "the answers' descriptor is handed over", ArgumentTest.IsOneOf(0, (uint)socket));
    }

    private static void Hand(FileDescriptor socket, FileDescriptor descriptor) => DescriptorPassing.Send(socket, [0], [descriptor]);
}
