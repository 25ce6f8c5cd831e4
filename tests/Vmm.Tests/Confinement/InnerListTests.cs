using WebVm.Vmm.Confinement;
using WebVm.Vmm.Host.Native;
using Xunit;
using static WebVm.Vmm.Host.Native.SeccompCalls;
using static WebVm.Vmm.Host.Native.SystemCall;

namespace WebVm.Vmm.Tests.Confinement;

/// <summary>What a monitor's own filters refuse, tried on the programs that the kernel gets.</summary>
public sealed class InnerListTests
{
    private const int Own = 2;
    private const ulong ReadWrite = 3;
    private const ulong Execute = 4;

    private static readonly (string Name, SystemCallFilter Filter)[] s_filters =
    [
        ("process", InnerFilter.OfProcess(Own, kvm: true)),
        .. Enum.GetValues<ThreadRole>().Select(role => (role.ToString(), InnerFilter.Of(role, Own, kvm: true))),
    ];

    /// <summary>Calls that no list has, whatever their arguments.</summary>
    public static TheoryData<int> Forbidden =>
    [
        SYS_execve, SYS_execveat, SYS_fork, SYS_vfork, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_open,
        SYS_pidfd_getfd,
        SYS_pidfd_send_signal, SYS_kill, SYS_tkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_socket, SYS_socketpair, SYS_connect,
        SYS_bind, SYS_listen,
        SYS_sendto, SYS_creat, SYS_openat2, SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_unlink, SYS_unlinkat, SYS_rename,
        SYS_renameat, SYS_renameat2, SYS_link,
        SYS_linkat, SYS_symlink, SYS_mkdir, SYS_mkdirat, SYS_mknod, SYS_chmod, SYS_fchmod, SYS_chown, SYS_stat, SYS_newfstatat, SYS_statx,
        SYS_getdents64,
        SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unshare, SYS_setns, SYS_move_mount, SYS_open_tree, SYS_fsopen, SYS_bpf,
        SYS_perf_event_open,
        SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register, SYS_keyctl, SYS_add_key, SYS_request_key,
        SYS_init_module, SYS_finit_module,
        SYS_kexec_load, SYS_reboot, SYS_setuid, SYS_setgid, SYS_setresuid, SYS_setresgid, SYS_setgroups, SYS_capset, SYS_personality,
        SYS_modify_ldt, SYS_iopl,
        SYS_ioperm, SYS_pkey_mprotect, SYS_memfd_secret, SYS_setsid, SYS_setpgid, SYS_setrlimit, SYS_sched_setattr, SYS_vmsplice,
        SYS_splice, SYS_tee, SYS_sendfile,
        SYS_kcmp, SYS_dup2, SYS_pipe2, SYS_epoll_create1, SYS_arch_prctl, SYS_set_mempolicy, SYS_move_pages, SYS_process_mrelease,
        SYS_landlock_create_ruleset,
    ];

    [Theory]
    [MemberData(nameof(Forbidden))]
    public void A_call_that_reaches_out_of_the_process_ends_it(int number) => AssertKilled(number);

    [Fact]
    public void Memory_is_never_made_executable()
    {
        AssertKilled(SYS_mmap, 0, 4096, ReadWrite | Execute, 0x22);
        AssertKilled(SYS_mmap, 0, 4096, Execute, 1, 5);
        AssertKilled(SYS_mmap, 0, 4096, (1UL << 32) | Execute, 1, 5);
        AssertKilled(SYS_mprotect, 0x1000, 4096, 1 | Execute);
        AssertAllowed(SYS_mmap, 0, 4096, ReadWrite, 0x22);
        AssertAllowed(SYS_mprotect, 0x1000, 4096, ReadWrite);
    }

    [Fact]
    public void Opening_to_read_finds_nothing_and_opening_to_write_ends_the_process()
    {
        const ulong directory = unchecked((ulong)-100);
        Assert.All(
            s_filters, filter => Assert.Equal(
                SECCOMP_RET_ERRNO | ErrorNumber.ENOENT, Judge(filter.Filter, SYS_openat, directory, 0x1000, 0x80000)));
        Assert.All(s_filters, filter => Assert.Equal(SECCOMP_RET_ERRNO | ErrorNumber.ENOENT, Judge(filter.Filter, SYS_open, 0x1000, 0)));
        foreach (uint flags in (uint[])[1, 2, 0x40, 0x200, 0x80042, 0x410001])
        {
            AssertKilled(SYS_openat, directory, 0x1000, flags);
            AssertKilled(SYS_open, 0x1000, flags);
        }
    }

    [Fact]
    public void Threads_are_made_and_nothing_else_that_clone_makes()
    {
        var process = s_filters[0].Filter;
        Assert.Equal(SECCOMP_RET_ALLOW, Judge(process, SYS_clone, 0x3d0f00));
        Assert.Equal(SECCOMP_RET_ERRNO | ErrorNumber.ENOSYS, Judge(process, SYS_clone3, 0x1000, 88));
        foreach (uint flags in (uint[])[17, 0x1200011, 0x4111, 0x10000000, 0x3d0f00 | 0x10000000, 0x3d0f00 | 0x20000, 0x3d0f00 & ~0x10000u])
        {
            AssertKilled(SYS_clone, flags);
        }

        foreach (var (_, narrow) in s_filters.Skip(1))
        {
            Assert.Equal(SECCOMP_RET_KILL_PROCESS, Judge(narrow, SYS_clone, 0x3d0f00));
        }
    }

    [Fact]
    public void Only_its_own_threads_are_signalled()
    {
        AssertAllowed(SYS_tgkill, Own, 7, 34);
        AssertKilled(SYS_tgkill, 1, 1, 9);
        AssertKilled(SYS_tgkill, unchecked((ulong)-1), 1, 9);
    }

    [Fact]
    public void Requests_to_devices_are_those_of_KVM_that_a_machine_makes_and_a_vCPU_makes_no_machine()
    {
        const ulong tiocsti = 0x5412;
        const ulong createDevice = 0xc00caee0;
        foreach (ulong request in (ulong[])[tiocsti, createDevice, 0x5423, 0x8901])
        {
            AssertKilled(SYS_ioctl, 5, request);
        }

        Assert.Equal(SECCOMP_RET_ALLOW, Judge(s_filters[0].Filter, SYS_ioctl, 5, KvmRequests.KVM_CREATE_VM));
        var vcpu = InnerFilter.Of(ThreadRole.Vcpu, Own, kvm: true);
        Assert.Equal(SECCOMP_RET_ALLOW, Judge(vcpu, SYS_ioctl, 5, KvmRequests.KVM_RUN));
        Assert.Equal(SECCOMP_RET_KILL_PROCESS, Judge(vcpu, SYS_ioctl, 5, KvmRequests.KVM_CREATE_VM));
        Assert.Equal(SECCOMP_RET_KILL_PROCESS, Judge(InnerFilter.OfProcess(Own, kvm: false), SYS_ioctl, 5, KvmRequests.KVM_CREATE_VM));
        Assert.Equal(SECCOMP_RET_KILL_PROCESS, Judge(InnerFilter.Of(ThreadRole.Vcpu, Own, kvm: false), SYS_ioctl, 5, KvmRequests.KVM_RUN));
    }

    [Theory]
    [InlineData(SYS_prctl, 4)] // PR_SET_DUMPABLE: back to being looked into
    [InlineData(SYS_prctl, 0x59616d61)] // PR_SET_PTRACER
    [InlineData(SYS_prctl, 22)] // PR_SET_SECCOMP
    [InlineData(SYS_fcntl, 5, 8)] // F_SETOWN
    [InlineData(SYS_fcntl, 5, 10)] // F_SETSIG
    [InlineData(SYS_madvise, 0, 0, 100)] // MADV_HWPOISON
    [InlineData(SYS_madvise, 0, 0, 12)] // MADV_MERGEABLE: pages shared with others tell of them
    [InlineData(SYS_prlimit64, 0, 7, 0x1000)]
    [InlineData(SYS_seccomp, 1, 8)] // with a listener
    [InlineData(SYS_seccomp, 2, 0)]
    [InlineData(SYS_writev, 5)]
    [InlineData(SYS_fallocate, 5, 0)]
    public void Options_that_the_monitor_has_no_use_for_end_it(int number, params int[] arguments) =>
        AssertKilled(number, [.. arguments.Select(argument => (ulong)argument)]);

    [Fact]
    public void A_vCPU_reads_no_descriptor_and_talks_to_no_client()
    {
        var vcpu = InnerFilter.Of(ThreadRole.Vcpu, Own, kvm: true);
        foreach (int number in (int[])[SYS_read, SYS_pread64, SYS_pwrite64, SYS_recvmsg, SYS_sendmsg, SYS_accept4, SYS_memfd_create,
            SYS_ftruncate, SYS_fcntl, SYS_prctl, SYS_seccomp])
        {
            Assert.Equal(SECCOMP_RET_KILL_PROCESS, Judge(vcpu, number));
        }
    }

    [Fact]
    public void Calls_of_other_instruction_sets_end_it()
    {
        const uint i386 = 0x40000003;
        Assert.All(s_filters, filter =>
        {
            var program = filter.Filter.Assemble();
            Assert.Equal(SECCOMP_RET_KILL_PROCESS, FilterMachine.Judge(program, SYS_futex, [], i386));
            Assert.Equal(SECCOMP_RET_KILL_PROCESS, FilterMachine.Judge(program, SYS_futex | 0x40000000, []));
            Assert.Equal(SECCOMP_RET_ALLOW, FilterMachine.Judge(program, SYS_futex, []));
        });
    }

    [Fact]
    public void Every_call_in_a_list_has_its_reason() =>
        Assert.All(
            s_filters, filter => Assert.All(
                filter.Filter.Rules, rule => Assert.True(rule.Reason.Length >= 7, $"{filter.Name}: {rule.Number}")));

    private static uint Judge(SystemCallFilter filter, int number, params ulong[] arguments) =>
        FilterMachine.Judge(filter.Assemble(), number, arguments);

    private static void AssertKilled(int number, params ulong[] arguments) =>
        Assert.All(
            s_filters, filter => Assert.Equal(
                (filter.Name, SECCOMP_RET_KILL_PROCESS), (filter.Name, Judge(filter.Filter, number, arguments))));

    private static void AssertAllowed(int number, params ulong[] arguments) =>
        Assert.All(
            s_filters, filter => Assert.Equal((filter.Name, SECCOMP_RET_ALLOW), (filter.Name, Judge(filter.Filter, number, arguments))));
}
