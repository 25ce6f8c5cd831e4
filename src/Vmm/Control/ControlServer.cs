using System.Net.Sockets;
using WebVm.Vmm.Machine.Lifecycle;

namespace WebVm.Vmm.Control;

/// <summary>Serves one machine on a Unix socket, to several clients at once (docs/control-protocol.md).</summary>
public sealed class ControlServer : IDisposable
{
    private const int ReadingMilliseconds = 1000;
    private const int AnsweringMilliseconds = 5000;

    private readonly Lock _lock = new();
    private readonly HashSet<ControlSession> _sessions = [];
    private readonly VirtualMachine _machine;
    private readonly Socket _listener;
    private readonly string _path;
    private readonly ControlMethods _methods;
    private readonly ControlHello _hello;
    private bool _disposed;

    /// <param name="path">Where the socket is made; one that nobody serves any more is replaced. Only the user may connect.</param>
    /// <exception cref="IOException">Somebody serves there already, or the path is no place for a socket.</exception>
    public ControlServer(VirtualMachine machine, string path)
    {
        _machine = machine;
        _path = Path.GetFullPath(path);
        _listener = Listen(_path);
        _methods = new ControlMethods(machine);
        _hello = new ControlHello
        {
            Protocol = ControlProtocol.Name,
            Version = ControlProtocol.Version,
            Machine = machine.Spec.Name,
            ProcessId = Environment.ProcessId,
        };
        machine.Event += Forward;
        if (_methods.SerialLog is { } serial)
        {
            serial.Grew += SerialGrew;
        }

        if (machine.DisplayPublisher is { } display)
        {
            display.ModeChanged += ForwardMode;
        }

        new Thread(AcceptLoop) { Name = "control accept", IsBackground = true }.Start();
    }

    /// <summary>
    /// Lets clients read what was sent to them, closes all connections and removes the socket. Afterwards no client's request touches the
    /// machine, unless one took longer than is waited for.
    /// </summary>
    public void Dispose()
    {
        ControlSession[] sessions;
        lock (_lock)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            sessions = [.. _sessions];
        }

        _machine.Event -= Forward;
        if (_methods.SerialLog is { } serial)
        {
            serial.Grew -= SerialGrew;
        }

        if (_machine.DisplayPublisher is { } display)
        {
            display.ModeChanged -= ForwardMode;
        }

        _listener.Dispose();
        File.Delete(_path);
        long deadline = Environment.TickCount64 + ReadingMilliseconds;
        foreach (var session in sessions)
        {
            session.Finish(deadline);
        }

        deadline = Environment.TickCount64 + AnsweringMilliseconds;
        foreach (var session in sessions)
        {
            session.Join(deadline);
        }
    }

    private static Socket Listen(string path)
    {
        UnixDomainSocketEndPoint address;
        try
        {
            address = new UnixDomainSocketEndPoint(path);
        }
        catch (ArgumentException tooLong)
        {
            throw new IOException($"'{path}' is too long for a Unix socket.", tooLong);
        }

        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            RemoveAbandoned(path, address);
            listener.Bind(address);
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            listener.Listen(16);
            return listener;
        }
        catch (SocketException failure)
        {
            listener.Dispose();
            throw new IOException($"Cannot serve on '{path}': {failure.Message}", failure);
        }
        catch
        {
            listener.Dispose();
            throw;
        }
    }

    /// <summary>A socket file outlives a process that was killed; it may go when nobody answers on it.</summary>
    private static void RemoveAbandoned(string path, UnixDomainSocketEndPoint address)
    {
        if (!File.Exists(path))
        {
            return;
        }

        if (new FileInfo(path).Length > 0)
        {
            throw new IOException($"'{path}' is a file, not a socket.");
        }

        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(address);
        }
        catch (SocketException)
        {
            File.Delete(path);
            return;
        }

        throw new IOException($"A machine is served on '{path}' already.");
    }

    private void AcceptLoop()
    {
        while (true)
        {
            Socket client;
            try
            {
                client = _listener.Accept();
            }
            catch (Exception ended) when (ended is SocketException or ObjectDisposedException)
            {
                lock (_lock)
                {
                    if (_disposed)
                    {
                        return;
                    }
                }

                // Out of descriptors or a client that went at once; the next may fare better.
                Thread.Sleep(10);
                continue;
            }

            lock (_lock)
            {
                if (_disposed || _sessions.Count >= ControlProtocol.MaximumClients)
                {
                    client.Dispose();
                    continue;
                }

                var session = new ControlSession(client, _hello, _methods, Forget);
                _sessions.Add(session);
                session.Start();
            }
        }
    }

    private void Forget(ControlSession session)
    {
        lock (_lock)
        {
            _sessions.Remove(session);
        }
    }

    private void Forward(MachineEvent happened)
    {
        var message = happened.Exit is { } exit ? ControlEvents.Exit(exit) : ControlEvents.From(happened);
        if (message is not null)
        {
            ForEach(session => session.Notify(message));
        }
    }

    private void ForwardMode()
    {
        var message = ControlMethods.ModeEvent(_methods.Geometry());
        ForEach(session => session.Notify(message));
    }

    private void SerialGrew() => ForEach(session => session.SerialGrew());

    private void ForEach(Action<ControlSession> action)
    {
        lock (_lock)
        {
            foreach (var session in _sessions)
            {
                action(session);
            }
        }
    }
}
