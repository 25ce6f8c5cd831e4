using WebVm.Vmm.Host;

namespace WebVm.Vmm.Machine.Consoles;

/// <summary>A serial port on a Unix socket: one client at a time reads the output from where it connects and types input.</summary>
public sealed class SocketSerial : IDisposable
{
    private readonly SerialConsole _console;
    private readonly string _path;
    private readonly FileDescriptor _listener;
    private FileDescriptor? _client;
    private volatile bool _end;

    /// <exception cref="IOException">The path is no place for a socket.</exception>
    public SocketSerial(SerialConsole console, string path)
    {
        _console = console;
        _path = path;
        _listener = HandedFiles.OfProcess.Listen(path);
        new Thread(AcceptLoop) { Name = "serial socket", IsBackground = true }.Start();
    }

    public void Dispose()
    {
        _end = true;
        UnixSocket.Shutdown(_listener);
        _listener.Dispose();
        if (_client is { } client)
        {
            UnixSocket.Shutdown(client);
        }

        if (!HandedFiles.OfProcess.Confined)
        {
            UnixSocket.Remove(_path);
        }
    }

    private void AcceptLoop()
    {
        var buffer = new byte[4096];
        while (!_end)
        {
            try
            {
                using var client = UnixSocket.Accept(_listener);
                _client = client;
                using var stream = new DescriptorStream(client);
                using var pump = new SerialPump(_console, stream, _console.Log.End);
                while (stream.Read(buffer) is > 0 and var count)
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
            catch (Exception gone) when (gone is LinuxException or ObjectDisposedException or IOException)
            {
                // The client went; the next may come.
            }
        }
    }
}
