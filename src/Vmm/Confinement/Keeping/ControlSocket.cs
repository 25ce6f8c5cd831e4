using System.Text;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Confinement.Keeping;

/// <summary>Makes the socket on which a monitor listens: it has no names to make one under.</summary>
internal static unsafe class ControlSocket
{
    private const int Backlog = 16;

    /// <summary>Bytes of a path in a Unix socket's address, with its NUL (unix(7)).</summary>
    private const int PathSize = 108;

    /// <exception cref="LinuxException">There is something of that name, or no place for it.</exception>
    public static FileDescriptor Listen(string path)
    {
        byte[] name = Encoding.UTF8.GetBytes(path);
        if (name.Length >= PathSize)
        {
            throw new ConfinementException($"'{path}' is too long for a Unix socket");
        }

        int number = SocketCalls.Create(SocketCalls.AF_UNIX, SocketCalls.SOCK_STREAM | SocketCalls.SOCK_CLOEXEC, 0);
        if (number < 0)
        {
            throw LinuxException.Last("socket");
        }

        var socket = new FileDescriptor(number);
        byte* address = stackalloc byte[sizeof(ushort) + PathSize]; // struct sockaddr_un
        *(ushort*)address = SocketCalls.AF_UNIX;
        name.CopyTo(new Span<byte>(address + sizeof(ushort), PathSize));
        if (SocketCalls.Bind(number, address, (uint)(sizeof(ushort) + name.Length + 1)) != 0 || SocketCalls.Listen(number, Backlog) != 0)
        {
            var failure = LinuxException.Last("bind");
            socket.Dispose();
            throw failure;
        }

        return socket;
    }
}
