using System.Net;
using System.Net.Sockets;

namespace WebVm.Kit.Service;

/// <summary>
/// Ports of 127.0.0.1 for servers under test. They lie below those that the kernel gives to whoever connects to something
/// (ip_local_port_range): one of those may be anybody's while a server is being restarted.
/// </summary>
internal static class TestPorts
{
    private const int First = 10_000;

    private const int AtLeast = 10_000;

    private static readonly int s_count = Math.Max(
        int.Parse(File.ReadAllText("/proc/sys/net/ipv4/ip_local_port_range").Split((char[]?)null)[0], null) - First, AtLeast);

    // Test programs that run at the same time begin at different places.
    private static int s_next = Random.Shared.Next(s_count);

    /// <summary>A port on which nobody listens, never the same twice.</summary>
    public static int Next()
    {
        while (true)
        {
            int port = First + ((int)((uint)Interlocked.Increment(ref s_next) % s_count));
            try
            {
                using var listener = new TcpListener(IPAddress.Loopback, port);
                listener.Start();
                return port;
            }
            catch (SocketException)
            {
                // Somebody's.
            }
        }
    }
}
