namespace WebVm.Vmm.Machine.Consoles;

/// <summary>
/// Copies a serial port's output to a stream on the host. The guest waits rather than that output is lost, until the stream fails.
/// </summary>
public sealed class SerialPump : IDisposable
{
    private static readonly TimeSpan s_drainLimit = TimeSpan.FromSeconds(2);

    private readonly SerialConsole _console;
    private readonly Stream _output;
    private readonly Thread _thread;
    private volatile bool _end;

    /// <param name="from">Offset in the log to begin at.</param>
    public SerialPump(SerialConsole console, Stream output, long from = 0)
    {
        _console = console;
        _output = output;
        console.HoldGuestFor(from);
        _thread = new Thread(() => Loop(from)) { Name = "serial output", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Writes what is left and ends. A stream that takes nothing more is given up after two seconds.</summary>
    public void Dispose()
    {
        _end = true;
        _console.Log.Wake();
        _thread.Join(s_drainLimit);
    }

    private void Loop(long offset)
    {
        var buffer = new byte[16 * 1024];
        try
        {
            while (true)
            {
                int count = _console.Log.Read(ref offset, buffer);
                if (count > 0)
                {
                    _output.Write(buffer, 0, count);
                    _output.Flush();
                    offset += count;
                    _console.HoldGuestFor(offset);
                }
                else if (_end)
                {
                    break;
                }
                else
                {
                    _console.Log.Wait(offset, () => _end);
                }
            }
        }
        catch (Exception gone) when (gone is IOException or ObjectDisposedException)
        {
            // Nobody reads any more (a closed pipe); the guest goes on without.
        }

        _console.HoldGuestFor(-1);
    }
}
