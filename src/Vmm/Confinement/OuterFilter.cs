using WebVm.Vmm.Host.Native;
using static WebVm.Vmm.Host.Native.SystemCall;

namespace WebVm.Vmm.Confinement;

/// <summary>
/// The system calls of a monitor from its first instruction on: what a native .NET program needs to start, and to build a machine of what
/// it was handed. No network, no signals to others, no namespaces, threads but no processes, and no program but the one it is. Before
/// guest code runs the monitor narrows it further.
/// </summary>
internal static class OuterFilter
{
    /// <summary>Stands for the monitor's own process id until that is known.</summary>
    public const uint OwnProcess = 0x7fff_fff1;

    // F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_ADD_SEALS, F_GET_SEALS. Not F_SETOWN and F_SETSIG: signals.
    private static readonly uint[] s_fileCommands = [0, 1, 2, 3, 4, 1030, 1033, 1034];

    // PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_SET_NAME, PR_GET_NAME, PR_GET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS.
    private static readonly uint[] s_processOptions = [3, 4, 15, 16, 21, 38, 39];

    private const uint KvmRequests = 0xae00; // KVMIO, in bits 8 to 15 of a request
    private const uint RequestType = 0xff00;
    private const uint TCGETS = 0x5401;
    private const uint FIONBIO = 0x5421;
    private const uint Namespaces = ProcessCalls.CLONE_NEWNS | ProcessCalls.CLONE_NEWUTS | ProcessCalls.CLONE_NEWIPC
        | ProcessCalls.CLONE_NEWUSER
        | ProcessCalls.CLONE_NEWPID | ProcessCalls.CLONE_NEWNET;

    /// <summary>Of the first process of a monitor's PID namespace, which waits for the monitor and ends with its code.</summary>
    public static SystemCallFilter OfInit() => new SystemCallFilter()
        .Allow(SYS_wait4, "the monitor's end, and that of whoever is left without a parent")
        .Allow(SYS_restart_syscall, "what the kernel goes on with after a stop")
        .Allow(SYS_close, "what it was told of failures by, once all stands")
        .Allow(SYS_exit_group, "the end");

    /// <param name="execReturnsTo">Where the call that starts the monitor returns to; null when it runs already.</param>
    public static SystemCallFilter Create(ulong? execReturnsTo)
    {
        var filter = new SystemCallFilter()
            .Allow(SYS_futex, "locks of the runtime, of ours, of glibc")
            .Allow(SYS_ioctl, "KVM", ArgumentTest.Has(1, RequestType, KvmRequests))
            .Allow(SYS_ioctl, "is it a terminal (the console's streams), and blocking or not", ArgumentTest.IsOneOf(1, TCGETS, FIONBIO))
            .Allow(SYS_sched_yield, "the runtime's short waits")
            .Allow(SYS_membarrier, "the collector's barrier on all threads")
            .Allow(SYS_read, "descriptors that were handed over")
            .Allow(SYS_write, "the same")
            .Allow(SYS_readv, "the same")
            .Allow(SYS_writev, "the same")
            .Allow(SYS_pread64, "files that were handed over, guest memory")
            .Allow(SYS_pwrite64, "the same")
            .Allow(SYS_preadv, "the same")
            .Allow(SYS_pwritev, "the same")
            .Allow(SYS_lseek, "data and holes of sparse files")
            .Allow(SYS_copy_file_range, "copies of guest memory between files")
            .Allow(SYS_sendfile, "what copy_file_range does not do, between files")
            .Allow(SYS_fsync, "what was saved is on the disk")
            .Allow(SYS_ftruncate, "the size of memory files")
            .Allow(SYS_fallocate, "holes in guest memory")
            .Allow(SYS_fstat, "what kind of file a descriptor is")
            .Allow(SYS_fstatfs, "the same")
            .Allow(SYS_flock, "FileStream takes one on files that it opens")
            .Allow(SYS_fadvise64, "FileStream says how it reads")
            .Allow(SYS_close, "descriptors")
            .Allow(SYS_fcntl, "descriptors' flags, copies and seals", ArgumentTest.IsOneOf(1, s_fileCommands))
            .Allow(SYS_dup, "descriptors")
            .Allow(SYS_pipe2, "the runtime's signal pipe")
            .Allow(SYS_memfd_create, "guest memory, framebuffers")
            .Allow(SYS_eventfd2, "irqfd, ioeventfd")
            .Allow(SYS_timerfd_create, "the timers' thread")
            .Allow(SYS_timerfd_settime, "the same")
            .Allow(SYS_timerfd_gettime, "the same")
            .Allow(SYS_poll, "waiting for descriptors")
            .Allow(SYS_ppoll, "the same")
            .Allow(SYS_epoll_create1, "the runtime's sockets")
            .Allow(SYS_epoll_ctl, "the same")
            .Allow(SYS_epoll_wait, "the same")
            .Allow(SYS_epoll_pwait, "the same")
            .Allow(SYS_accept4, "the control socket that was handed over")
            .Allow(SYS_sendmsg, "the same")
            .Allow(SYS_recvmsg, "the same")
            .Allow(SYS_recvfrom, "the same")
            .Allow(SYS_shutdown, "the same")
            .Allow(SYS_getsockopt, "the same: who has connected")
            .Allow(SYS_setsockopt, "the same")
            .Allow(SYS_getsockname, "the same")
            .Allow(SYS_getpeername, "the same")
            .Allow(SYS_mmap, "memory")
            .Allow(SYS_munmap, "memory")
            .Allow(SYS_mprotect, "stacks' guards, the collector's heap, generated code")
            .Allow(SYS_mremap, "memory")
            .Allow(SYS_madvise, "memory that is given back, kept out of dumps")
            .Allow(SYS_mincore, "what of a file is in memory")
            .Allow(SYS_brk, "glibc's heap")
            .Allow(SYS_mlock, "the collector's page for barriers where there is no membarrier")
            .Allow(SYS_mbind, "guest memory on its host node")
            .Allow(SYS_set_mempolicy, "the same")
            .Allow(SYS_get_mempolicy, "the runtime counts the host's nodes")
            .Allow(SYS_move_pages, "guest memory moves to another host node", ArgumentTest.IsOneOf(0, 0))
            .Allow(SYS_clone, "threads, and nothing else", ArgumentTest.Has(
                0, ProcessCalls.CLONE_THREAD | ProcessCalls.CLONE_VM | Namespaces,
                ProcessCalls.CLONE_THREAD | ProcessCalls.CLONE_VM))
            .Fail(SYS_clone3, ErrorNumber.ENOSYS, "its flags are out of a filter's sight; glibc takes clone then")
            .Allow(SYS_set_tid_address, "a thread's beginning")
            .Allow(SYS_set_robust_list, "the same")
            .Allow(SYS_rseq, "the same")
            .Allow(SYS_arch_prctl, "thread-local storage")
            .Allow(SYS_sigaltstack, "the runtime's stack for faults")
            .Allow(SYS_exit, "a thread's end")
            .Allow(SYS_exit_group, "the end")
            .Allow(SYS_gettid, "a thread's name to the kernel")
            .Allow(SYS_getpid, "the process's")
            .Allow(SYS_getuid, "the runtime's start")
            .Allow(SYS_geteuid, "who may connect")
            .Allow(SYS_getgid, "the runtime's start")
            .Allow(SYS_getegid, "the same")
            .Allow(SYS_rt_sigaction, "the runtime's handlers")
            .Allow(SYS_rt_sigprocmask, "a vCPU's blocked signal")
            .Allow(SYS_rt_sigreturn, "the end of a handler")
            .Allow(SYS_rt_sigtimedwait, "a vCPU takes its signal")
            .Allow(SYS_restart_syscall, "what the kernel goes on with after a stop")
            .Allow(SYS_tgkill, "threads of its own: the collector's stops, a vCPU's kick, abort", ArgumentTest.IsOneOf(0, OwnProcess))
            .Allow(SYS_kill, "itself", ArgumentTest.IsOneOf(0, OwnProcess))
            .Allow(SYS_timer_create, "a deadline of a vCPU on KVM")
            .Allow(SYS_timer_settime, "the same")
            .Allow(SYS_timer_delete, "the same")
            .Allow(SYS_nanosleep, "waits")
            .Allow(SYS_clock_nanosleep, "waits")
            .Allow(SYS_clock_gettime, "time, where the vDSO has none")
            .Allow(SYS_clock_getres, "the same")
            .Allow(SYS_gettimeofday, "the same")
            .Allow(SYS_getrusage, "time used")
            .Allow(SYS_times, "the same")
            .Allow(SYS_sysinfo, "the collector asks how much memory there is")
            .Allow(SYS_uname, "glibc")
            .Allow(SYS_getcpu, "the runtime's choice of a heap")
            .Allow(SYS_sched_getaffinity, "how many processors there are")
            .Allow(SYS_sched_setaffinity, "vCPUs stay on their host node", ArgumentTest.IsOneOf(0, 0))
            .Allow(SYS_sched_setscheduler, "the deadlines' thread", ArgumentTest.IsOneOf(0, 0))
            .Allow(SYS_sched_getscheduler, "the same: the run-time compiler asks it of each of its threads")
            .Allow(SYS_sched_getparam, "the same")
            .Allow(SYS_prlimit64, "limits are read, and its own lowered", ArgumentTest.IsOneOf(0, 0))
            .Allow(SYS_getrlimit, "the same")
            .Allow(SYS_prctl, "threads' names, no core dumps, no new privileges", ArgumentTest.IsOneOf(0, s_processOptions))
            .Allow(SYS_seccomp, "filters are only ever added")
            .Allow(SYS_getrandom, "seeds")
            .Allow(SYS_openat, "the runtime looks for its settings and finds nothing: there are no files")
            .Allow(SYS_open, "the same")
            .Allow(SYS_newfstatat, "the same")
            .Allow(SYS_stat, "the same")
            .Allow(SYS_lstat, "the same")
            .Allow(SYS_statx, "the same")
            .Allow(SYS_access, "the same")
            .Allow(SYS_faccessat, "the same")
            .Allow(SYS_statfs, "the same")
            .Allow(SYS_readlink, "the same")
            .Allow(SYS_readlinkat, "the same")
            .Allow(SYS_getcwd, "the same")
            .Allow(SYS_getdents64, "the same");
        if (execReturnsTo is { } address)
        {
            filter.Allow(SYS_execveat, "the monitor's own start, once", ArgumentTest.ReturnsTo(address));
        }
        else
        {
            filter
                .Allow(SYS_sched_setscheduler, "the run-time compiler gives each of its threads the ordinary policy", ArgumentTest.IsOneOf(
                    1, 0))
                .Allow(SYS_sched_get_priority_max, "the same")
                .Allow(SYS_sched_get_priority_min, "the same");
        }

        return filter;
    }

    /// <summary>Puts a process id where <see cref="OwnProcess"/> stands. Makes no call and takes no memory.</summary>
    public static unsafe void SetOwnProcess(sock_filter* program, int length, int process)
    {
        for (int index = 0; index < length; index++)
        {
            if (program[index].k == OwnProcess && program[index].code == (SeccompCalls.BPF_JMP | SeccompCalls.BPF_JEQ | SeccompCalls.BPF_K))
            {
                program[index] = new sock_filter(program[index].code, program[index].jt, program[index].jf, (uint)process);
            }
        }
    }
}
