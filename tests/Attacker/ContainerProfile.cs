using WebVm.Vmm.Confinement;
using WebVm.Vmm.Host.Native;
using static WebVm.Vmm.Host.Native.SystemCall;

namespace WebVm.Attacker;

/// <summary>
/// Plays the container that the service runs in by default: what Docker's default profile refuses to a process without capabilities
/// (docs.docker.com, "Seccomp security profiles for Docker"), refused in the same way, with EPERM; ENOSYS for clone3.
/// </summary>
internal static unsafe class ContainerProfile
{
    public const string Role = "in-container";

    private const uint Namespaces = ProcessCalls.CLONE_NEWNS | ProcessCalls.CLONE_NEWUTS | ProcessCalls.CLONE_NEWIPC
        | ProcessCalls.CLONE_NEWUSER
        | ProcessCalls.CLONE_NEWPID | ProcessCalls.CLONE_NEWNET;

    private static readonly int[] s_refused =
    [
        SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unshare, SYS_setns, SYS_sethostname, SYS_bpf, SYS_perf_event_open,
        SYS_keyctl, SYS_add_key, SYS_request_key,
        SYS_userfaultfd, SYS_kcmp, SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_finit_module, SYS_init_module, SYS_kexec_load,
        SYS_reboot, SYS_swapon, SYS_iopl, SYS_ioperm,
        SYS_quotactl, SYS_move_mount, SYS_open_tree, SYS_fsopen, SYS_clock_settime, SYS_io_uring_setup, SYS_io_uring_enter,
        SYS_io_uring_register, SYS_mbind, SYS_set_mempolicy,
        SYS_get_mempolicy, SYS_move_pages,
    ];

    /// <summary>Executes this program again behind such a filter, with the rest of the arguments.</summary>
    public static int Execute(string[] arguments)
    {
        var filter = new SystemCallFilter();
        foreach (int number in s_refused)
        {
            filter.Fail(number, ErrorNumber.EPERM, "needs a capability");
        }

        filter.Fail(SYS_clone3, ErrorNumber.ENOSYS, "its flags are out of sight")
            .Allow(SYS_clone, "no namespaces", ArgumentTest.HasNone(0, Namespaces))
            .Fail(SYS_clone, ErrorNumber.EPERM, "namespaces need a capability");
        var program = filter.Assemble(SeccompCalls.SECCOMP_RET_ALLOW);
        fixed (sock_filter* first = program)
        {
            var installed = new sock_fprog { len = (ushort)program.Length, filter = first };
            Calls.Of(SYS_prctl, ThreadCalls.PR_SET_NO_NEW_PRIVS, 1);
            var outcome = Calls.Of(
                SYS_seccomp, (nint)SeccompCalls.SECCOMP_SET_MODE_FILTER, (nint)SeccompCalls.SECCOMP_FILTER_FLAG_TSYNC, (nint)(&installed));
            if (!outcome.Reached)
            {
                return 1;
            }
        }

        nint* argv = stackalloc nint[arguments.Length + 2];
        argv[0] = Calls.Text("attacker");
        for (int index = 0; index < arguments.Length; index++)
        {
            argv[index + 1] = Calls.Text(arguments[index]);
        }

        argv[arguments.Length + 1] = 0;
        nint none = 0;
        Calls.Of(SYS_execve, Calls.Text("/proc/self/exe"), (nint)argv, (nint)(&none));
        return 1;
    }
}
