using Tmds.Linux;
using WebVm.Vmm.Host.Marshalling;

namespace WebVm.Vmm.Host.Native;

/// <summary>memfd_create(2) with a string.</summary>
internal static unsafe class MemoryCalls
{
    public static int CreateMemoryFile(string name, uint flags)
    {
        using var text = new CText(name, stackalloc byte[CText.BufferSize]);
        return LibC.memfd_create(text.Pointer, flags);
    }
}
