using WebVm.Vmm.Host.Native;
using static WebVm.Vmm.Host.Native.ProcessCalls;
using static WebVm.Vmm.Host.Native.RawCalls;
using static WebVm.Vmm.Host.Native.SystemCall;

namespace WebVm.Vmm.Confinement;

/// <summary>
/// The process between clone(2) and execveat(2): it has one thread, and a runtime whose other threads are gone. It makes system calls and
/// nothing else; a failing one is reported to the keeper by its step and errno.
/// </summary>
internal static unsafe class ConfinedChild
{
    private const int LastSignal = 64;
    private const int LastCapability = 63;
    private const int LastDescriptor = int.MaxValue;
    private const int KernelSignalSetSize = 8;
    private const int Interrupted = ErrorNumber.EINTR;
    private const int SignalBits = 0x7f;
    private const int KilledBySignal = 128;

    /// <summary>Never comes back.</summary>
    public static void Run(StartPlan* plan)
    {
        byte go;
        if (Call(SYS_read, plan->Go, (nint)(&go), 1) != 1)
        {
            End(1); // the keeper has given up, and says why itself
        }

        ResetSignals();
        if (plan->Group >= 0)
        {
            byte self = (byte)'0'; // whoever writes it
            Check(plan, StartStep.Group, Call(SYS_write, plan->Group, (nint)(&self), 1));
        }

        if (plan->MountPoint != null)
        {
            MakeEmptyRoot(plan);
            Check(plan, StartStep.HostName, Call(SYS_sethostname, (nint)plan->HostName, Length(plan->HostName)));
        }

        for (int index = 0; index < plan->LimitCount; index++)
        {
            Check(plan, StartStep.Limits, Call(SYS_prlimit64, 0, plan->LimitNames[index], (nint)(plan->Limits + index), 0));
        }

        DropPrivileges(plan);
        if (plan->Ruleset >= 0)
        {
            Check(plan, StartStep.Landlock, Call(SYS_landlock_restrict_self, plan->Ruleset, 0));
        }

        if (plan->HasInit)
        {
            nint monitor = Call(SYS_clone, SIGCHLD);
            Check(plan, StartStep.Init, monitor);
            if (monitor != 0)
            {
                WaitAsInit(plan, (int)monitor);
            }
        }

        Execute(plan);
    }

    private static void ResetSignals()
    {
        ulong* action = stackalloc ulong[4] { 0, 0, 0, 0 }; // the kernel's struct sigaction: SIG_DFL
        for (int signal = 1; signal <= LastSignal; signal++)
        {
            Call(SYS_rt_sigaction, signal, (nint)action, 0, KernelSignalSetSize);
        }

        ulong none = 0;
        Call(SYS_rt_sigprocmask, SIG_SETMASK, (nint)(&none), 0, KernelSignalSetSize);
    }

    /// <summary>
    /// The root becomes an empty folder that cannot be written to; the host's files have no names any more (pivot_root(2)).
    /// </summary>
    private static void MakeEmptyRoot(StartPlan* plan)
    {
        const int closed = MS_NOSUID | MS_NODEV | MS_NOEXEC;
        Check(plan, StartStep.Root, Call(SYS_mount, 0, (nint)plan->Root, 0, MS_REC | MS_PRIVATE, 0, 0));
        Check(plan, StartStep.Root, Call(
            SYS_mount, (nint)plan->Tmpfs, (nint)plan->MountPoint, (nint)plan->Tmpfs, closed, (nint)plan->TmpfsOptions, 0));
        Check(plan, StartStep.Root, Call(SYS_chdir, (nint)plan->MountPoint));
        Check(plan, StartStep.Root, Call(SYS_pivot_root, (nint)plan->Here, (nint)plan->Here));
        Check(plan, StartStep.Root, Call(SYS_umount2, (nint)plan->Here, MNT_DETACH));
        Check(plan, StartStep.Root, Call(SYS_chdir, (nint)plan->Root));
        Check(plan, StartStep.Root, Call(SYS_mount, 0, (nint)plan->Root, 0, MS_REMOUNT | MS_BIND | MS_RDONLY | closed, 0, 0));
    }

    private static void DropPrivileges(StartPlan* plan)
    {
        for (int capability = 0; capability <= LastCapability; capability++)
        {
            // Without CAP_SETPCAP it stays in the bounding set, from which no-new-privileges lets nothing be taken.
            Call(SYS_prctl, PR_CAPBSET_DROP, capability);
        }

        Call(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
        if (plan->User != 0)
        {
            nint user = (nint)plan->User;
            Check(plan, StartStep.User, Call(SYS_setgroups, 0, 0));
            Check(plan, StartStep.User, Call(SYS_setresgid, user, user, user));
            Check(plan, StartStep.User, Call(SYS_setresuid, user, user, user));
        }

        var header = new __user_cap_header_struct { version = _LINUX_CAPABILITY_VERSION_3 };
        ulong* none = stackalloc ulong[3] { 0, 0, 0 }; // two struct __user_cap_data_struct
        Check(plan, StartStep.Capabilities, Call(SYS_capset, (nint)(&header), (nint)none));
        Check(plan, StartStep.Privileges, Call(SYS_prctl, ThreadCalls.PR_SET_NO_NEW_PRIVS, 1));
    }

    /// <summary>
    /// PID 1 of the monitor's namespace: so that the monitor is an ordinary process, which its own signals end. When it goes, all in the
    /// namespace go.
    /// </summary>
    private static void WaitAsInit(StartPlan* plan, int monitor)
    {
        Call(SYS_prctl, PR_SET_DUMPABLE, 0);
        Call(SYS_prctl, ThreadCalls.PR_SET_NAME, (nint)plan->InitName);
        Call(SYS_dup2, plan->Lock, 0);
        Call(SYS_dup2, plan->Failure, 1);
        plan->Failure = 1;
        Call(SYS_close_range, 2, LastDescriptor);
        Check(plan, StartStep.Filter, Call(SYS_seccomp, (nint)SeccompCalls.SECCOMP_SET_MODE_FILTER, 0, (nint)(&plan->InitFilter)));
        Call(SYS_close, plan->Failure);
        while (true)
        {
            int status = 0;
            nint ended = Call(SYS_wait4, -1, (nint)(&status));
            if (ended == monitor)
            {
                End((status & SignalBits) == 0 ? status >> 8 : KilledBySignal + (status & SignalBits));
            }

            if (ended < 0 && Error != Interrupted)
            {
                End(1);
            }
        }
    }

    private static void Execute(StartPlan* plan)
    {
        int count = plan->DescriptorCount;
        for (int index = 0; index < count; index++)
        {
            Check(plan, StartStep.Descriptors, Call(SYS_dup2, plan->Descriptors[index], index));
        }

        // Both go with the exec.
        const int closeOnExec = O_CLOEXEC;
        Check(plan, StartStep.Descriptors, Call(SYS_dup3, plan->Program, count, closeOnExec));
        Check(plan, StartStep.Descriptors, Call(SYS_dup3, plan->Failure, count + 1, closeOnExec));
        plan->Failure = count + 1;
        Check(plan, StartStep.Descriptors, Call(SYS_close_range, count + 2, LastDescriptor));
        OuterFilter.SetOwnProcess(plan->Filter.filter, plan->Filter.len, (int)Call(SYS_getpid));
        Check(plan, StartStep.Filter, Call(SYS_seccomp, (nint)SeccompCalls.SECCOMP_SET_MODE_FILTER, 0, (nint)(&plan->Filter)));
        // By the kernel's own convention a failure is its errno, negated.
        nint failure = plan->Exec(SYS_execveat, count, (nint)plan->Empty, (nint)plan->Arguments, (nint)plan->Environment, AT_EMPTY_PATH);
        Fail(plan, StartStep.Exec, (int)-failure);
    }

    private static void Check(StartPlan* plan, StartStep step, nint result)
    {
        if (result == -1)
        {
            Fail(plan, step, Error);
        }
    }

    private static void Fail(StartPlan* plan, StartStep step, int error)
    {
        var failure = new StartFailure { Step = step, Error = error };
        Call(SYS_write, plan->Failure, (nint)(&failure), sizeof(StartFailure));
        End(1);
    }

    private static void End(int code)
    {
        while (true)
        {
            Call(SYS_exit_group, code);
        }
    }

    private static int Length(byte* text)
    {
        int length = 0;
        while (text[length] != 0)
        {
            length++;
        }

        return length;
    }
}
