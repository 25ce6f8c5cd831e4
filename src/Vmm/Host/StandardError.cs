using System.Text;
using Tmds.Linux;

namespace WebVm.Vmm.Host;

/// <summary>
/// Says something on standard error by one call (write(2)). The console's own stream is made when it is first used, by calls that a thread
/// with a list of its own may not make: whatever is said by vCPUs, timers or devices goes this way.
/// </summary>
internal static unsafe class StandardError
{
    private const int Descriptor = 2;

    /// <summary>A reader that is gone or does not keep up misses it.</summary>
    public static void Write(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        fixed (byte* start = bytes)
        {
            _ = LibC.write(Descriptor, start, bytes.Length);
        }
    }
}
