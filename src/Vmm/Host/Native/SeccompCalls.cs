using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host.Native;

/// <summary>seccomp(2) and the classic BPF that its filters are written in (Documentation/userspace-api/seccomp_filter.rst).</summary>
[NativeConstants("linux/seccomp.h", "linux/bpf_common.h", "linux/audit.h", "linux/filter.h")]
internal static unsafe class SeccompCalls
{
    public const uint SECCOMP_SET_MODE_FILTER = 1;
    public const uint SECCOMP_FILTER_FLAG_TSYNC = 1;
    public const uint SECCOMP_FILTER_FLAG_LOG = 2;
    public const uint SECCOMP_FILTER_FLAG_NEW_LISTENER = 8;
    public const uint SECCOMP_RET_KILL_PROCESS = 0x80000000;
    public const uint SECCOMP_RET_TRAP = 0x00030000;
    public const uint SECCOMP_RET_ERRNO = 0x00050000;
    public const uint SECCOMP_RET_USER_NOTIF = 0x7fc00000;
    public const uint SECCOMP_RET_LOG = 0x7ffc0000;
    public const uint SECCOMP_RET_ALLOW = 0x7fff0000;
    public const uint AUDIT_ARCH_X86_64 = 0xc000003e;
    public const int BPF_MAXINSNS = 4096;
    public const ushort BPF_LD = 0x00;
    public const ushort BPF_ALU = 0x04;
    public const ushort BPF_JMP = 0x05;
    public const ushort BPF_RET = 0x06;
    public const ushort BPF_W = 0x00;
    public const ushort BPF_ABS = 0x20;
    public const ushort BPF_K = 0x00;
    public const ushort BPF_AND = 0x50;
    public const ushort BPF_JA = 0x00;
    public const ushort BPF_JEQ = 0x10;
    public const ushort BPF_JGE = 0x30;
    public const ushort BPF_JSET = 0x40;
}

/// <summary>One instruction of a filter.</summary>
[NativeType("linux/filter.h")]
[StructLayout(LayoutKind.Sequential)]
internal readonly struct sock_filter(ushort code, byte jt, byte jf, uint k)
{
    public readonly ushort code = code;
    public readonly byte jt = jt;
    public readonly byte jf = jf;
    public readonly uint k = k;
}

[NativeType("linux/filter.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct sock_fprog
{
    public ushort len;
    public sock_filter* filter;
}

/// <summary>What a filter sees of a call.</summary>
[NativeType("linux/seccomp.h")]
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct seccomp_data
{
    public int nr;
    public uint arch;
    public ulong instruction_pointer;
    public fixed ulong args[6];
}
