using Tmds.Linux;
using WebVm.Vmm.Host.Native;
using static WebVm.Vmm.Host.Native.SystemCall;

namespace WebVm.Attacker;

/// <summary>Parts of the kernel that a monitor has no use for, and that faults have been found in.</summary>
internal static unsafe class KernelTries
{
    public static readonly (string, Func<Surroundings, Outcome>)[] All =
    [
        ("mount a file system", host => Calls.Of(SYS_mount, Calls.Text("tmpfs"), Calls.Text("/"), Calls.Text("tmpfs"))),
        ("open a file system's context", _ => Calls.Of(SYS_fsopen, Calls.Text("tmpfs"), 0)),
        ("change the root", _ => Calls.Of(SYS_chroot, Calls.Text("/"))),
        ("make a device file", host => Calls.Of(SYS_mknod, Calls.Text($"{host.Folder}/device"), 0x2000 | 0b110_110_110, 0x0101)), // mem
        ("rename the host", _ => Calls.Of(SYS_sethostname, Calls.Text("x"), 1)),
        ("set the host's clock", _ => SetClock()),
        ("load a kernel module", _ => Calls.Of(SYS_finit_module, 0, Calls.Text(""), 0)),
        ("load another kernel", _ => Calls.Of(SYS_kexec_load, 0, 0, 0, 0)),
        ("restart the host", _ => Calls.Of(
            SYS_reboot, unchecked((int)0xfee1dead), 672274793, 0)), // Ctrl-Alt-Del off: harmless, and needs the right
        ("swap to a file", _ => Calls.Of(SYS_swapon, Calls.Text("/none"), 0)),
        ("load a BPF program", _ => Bpf()),
        ("count processor events", _ => PerformanceEvent()),
        ("make an I/O ring", _ => IoRing()),
        ("handle page faults", _ => Calls.Of(SYS_userfaultfd, SandboxCalls.UFFD_USER_MODE_ONLY)),
        ("use the kernel's keys", _ => Calls.Of(SYS_keyctl, 0, -3, 1)), // KEYCTL_GET_KEYRING_ID, session, create
        ("add a key", _ => Calls.Of(SYS_add_key, Calls.Text("user"), Calls.Text("x"), Calls.Text("x"), 1, -3)),
        ("take memory out of the kernel's map", _ => Calls.Of(SYS_memfd_secret, 0)),
        ("change the personality", _ => Calls.Of(SYS_personality, 0x0400000)), // READ_IMPLIES_EXEC
        ("change segments", _ => Segment()),
        ("reach I/O ports", _ => Calls.Of(SYS_iopl, 3)),
        ("type on its terminal", _ => Calls.Of(SYS_ioctl, 0, 0x5412, Calls.Text("x"))), // TIOCSTI
        ("make memory executable", _ => Executable()),
    ];

    private static Outcome SetClock()
    {
        long* now = stackalloc long[2];
        Calls.Of(SYS_clock_gettime, 0, (nint)now);
        return Calls.Of(SYS_clock_settime, 0, (nint)now);
    }

    private static Outcome Bpf()
    {
        ulong* attributes = stackalloc ulong[16];
        new Span<ulong>(attributes, 16).Clear();
        *(uint*)attributes = 2; // BPF_MAP_TYPE_ARRAY
        attributes[0] |= 4UL << 32;
        attributes[1] = 4 | (1UL << 32);
        return Calls.Of(SYS_bpf, 0, (nint)attributes, 16); // BPF_MAP_CREATE
    }

    private static Outcome PerformanceEvent()
    {
        ulong* attributes = stackalloc ulong[16];
        new Span<ulong>(attributes, 16).Clear();
        attributes[0] = 1 | (64UL << 32); // PERF_TYPE_SOFTWARE, size
        return Calls.Of(SYS_perf_event_open, (nint)attributes, 0, -1, -1, 0);
    }

    private static Outcome IoRing()
    {
        ulong* parameters = stackalloc ulong[15];
        new Span<ulong>(parameters, 15).Clear();
        return Calls.Of(SYS_io_uring_setup, 4, (nint)parameters);
    }

    private static Outcome Segment()
    {
        uint* descriptor = stackalloc uint[4] { 0, 0, 0xfffff, 0x51 }; // struct user_desc: entry 0, base 0, 4 GiB, 32-bit
        return Calls.Of(SYS_modify_ldt, 1, (nint)descriptor, 16);
    }

    private static Outcome Executable() =>
        Calls.Of(SYS_mmap, 0, 4096, LibC.PROT_READ | LibC.PROT_EXEC, LibC.MAP_PRIVATE | LibC.MAP_ANONYMOUS, -1, 0);
}
