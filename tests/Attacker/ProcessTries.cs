using Tmds.Linux;
using WebVm.Vmm.Host.Native;
using static WebVm.Vmm.Host.Native.SystemCall;

namespace WebVm.Attacker;

/// <summary>Other processes, other programs, other users.</summary>
internal static unsafe class ProcessTries
{
    private const int Probe = 0; // signal 0: may I?
    private const int PTRACE_ATTACH = 16;
    private const uint MFD_EXEC = 0x10;

    public static readonly (string, Func<Surroundings, Outcome>)[] All =
    [
        ("execute a shell", _ => Execute("/bin/sh")),
        ("execute a program from memory", _ => ExecuteMemory()),
        ("make a process", _ => Forked(ProcessCalls.SIGCHLD)),
        ("make a process by vfork", _ => Forked(ProcessCalls.SIGCHLD | 0x4000 | ProcessCalls.CLONE_VM)),
        ("signal another process", host => Calls.Of(SYS_kill, host.Victim, Probe)),
        ("signal all processes", _ => Calls.Of(SYS_kill, -1, Probe)),
        ("signal another's thread", host => Calls.Of(SYS_tgkill, host.Victim, host.Victim, Probe)),
        ("signal by a descriptor", host => Calls.Value(SYS_pidfd_open, host.Victim) is { Outcome.Reached: true } opened
            ? Calls.Of(SYS_pidfd_send_signal, opened.Value, Probe) : Calls.Of(SYS_pidfd_open, host.Victim)),
        ("have signals sent by a descriptor's owner", host => Calls.Of(SYS_fcntl, 1, 8, host.Victim)), // F_SETOWN
        ("trace another process", host => Calls.Of(SYS_ptrace, PTRACE_ATTACH, host.Victim)),
        ("read another's memory", host => Vectors(SYS_process_vm_readv, host.Victim)),
        ("write another's memory", host => Vectors(SYS_process_vm_writev, host.Victim)),
        ("take another's descriptor", host => Calls.Value(SYS_pidfd_open, host.Victim) is { Outcome.Reached: true } opened
            ? Calls.Of(SYS_pidfd_getfd, opened.Value, 0) : Calls.Of(SYS_pidfd_open, host.Victim)),
        ("compare with another process", host => Calls.Of(SYS_kcmp, host.Victim, host.Victim, 1)),
        ("lower another's limits", host => Limits(host.Victim)),
        ("move another to one processor", host => Affinity(host.Victim)),
        ("become root", _ => Calls.Of(SYS_setresuid, 0, 0, 0)),
        ("become root's group", _ => Calls.Of(SYS_setresgid, 0, 0, 0)),
        ("take capabilities", _ => Capabilities()),
        ("make a user namespace", _ => Calls.Of(SYS_unshare, ProcessCalls.CLONE_NEWUSER)),
        ("make a process in a user namespace", _ => Forked(ProcessCalls.SIGCHLD | ProcessCalls.CLONE_NEWUSER)),
        ("make a process by clone3", _ => Clone3()),
        ("join another's namespaces", host => Calls.Value(SYS_pidfd_open, host.Victim) is { Outcome.Reached: true } opened
            ? Calls.Of(SYS_setns, opened.Value, ProcessCalls.CLONE_NEWUTS) : Calls.Of(SYS_setns, 0, ProcessCalls.CLONE_NEWUTS)),
        ("let itself be traced by anybody", _ => Calls.Of(SYS_prctl, 0x59616d61, -1)), // PR_SET_PTRACER
    ];

    private static Outcome Execute(string program)
    {
        nint* arguments = stackalloc nint[4] { Calls.Text(program), Calls.Text("-c"), Calls.Text("echo reached"), 0 };
        return Calls.Of(SYS_execve, arguments[0], (nint)arguments, (nint)(arguments + 3));
    }

    /// <summary>The shortest program: exit_group(1), which means reached.</summary>
    private static Outcome ExecuteMemory()
    {
        var (file, made) = Calls.Value(SYS_memfd_create, Calls.Text("program"), (nint)MFD_EXEC);
        if (!made.Reached)
        {
            (file, made) = Calls.Value(SYS_memfd_create, Calls.Text("program"), 0);
        }

        if (!made.Reached)
        {
            return made;
        }

        ReadOnlySpan<byte> program =
        [
            0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 62, 0, 1, 0, 0, 0,
            0x78, 0, 0x40, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0,
            0,
            1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0x84, 0, 0, 0, 0, 0, 0, 0,
            0x84, 0, 0, 0, 0, 0, 0, 0,
            0, 0x10, 0, 0, 0, 0, 0, 0,
            0xb8, 231, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x0f, 0x05, // mov eax, exit_group; mov edi, 1; syscall
        ];
        fixed (byte* start = program)
        {
            Calls.Of(SYS_write, file, (nint)start, program.Length);
        }

        nint* none = stackalloc nint[1] { 0 };
        return Calls.Of(SYS_execveat, file, Calls.Text(""), (nint)none, (nint)none, ProcessCalls.AT_EMPTY_PATH);
    }

    private static Outcome Forked(int flags)
    {
        var (process, outcome) = Calls.Value(SYS_clone, flags);
        if (process == 0)
        {
            while (true)
            {
                Calls.Of(SYS_exit_group, 0);
            }
        }

        return outcome;
    }

    private static Outcome Clone3()
    {
        const int size = 64; // CLONE_ARGS_SIZE_VER0
        ulong* arguments = stackalloc ulong[size / sizeof(ulong)];
        new Span<ulong>(arguments, size / sizeof(ulong)).Clear();
        arguments[4] = ProcessCalls.SIGCHLD; // exit_signal
        var (process, outcome) = Calls.Value(SYS_clone3, (nint)arguments, size);
        if (process == 0)
        {
            while (true)
            {
                Calls.Of(SYS_exit_group, 0);
            }
        }

        return outcome;
    }

    private static Outcome Vectors(int number, int process)
    {
        byte here;
        var local = new iovec { iov_base = &here, iov_len = 1 };
        // What every program has at its beginning; an error about the address, not the right, would still be EFAULT.
        var remote = new iovec { iov_base = (void*)0x400000, iov_len = 1 };
        var outcome = Calls.Of(number, process, (nint)(&local), 1, (nint)(&remote), 1);
        return outcome.Error == ErrorNumber.EFAULT ? Outcome.Success : outcome;
    }

    private static Outcome Limits(int process)
    {
        var limit = new rlimit { rlim_cur = 64, rlim_max = 64 };
        return Calls.Of(SYS_prlimit64, process, ThreadCalls.RLIMIT_NOFILE, (nint)(&limit));
    }

    private static Outcome Affinity(int process)
    {
        ulong first = 1;
        return Calls.Of(SYS_sched_setaffinity, process, sizeof(ulong), (nint)(&first));
    }

    private static Outcome Capabilities()
    {
        var header = new __user_cap_header_struct { version = ProcessCalls._LINUX_CAPABILITY_VERSION_3 };
        ulong* all = stackalloc ulong[3] { ulong.MaxValue, ulong.MaxValue, ulong.MaxValue };
        return Calls.Of(SYS_capset, (nint)(&header), (nint)all);
    }
}
