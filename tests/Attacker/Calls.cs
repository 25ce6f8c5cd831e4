using System.Runtime.InteropServices;
using System.Text;
using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Attacker;

/// <summary>How a try ended, when the process still lives to tell.</summary>
internal readonly record struct Outcome(bool Reached, int Error)
{
    public static Outcome Success { get; } = new(true, 0);

    public static Outcome Refused(int error) => new(false, error);
}

/// <summary>System calls as an attacker makes them: by number, whatever a library would say.</summary>
internal static unsafe class Calls
{
    public static Outcome Of(int number, nint a0 = 0, nint a1 = 0, nint a2 = 0, nint a3 = 0, nint a4 = 0, nint a5 = 0) =>
        Value(number, a0, a1, a2, a3, a4, a5) is var (_, outcome) ? outcome : default;

    public static (nint Value, Outcome Outcome) Value(
        int number, nint a0 = 0, nint a1 = 0, nint a2 = 0, nint a3 = 0, nint a4 = 0, nint a5 = 0)
    {
        nint result = RawCalls.Call(number, a0, a1, a2, a3, a4, a5);
        return result == -1 ? (result, Outcome.Refused(RawCalls.Error)) : (result, Outcome.Success);
    }

    /// <summary>In native memory, for the rest of a short life.</summary>
    public static nint Text(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text + '\0');
        nint copy = Marshal.AllocHGlobal(bytes.Length);
        Marshal.Copy(bytes, 0, copy, bytes.Length);
        return copy;
    }

    public static (nint Value, Outcome Outcome) Open(string path, int flags) =>
        Value(SystemCall.SYS_openat, LibC.AT_FDCWD, Text(path), flags, 0b110_110_110);

    /// <summary>Connects, and says so only if the other end is there.</summary>
    public static Outcome Connect(int family, int type, ReadOnlySpan<byte> address)
    {
        var (socket, outcome) = Value(SystemCall.SYS_socket, family, type, 0);
        if (!outcome.Reached)
        {
            return outcome;
        }

        fixed (byte* start = address)
        {
            return Of(SystemCall.SYS_connect, socket, (nint)start, address.Length);
        }
    }
}
