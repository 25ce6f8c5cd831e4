using System.Buffers.Binary;
using System.Text;
using Tmds.Linux;
using WebVm.Vmm.Host.Native;
using static WebVm.Vmm.Host.Native.SystemCall;

namespace WebVm.Attacker;

/// <summary>The host's network, and sockets of the host's processes.</summary>
internal static class NetworkTries
{
    private const int AF_INET = 2;
    private const int AF_INET6 = 10;
    private const int AF_NETLINK = 16;
    private const int AF_VSOCK = 40;
    private const int SOCK_DGRAM = 2;
    private const int SOCK_RAW = 3;

    public static readonly (string, Func<Surroundings, Outcome>)[] All =
    [
        ("connect to a port of the host's loopback", host => Calls.Connect(AF_INET, LibC.SOCK_STREAM, Loopback(host.Port))),
        ("send to a port of the host's loopback",
            host => Calls.Connect(AF_INET, SOCK_DGRAM, Loopback(host.Port)) is { Reached: false } refused ? refused : HasLoopback(host)),
        ("listen on a port", _ => Listening()),
        ("connect to a socket of the service", host => Calls.Connect(LibC.AF_UNIX, LibC.SOCK_STREAM, Named(host.Socket))),
        ("connect to an abstract socket", host => Calls.Connect(LibC.AF_UNIX, LibC.SOCK_STREAM, Named('\0' + host.AbstractSocket))),
        ("make a raw socket", _ => Calls.Of(SYS_socket, AF_INET, SOCK_RAW, 1)),
        ("ask the kernel about interfaces", _ => Calls.Of(SYS_socket, AF_NETLINK, SOCK_RAW, 0)),
        ("reach the host by vsock", _ => Calls.Of(SYS_socket, AF_VSOCK, LibC.SOCK_STREAM, 0)),
        ("make a pair of sockets", _ => Pair()),
    ];

    private static byte[] Loopback(ushort port)
    {
        byte[] address = new byte[16]; // struct sockaddr_in
        address[0] = AF_INET;
        BinaryPrimitives.WriteUInt16BigEndian(address.AsSpan(2), port);
        (address[4], address[7]) = (127, 1);
        return address;
    }

    private static byte[] Named(string path) =>
        [(byte)LibC.AF_UNIX, 0, .. Encoding.UTF8.GetBytes(path), .. path[0] == '\0' ? (byte[])[] : [0]];

    /// <summary>A datagram socket connects to anything where there is any route; whose loopback it is, only a connection tells.</summary>
    private static Outcome HasLoopback(Surroundings host) => Calls.Connect(AF_INET, LibC.SOCK_STREAM, Loopback(host.Port));

    private static unsafe Outcome Listening()
    {
        var (socket, outcome) = Calls.Value(SYS_socket, AF_INET6, LibC.SOCK_STREAM, 0);
        if (!outcome.Reached)
        {
            return outcome;
        }

        byte* any = stackalloc byte[28]; // struct sockaddr_in6
        new Span<byte>(any, 28).Clear();
        any[0] = AF_INET6;
        outcome = Calls.Of(SYS_bind, socket, (nint)any, 28);
        return outcome.Reached ? Calls.Of(SYS_listen, socket, 1) : outcome;
    }

    private static unsafe Outcome Pair()
    {
        int* ends = stackalloc int[2];
        return Calls.Of(SYS_socketpair, LibC.AF_UNIX, LibC.SOCK_STREAM, 0, (nint)ends);
    }
}
