using System.Runtime.CompilerServices;
using Tmds.Linux;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Confinement;

/// <summary>
/// Puts the monitor's own filters up (seccomp(2)): for the whole process before it reads what a guest or its owner wrote, and narrower ones
/// for threads of one purpose. A call that is not in the list ends the process by SIGSYS. They cannot be taken down.
/// </summary>
internal static unsafe class InnerWall
{
    /// <summary>
    /// Set by the keeper's starter: calls that are not in the lists are made, and logged by the kernel; and the process may be looked into.
    /// </summary>
    private const string DebugVariable = "WEBVM_MONITOR_DEBUG";

    private static readonly sock_filter[]?[] s_ofRoles = new sock_filter[]?[Enum.GetValues<ThreadRole>().Length];

    private static volatile bool s_stands;

    /// <summary>Debugging is on: filters log instead of ending the process.</summary>
    public static bool Debugging { get; } = Environment.GetEnvironmentVariable(DebugVariable) == "1";

    /// <summary>
    /// Whether this build keeps to the list: one that compiles at run time makes memory that can be executed and opens what it loads all
    /// the time, and gets the outer list alone.
    /// </summary>
    public static bool CanBeNarrow => !RuntimeFeature.IsDynamicCodeSupported;

    /// <summary>For the process, all of its threads and those to come.</summary>
    /// <param name="kvm">/dev/kvm was handed over.</param>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public static void Raise(bool kvm)
    {
        int process = Environment.ProcessId;
        if (!Debugging)
        {
            Require(ThreadCalls.ProcessControl(ProcessCalls.PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl");
        }

        Require(ThreadCalls.ProcessControl(ThreadCalls.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl");
        if (!CanBeNarrow)
        {
            var outer = OuterFilter.Create(execReturnsTo: null)
                .Allow(SystemCall.SYS_sched_setscheduler, "this runtime sets the priority of its own threads, by their numbers")
                .Allow(SystemCall.SYS_sched_get_priority_max, "the same")
                .Allow(SystemCall.SYS_sched_get_priority_min, "the same")
                .Fail(SystemCall.SYS_unlink, ErrorNumber.ENOENT,
                    "its door for debuggers, a socket in /tmp, is removed at the end where it was not closed before")
                .Assemble(Otherwise);
            fixed (sock_filter* program = outer)
            {
                OuterFilter.SetOwnProcess(program, outer.Length, process);
            }

            Install(outer, SeccompCalls.SECCOMP_FILTER_FLAG_TSYNC);
            return;
        }

        foreach (var role in Enum.GetValues<ThreadRole>())
        {
            s_ofRoles[(int)role] = InnerFilter.Of(role, process, kvm).Assemble(Otherwise);
        }

        Install(InnerFilter.OfProcess(process, kvm).Assemble(Otherwise), SeccompCalls.SECCOMP_FILTER_FLAG_TSYNC);
        s_stands = true;
    }

    /// <summary>For the calling thread, which does nothing else from here on; nothing where no wall stands.</summary>
    public static void Narrow(ThreadRole role)
    {
        if (s_stands)
        {
            // The runtime's locks draw lots how long they spin; each thread's are seeded when first drawn, from a descriptor that may not
            // be read later.
            _ = Random.Shared.Next();
            Install(s_ofRoles[(int)role]!, 0);
        }
    }

    private static uint Otherwise => Debugging ? SeccompCalls.SECCOMP_RET_LOG : SeccompCalls.SECCOMP_RET_KILL_PROCESS;

    private static void Install(sock_filter[] filter, uint flags)
    {
        fixed (sock_filter* first = filter)
        {
            var program = new sock_fprog { len = (ushort)filter.Length, filter = first };
            // With TSYNC a thread that cannot take it is told by its number.
            long result = (ssize_t)LibC.syscall(SystemCall.SYS_seccomp, SeccompCalls.SECCOMP_SET_MODE_FILTER, flags, &program);
            Require(result <= 0 ? (int)result : throw new LinuxException("seccomp", ErrorNumber.ESRCH), "seccomp");
        }
    }

    private static void Require(int result, string call)
    {
        if (result != 0)
        {
            throw LinuxException.Last(call);
        }
    }
}
