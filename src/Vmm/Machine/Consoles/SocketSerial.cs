using System.Net.Sockets;

namespace WebVm.Vmm.Machine.Consoles;

/// <summary>A serial port on a Unix socket: one client at a time reads the output from where it connects and types input.</summary>
public sealed class SocketSerial : IDisposable
{
    private readonly SerialConsole _console;
    private readonly string _path;
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private Socket? _client;
    private volatile bool _end;

    /// <exception cref="IOException">The path is no place for a socket.</exception>
    public SocketSerial(SerialConsole console, string path)
    {
        _console = console;
        _path = path;
        try
        {
            _listener.Bind(new UnixDomainSocketEndPoint(path));
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            _listener.Listen(1);
        }
        catch (Exception failure) when (failure is SocketException or ArgumentException)
        {
            _listener.Dispose();
            throw new IOException($"Cannot listen on '{path}': {failure.Message}", failure);
        }

        new Thread(AcceptLoop) { Name = "serial socket", IsBackground = true }.Start();
    }

    public void Dispose()
    {
        _end = true;
        _listener.Dispose();
        _client?.Dispose();
        File.Delete(_path);
    }

    private void AcceptLoop()
    {
        var buffer = new byte[4096];
        while (!_end)
        {
            try
            {
                using var client = _listener.Accept();
                _client = client;
                using var stream = new NetworkStream(client);
                using var pump = new SerialPump(_console, stream, _console.Log.End);
                while (client.Receive(buffer) is > 0 and var count)
                {
                    for (int sent = 0; sent < count && !_end;)
                    {
                        int taken = _console.Write(buffer.AsSpan(sent, count - sent));
                        sent += taken;
                        if (taken == 0)
                        {
                            // The guest does not read; the client is held back by not being read either.
                            Thread.Sleep(20);
                        }
                    }
                }
            }
            catch (Exception gone) when (gone is SocketException or ObjectDisposedException or IOException)
            {
                // The client went; the next may come.
            }
        }
    }
}
