using System.Runtime.InteropServices;
using Tmds.Linux;

namespace WebVm.Vmm.Host.Native;

/// <summary>cfmakeraw(3).</summary>
internal static unsafe partial class TerminalCalls
{
    [LibraryImport("libc", EntryPoint = "cfmakeraw")]
    public static partial void MakeRaw(termios* attributes);
}
