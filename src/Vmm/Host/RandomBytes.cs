using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host;

/// <summary>The kernel's random numbers (getrandom(2)), without a library of cryptography or a device file.</summary>
internal static unsafe partial class RandomBytes
{
    // The call gives requests of up to this many bytes whole, whatever signals come.
    private const int MostAtOnce = 256;

    /// <exception cref="LinuxException">The kernel has none yet.</exception>
    public static void Fill(Span<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            var part = bytes[..Math.Min(bytes.Length, MostAtOnce)];
            fixed (byte* at = part)
            {
                if (GetRandom(at, (nuint)part.Length, 0) != part.Length)
                {
                    throw LinuxException.Last("getrandom");
                }
            }

            bytes = bytes[part.Length..];
        }
    }

    [LibraryImport("libc", EntryPoint = "getrandom", SetLastError = true)]
    private static partial nint GetRandom(byte* buffer, nuint length, uint flags);
}
