using Xunit;
using System.Runtime.InteropServices;

namespace WebVm.Vmm.Tests.Cpu.Soft.Integer;

/// <summary>
/// A piece of the test process's memory at an address that guest memory has too, so that pointers mean the same on both sides.
/// </summary>
internal sealed unsafe partial class HostScratch : IDisposable
{
    public const ulong Address = 0x2000_0000;
    public const int Size = 64 << 10;

    private const int ProtectionReadWrite = 3;
    private const int MapPrivateAnonymousFixedNoReplace = 0x2 | 0x20 | 0x10_0000;

    public HostScratch()
    {
        nint result = Mmap((nint)Address, Size, ProtectionReadWrite, MapPrivateAnonymousFixedNoReplace, -1, 0);
        Assert.Equal((nint)Address, result);
    }

    public Span<byte> Bytes => new((byte*)Address, Size);

    public void Dispose() => _ = Munmap((nint)Address, Size);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Mmap(nint address, nuint length, int protection, int flags, int descriptor, long offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int Munmap(nint address, nuint length);
}
