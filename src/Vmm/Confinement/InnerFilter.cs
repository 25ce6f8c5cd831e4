using Tmds.Linux;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using static WebVm.Vmm.Host.Native.SystemCall;

namespace WebVm.Vmm.Confinement;

/// <summary>What a thread of the monitor is there for; each kind has a list of its own.</summary>
internal enum ThreadRole
{
    /// <summary>Guest code.</summary>
    Vcpu,

    /// <summary>Timers of devices, and the bounds that the monitor sets its vCPUs.</summary>
    Timers,

    /// <summary>Pages that were drawn on.</summary>
    Display,
}

/// <summary>
/// The system calls of a monitor from before it reads the first byte that a guest or its owner wrote. No program is executed, no name
/// opened, no socket made; memory that can be executed is what it was before; descriptors are what it was handed, and memory and timers.
/// Lists are derived and tried by InnerFilterTests, which runs guests and names each call, argument and thread that is not in them.
/// </summary>
internal static class InnerFilter
{
    private static uint PROT_EXEC => (uint)LibC.PROT_EXEC;

    /// <summary>
    /// CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS, PARENT_SETTID, CHILD_CLEARTID: pthread_create's, to the bit.
    /// </summary>
    private const uint ThreadFlags = 0x3d0f00;

    private const uint TCGETS = 0x5401;
    private const int StandardError = 2;

    // MADV_DONTNEED, WILLNEED, FREE, REMOVE, HUGEPAGE, NOHUGEPAGE, DONTDUMP, DODUMP.
    private static readonly uint[] s_advice = [4, 3, 8, 9, 14, 15, 16, 17];

    // F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC, F_ADD_SEALS, F_GET_SEALS.
    private static readonly uint[] s_fileCommands = [1, 2, 3, 1030, 1033, 1034];

    /// <summary>Makes descriptors for a machine; not once more for a thread that executes guest code.</summary>
    private static readonly uint[] s_kvmMakers =
    [
        (uint)KvmRequests.KVM_CREATE_VM, (uint)KvmRequests.KVM_CREATE_VCPU, (uint)KvmRequests.KVM_CREATE_IRQCHIP,
        (uint)KvmRequests.KVM_CREATE_PIT2,
        (uint)KvmRequests.KVM_SET_TSS_ADDR, (uint)KvmRequests.KVM_SET_IDENTITY_MAP_ADDR, (uint)KvmRequests.KVM_ENABLE_CAP,
        (uint)KvmRequests.KVM_SET_CPUID2,
        (uint)KvmRequests.KVM_GET_SUPPORTED_CPUID, (uint)KvmRequests.KVM_GET_MSR_INDEX_LIST, (uint)KvmRequests.KVM_GET_API_VERSION,
        (uint)KvmRequests.KVM_GET_VCPU_MMAP_SIZE,
    ];

    /// <summary>Done to what there is.</summary>
    private static readonly uint[] s_kvmUses =
    [
        (uint)KvmRequests.KVM_RUN, (uint)KvmRequests.KVM_CHECK_EXTENSION, (uint)KvmRequests.KVM_SET_USER_MEMORY_REGION,
        (uint)KvmRequests.KVM_GET_DIRTY_LOG,
        (uint)KvmRequests.KVM_IRQ_LINE, (uint)KvmRequests.KVM_SIGNAL_MSI, (uint)KvmRequests.KVM_SET_GSI_ROUTING,
        (uint)KvmRequests.KVM_IRQFD,
        (uint)KvmRequests.KVM_IOEVENTFD, (uint)KvmRequests.KVM_GET_IRQCHIP, (uint)KvmRequests.KVM_SET_IRQCHIP,
        (uint)KvmRequests.KVM_GET_PIT2,
        (uint)KvmRequests.KVM_SET_PIT2, (uint)KvmRequests.KVM_REINJECT_CONTROL, (uint)KvmRequests.KVM_GET_CLOCK,
        (uint)KvmRequests.KVM_SET_CLOCK, (uint)KvmRequests.KVM_KVMCLOCK_CTRL,
        (uint)KvmRequests.KVM_GET_REGS, (uint)KvmRequests.KVM_SET_REGS, (uint)KvmRequests.KVM_GET_SREGS, (uint)KvmRequests.KVM_SET_SREGS,
        (uint)KvmRequests.KVM_GET_SREGS2, (uint)KvmRequests.KVM_SET_SREGS2, (uint)KvmRequests.KVM_TRANSLATE, (uint)KvmRequests.KVM_GET_MSRS,
        (uint)KvmRequests.KVM_SET_MSRS, (uint)KvmRequests.KVM_SET_SIGNAL_MASK, (uint)KvmRequests.KVM_GET_LAPIC,
        (uint)KvmRequests.KVM_SET_LAPIC,
        (uint)KvmRequests.KVM_GET_CPUID2, (uint)KvmRequests.KVM_GET_MP_STATE, (uint)KvmRequests.KVM_SET_MP_STATE,
        (uint)KvmRequests.KVM_GET_VCPU_EVENTS,
        (uint)KvmRequests.KVM_SET_VCPU_EVENTS, (uint)KvmRequests.KVM_GET_DEBUGREGS, (uint)KvmRequests.KVM_SET_DEBUGREGS,
        (uint)KvmRequests.KVM_GET_XSAVE,
        (uint)KvmRequests.KVM_GET_XSAVE2, (uint)KvmRequests.KVM_SET_XSAVE, (uint)KvmRequests.KVM_GET_XCRS, (uint)KvmRequests.KVM_SET_XCRS,
        (uint)KvmRequests.KVM_GET_TSC_KHZ, (uint)KvmRequests.KVM_SET_TSC_KHZ, (uint)KvmRequests.KVM_GET_DEVICE_ATTR,
        (uint)KvmRequests.KVM_SET_DEVICE_ATTR,
        (uint)KvmRequests.KVM_HAS_DEVICE_ATTR,
    ];

    /// <summary>For all threads: the main thread's, the machine's and its clients' need no less.</summary>
    /// <param name="process">The monitor's own id, as it sees it.</param>
    /// <param name="kvm">/dev/kvm was handed over.</param>
    public static SystemCallFilter OfProcess(int process, bool kvm) => OfRuntime(process)
        .Add(Kvm(kvm, [.. s_kvmUses, .. s_kvmMakers]))
        .Allow(SYS_read, "timers, doorbells, standard input, the runtime's signal pipe")
        .Allow(SYS_pread64, "kernels and states that were handed over, at start and at a reset; guest memory that is saved")
        .Allow(SYS_pwrite64, "guest memory that is restored, states that are saved, pictures")
        .Allow(SYS_lseek, "lengths, and data and holes of guest memory")
        .Allow(SYS_fstat, "what kind of file a descriptor is")
        .Allow(SYS_fallocate, "holes in guest memory at a reset", ArgumentTest.IsOneOf(
            1, (uint)(LibC.FALLOC_FL_PUNCH_HOLE | LibC.FALLOC_FL_KEEP_SIZE)))
        .Allow(SYS_ftruncate, "the size of memory files and of a state's files")
        .Allow(SYS_memfd_create, "guest memory, framebuffers and pictures: not for programs, which no call executes")
        .Allow(SYS_fcntl, "copies, flags and seals of descriptors; no signals by them", ArgumentTest.IsOneOf(1, s_fileCommands))
        .Allow(SYS_eventfd2, "doorbells")
        .Allow(SYS_timerfd_create, "the timers' threads")
        .Allow(SYS_poll, "waiting for a client, or for one to read")
        .Allow(SYS_accept4, "clients of the control socket that was handed over")
        .Allow(SYS_sendmsg, "answers to them, with descriptors")
        .Allow(SYS_recvmsg, "requests of theirs")
        .Allow(SYS_getsockopt, "is it a listening socket, and who has connected")
        .Allow(SYS_clone, "threads with glibc's very flags: no process, no namespace", ArgumentTest.IsOneOf(0, ThreadFlags))
        .Fail(SYS_clone3, ErrorNumber.ENOSYS, "its flags are out of a filter's sight; glibc takes clone then")
        .Allow(SYS_sched_setscheduler, "the deadlines' thread runs before others, where it may", ArgumentTest.IsOneOf(0, 0))
        .Allow(SYS_rt_sigaction, "how SIGTERM and its like end the machine, and abort's last word")
        .Fail(SYS_ioctl, ErrorNumber.ENOTTY, "the console asks whether a stream is a terminal, and takes no for an answer",
            ArgumentTest.IsOneOf(1, TCGETS))
        .Allow(SYS_prctl, "threads' names", ArgumentTest.IsOneOf(0, ThreadCalls.PR_SET_NAME))
        .Allow(SYS_seccomp, "narrower lists for threads of one purpose: filters are only ever added", ArgumentTest.IsOneOf(
            0, SeccompCalls.SECCOMP_SET_MODE_FILTER), ArgumentTest.IsOneOf(1, 0));

    /// <summary>For the threads of one purpose, beside the list of the process: what neither has is refused.</summary>
    public static SystemCallFilter Of(ThreadRole role, int process, bool kvm) => role switch
    {
        ThreadRole.Vcpu => OfRuntime(process)
            .Add(Kvm(kvm, s_kvmUses))
            .Fail(SYS_rt_sigaction, ErrorNumber.EINVAL, "abort's last word: it ends without"),
        ThreadRole.Timers => OfRuntime(process)
            .Add(Kvm(kvm, [(uint)KvmRequests.KVM_IRQ_LINE, (uint)KvmRequests.KVM_SIGNAL_MSI]))
            .Allow(SYS_read, "the timer that it sleeps in")
            .Fail(SYS_rt_sigaction, ErrorNumber.EINVAL, "abort's last word: it ends without"),
        ThreadRole.Display => OfRuntime(process)
            // Which pages changed, and with the last viewer the end of the log, which is a flag of the memory's slots.
            .Add(Kvm(kvm, [(uint)KvmRequests.KVM_GET_DIRTY_LOG, (uint)KvmRequests.KVM_SET_USER_MEMORY_REGION]))
            .Fail(SYS_rt_sigaction, ErrorNumber.EINVAL, "abort's last word: it ends without"),
        _ => throw new ArgumentOutOfRangeException(nameof(role)),
    };

    /// <summary>
    /// What the runtime, its collector and glibc call on whatever thread they are needed, and what devices do on every thread that reaches
    /// them.
    /// </summary>
    private static SystemCallFilter OfRuntime(int process) => new SystemCallFilter()
        .Allow(SYS_futex, "locks and waits of the runtime, of ours, of glibc")
        .Allow(SYS_membarrier, "the collector's and our barrier on all threads")
        .Allow(SYS_sched_yield, "short waits")
        .Allow(SYS_timerfd_settime, "a device's timer is set by whoever touches the device")
        .Allow(SYS_timer_create, "a deadline of a vCPU on KVM")
        .Allow(SYS_timer_settime, "the same")
        .Allow(SYS_timer_delete, "the same")
        .Allow(SYS_write, "doorbells, answers of the guest's devices, what is said on standard error")
        .Allow(SYS_writev, "glibc's last words", ArgumentTest.IsOneOf(0, StandardError))
        .Allow(SYS_mmap, "the heap, guest memory where the guest wants it; never to be executed", ArgumentTest.HasNone(2, PROT_EXEC))
        .Allow(SYS_mprotect, "the heap's pages, stacks' guards; never to be executed", ArgumentTest.HasNone(2, PROT_EXEC))
        .Allow(SYS_munmap, "memory that is not needed any more")
        .Allow(SYS_mremap, "glibc's large blocks grow; what may not be executed still may not")
        .Allow(SYS_madvise, "the heap's pages go back, and guest memory is kept out of dumps", ArgumentTest.IsOneOf(2, s_advice))
        .Allow(SYS_brk, "glibc's heap")
        .Allow(SYS_close, "descriptors whose owner has gone, finalizers among the closers")
        .Allow(SYS_shutdown, "a client that does not keep up is cut off, by whoever notices")
        .Allow(SYS_rt_sigprocmask, "a vCPU's blocked signal, and the runtime's around its own")
        .Allow(SYS_rt_sigreturn, "the end of a handler: the collector stops threads by a signal")
        .Allow(SYS_rt_sigtimedwait, "a vCPU takes its signal")
        .Allow(SYS_sigaltstack, "the runtime's stack for faults, at a thread's beginning and end")
        .Allow(SYS_tgkill, "the collector's stops, a vCPU's kick, abort: its own threads alone", ArgumentTest.IsOneOf(0, (uint)process))
        .Allow(SYS_getpid, "abort, and who a message is of")
        .Allow(SYS_gettid, "a thread's number to the kernel")
        .Allow(SYS_prctl, "a fault's report names its thread", ArgumentTest.IsOneOf(0, ThreadCalls.PR_GET_NAME))
        .Allow(SYS_set_robust_list, "a thread's beginning")
        .Allow(SYS_rseq, "the same")
        .Allow(SYS_set_tid_address, "the same")
        .Allow(SYS_prlimit64, "a thread asks for its stack's size; limits are read, not set", ArgumentTest.IsWide(2, 0))
        .Allow(SYS_sched_getaffinity, "the same, and how many processors there are")
        .Allow(SYS_getcpu, "the collector's choice of a heap, where the vDSO has none")
        .Allow(SYS_nanosleep, "sleeping for a while")
        .Allow(SYS_clock_nanosleep, "sleeping for a while")
        .Allow(SYS_clock_gettime, "time, where the vDSO has none, and a thread's processor time")
        .Allow(SYS_clock_getres, "the same")
        .Allow(SYS_gettimeofday, "the same")
        .Allow(SYS_getrusage, "processor time that the runtime counts")
        .Allow(SYS_sysinfo, "the collector asks how much memory is free")
        .Allow(SYS_getrandom, "random numbers for guests and for hash tables")
        .Allow(SYS_restart_syscall, "what the kernel goes on with after a stop")
        .Allow(SYS_exit, "a thread's end")
        .Allow(SYS_exit_group, "the end")
        .Fail(SYS_openat, ErrorNumber.ENOENT, "the collector and glibc look for what /proc and cgroups say of memory, and take no for "
            + "an answer",
            ReadOnly(2))
        .Fail(SYS_open, ErrorNumber.ENOENT, "the same", ReadOnly(1))
        .Fail(SYS_readlink, ErrorNumber.ENOENT, "the same")
        .Fail(SYS_access, ErrorNumber.ENOENT, "the same");

    /// <summary>O_RDONLY, nothing made and nothing emptied: other opens are no question, and end the process.</summary>
    private static ArgumentTest ReadOnly(int argument) =>
        ArgumentTest.HasNone(argument, (uint)(LibC.O_WRONLY | LibC.O_RDWR | LibC.O_CREAT | LibC.O_TRUNC));

    private static SystemCallFilter Kvm(bool handed, uint[] requests)
    {
        var filter = new SystemCallFilter();
        return handed ? filter.Allow(SYS_ioctl, "KVM, request by request", ArgumentTest.IsOneOf(1, requests)) : filter;
    }
}
