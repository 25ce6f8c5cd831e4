using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Machine.Lifecycle;

/// <summary>The architectural states of a machine's vCPUs in native memory, each aligned as XSAVE demands; zero at first.</summary>
internal sealed unsafe class CpuStateBuffer : IDisposable
{
    private const int Alignment = 64;

    private readonly nuint _stride = ((nuint)sizeof(CpuState) + Alignment - 1) & ~(nuint)(Alignment - 1);
    private byte* _start;

    public CpuStateBuffer(int count)
    {
        Count = count;
        _start = (byte*)NativeMemory.AlignedAlloc((nuint)count * _stride, Alignment);
        NativeMemory.Clear(_start, (nuint)count * _stride);
    }

    public int Count { get; }

    public CpuState* this[int index]
    {
        get
        {
            ObjectDisposedException.ThrowIf(_start == null, this);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)Count);
            return (CpuState*)(_start + ((nuint)index * _stride));
        }
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_start);
        _start = null;
    }
}
