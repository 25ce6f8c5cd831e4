using System.Runtime.InteropServices;
using System.Text;
using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>
/// Stream sockets with a name in the file system (unix(7)), as bare descriptors: no thread and no epoll stands behind them.
/// </summary>
public static unsafe class UnixSocket
{
    /// <summary>Bytes of a path at most, its NUL included (sockaddr_un).</summary>
    private const int PathSize = 108;

    private const int Backlog = 16;

    /// <summary>Listens under a name that nobody uses yet. Only this user may connect.</summary>
    /// <exception cref="IOException">The path is no place for a socket, or something is there.</exception>
    public static FileDescriptor Listen(string path)
    {
        var address = Address(path);
        var listener = Create(0);
        try
        {
            // Nobody can connect before listen(2), so the mode holds from the first client on.
            Require(LibC.bind(listener.Number, (sockaddr*)&address, sizeof(sockaddr_un)), "bind");
            Require(FileCalls.ChangeMode(path, 0b110_000_000), "chmod");
            Require(LibC.listen(listener.Number, Backlog), "listen");
            return listener;
        }
        catch (LinuxException failure)
        {
            listener.Dispose();
            throw new IOException($"Cannot serve on '{path}': {failure.Message}", failure);
        }
    }

    /// <summary>Connects to whoever listens under a name; null while more clients knock than the listener's queue holds.</summary>
    /// <exception cref="IOException">Nobody listens there.</exception>
    public static FileDescriptor? TryConnect(string path)
    {
        var address = Address(path);
        var socket = Create(LibC.SOCK_NONBLOCK);
        if (LibC.connect(socket.Number, (sockaddr*)&address, sizeof(sockaddr_un)) == 0)
        {
            return socket;
        }

        var failure = LinuxException.Last("connect");
        socket.Dispose();
        // A Unix socket is connected at once or not at all: EAGAIN is the full queue (connect(2)).
        return failure.Errno is ErrorNumber.EAGAIN or ErrorNumber.EINTR
            ? null
            : throw new IOException($"Cannot connect to '{path}': {failure.Message}", failure);
    }

    /// <summary>Whether a socket has this name.</summary>
    /// <exception cref="IOException">Something else has it.</exception>
    public static bool IsThere(string path)
    {
        if (!Path.Exists(path))
        {
            return false;
        }

        stat status;
        return FileCalls.StatusOf(path, &status) == 0 && (status.st_mode & LibC.S_IFMT) == LibC.S_IFSOCK
            ? true
            : throw new IOException($"'{path}' is a file, not a socket.");
    }

    /// <summary>Whether somebody listens under this name.</summary>
    /// <exception cref="IOException">It cannot be told.</exception>
    public static bool IsServed(string path)
    {
        try
        {
            TryConnect(path)?.Dispose();
            return true;
        }
        catch (IOException failure) when (failure.InnerException is LinuxException { Errno: ErrorNumber.ECONNREFUSED
            or ErrorNumber.ENOENT })
        {
            return false;
        }
    }

    /// <summary>Removes the name of a socket; it need not be there.</summary>
    public static void Remove(string path) => _ = FileCalls.Unlink(path);

    /// <summary>Waits for a client.</summary>
    /// <exception cref="LinuxException">It went at once, or the host has no descriptor to spare: the next may fare better.</exception>
    /// <exception cref="ObjectDisposedException">The listener was closed by <see cref="Shutdown"/>, or disposed of.</exception>
    public static FileDescriptor Accept(SafeHandle listener)
    {
        using var held = new HandleLease(listener);
        int descriptor;
        LinuxException failure;
        do
        {
            // A listener that was handed may be one that does not wait by itself.
            var poll = new pollfd { fd = held.Number, events = LibC.POLLIN };
            _ = LibC.poll(&poll, 1, -1);
            descriptor = LibC.accept4(held.Number, null, null, LibC.SOCK_CLOEXEC);
            if (descriptor >= 0)
            {
                return new FileDescriptor(descriptor);
            }

            failure = LinuxException.Last("accept4");
        }
        while (failure.Errno is ErrorNumber.EAGAIN or ErrorNumber.EINTR);

        // What accept(2) says on a socket that has been shut down.
        ObjectDisposedException.ThrowIf(failure.Errno == ErrorNumber.EINVAL, typeof(UnixSocket));
        throw failure;
    }

    /// <summary>Wakes whoever waits on the socket, and lets no more through; its descriptor stays to be closed.</summary>
    public static void Shutdown(SafeHandle socket)
    {
        try
        {
            using var held = new HandleLease(socket);
            _ = LibC.shutdown(held.Number, LibC.SHUT_RDWR);
        }
        catch (ObjectDisposedException)
        {
            // Closed already.
        }
    }

    /// <summary>Whether a descriptor is a socket that listens.</summary>
    public static bool IsListening(SafeHandle socket)
    {
        using var held = new HandleLease(socket);
        int listens = 0;
        socklen_t length = sizeof(int);
        return LibC.getsockopt(held.Number, LibC.SOL_SOCKET, LibC.SO_ACCEPTCONN, &listens, &length) == 0 && listens != 0;
    }

    private static FileDescriptor Create(int flags)
    {
        int descriptor = LibC.socket(LibC.AF_UNIX, LibC.SOCK_STREAM | LibC.SOCK_CLOEXEC | flags, 0);
        return descriptor < 0 ? throw LinuxException.Last("socket") : new FileDescriptor(descriptor);
    }

    private static sockaddr_un Address(string path)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(path);
        // An empty or NUL-led path would be a name outside of the file system, which anybody may connect to.
        if (bytes.Length is 0 or >= PathSize || bytes.Contains((byte)0))
        {
            throw new IOException($"'{path}' is no name for a Unix socket, or too long for one.");
        }

        var address = new sockaddr_un { sun_family = LibC.AF_UNIX };
        bytes.CopyTo(new Span<byte>(address.sun_path, PathSize));
        return address;
    }

    private static void Require(int result, string call)
    {
        if (result != 0)
        {
            throw LinuxException.Last(call);
        }
    }
}
