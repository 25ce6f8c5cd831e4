using Tmds.Linux;
using WebVm.Vmm.Host.Marshalling;

namespace WebVm.Vmm.Host.Native;

/// <summary>execve(2) with a program's name as a string, and an argument of close_range(2).</summary>
[NativeConstants("linux/close_range.h")]
internal static unsafe class OwnProcessCalls
{
    public const uint CLOSE_RANGE_CLOEXEC = 4;

    public static int Execute(string path, byte** arguments, byte** environment)
    {
        using var name = new CText(path, stackalloc byte[CText.BufferSize]);
        return LibC.execve(name.Pointer, arguments, environment);
    }
}
