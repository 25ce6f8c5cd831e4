using WebVm.Vmm.Host;
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
    private readonly FileDescriptor _listener;

    /// <summary>The socket's name, where this process gave it.</summary>
    private readonly string? _path;
    private readonly ControlMethods _methods;
    private readonly ControlHello _hello;
    private bool _disposed;

    /// <param name="path">Where the socket is made; one that nobody serves any more is replaced. Only the user may connect.</param>
    /// <exception cref="IOException">Somebody serves there already, or the path is no place for a socket.</exception>
    public ControlServer(VirtualMachine machine, string path)
        : this(machine, Listen(Path.GetFullPath(path))) => _path = HandedFiles.OfProcess.Confined ? null : Path.GetFullPath(path);

    /// <param name="listener">Listens already; it belongs to the server from now on. Its name is left to who gave it.</param>
    public ControlServer(VirtualMachine machine, FileDescriptor listener)
    {
        _machine = machine;
        _listener = listener;
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

        UnixSocket.Shutdown(_listener);
        _listener.Dispose();
        if (_path is not null)
        {
            UnixSocket.Remove(_path);
        }

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

    /// <summary>A socket's name outlives a process that was killed; it may go when nobody answers on it.</summary>
    private static FileDescriptor Listen(string path)
    {
        if (!HandedFiles.OfProcess.Confined && UnixSocket.IsThere(path))
        {
            if (UnixSocket.IsServed(path))
            {
                throw new IOException($"A machine is served on '{path}' already.");
            }

            UnixSocket.Remove(path);
        }

        return HandedFiles.OfProcess.Listen(path);
    }

    private void AcceptLoop()
    {
        while (true)
        {
            FileDescriptor client;
            try
            {
                client = UnixSocket.Accept(_listener);
            }
            catch (Exception ended) when (ended is LinuxException or ObjectDisposedException)
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
        if (happened.Exit is { Kind: ExitKind.Crash or ExitKind.HostFailure })
        {
            SendLastScreen();
        }

        var message = happened.Exit is { } exit ? ControlEvents.Exit(exit) : ControlEvents.From(happened);
        if (message is not null)
        {
            ForEach(session => session.Notify(message));
        }
    }

    /// <summary>What the guest showed last often says why. It is gone with the machine, so nobody could ask for it any more.</summary>
    private void SendLastScreen()
    {
        try
        {
            if (_methods.TakeLastScreen() is { } screen)
            {
                using var file = screen.Descriptors[0];
                ForEach(session => session.Notify(
                    new ControlMessage { Event = ControlEvents.LastScreen, Data = screen.Value }, file.Duplicate()));
            }
        }
        catch (Exception failure) when (failure is LinuxException or IOException)
        {
            // A host that has no memory left for the picture: how the machine ended is told all the same.
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
