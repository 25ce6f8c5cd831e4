using Microsoft.Win32.SafeHandles;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.Machine.Consoles;

/// <summary>
/// A serial port on the process's standard input and output. A terminal is in raw mode meanwhile, and put back whatever happens.
/// </summary>
public sealed class StandardStreams : IDisposable
{
    private readonly SerialConsole _console;
    private readonly Action _quit;
    private readonly RawTerminal? _terminal;
    private readonly SerialPump _pump;
    private readonly AutoResetEvent _space = new(initialState: false);
    private volatile bool _end;

    /// <param name="quit">Called when the user wants to end the machine.</param>
    public StandardStreams(SerialConsole console, Action quit)
    {
        _console = console;
        _quit = quit;
        AppDomain.CurrentDomain.UnhandledException += RestoreTerminal;
        _terminal = RawTerminal.TryEnter(0);
        _pump = new SerialPump(console, Console.OpenStandardOutput());
        console.InputSpace += OnInputSpace;
        new Thread(ReadLoop) { Name = "serial input", IsBackground = true }.Start();
    }

    public void Dispose()
    {
        _end = true;
        _pump.Dispose();
        _console.InputSpace -= OnInputSpace;
        _terminal?.Dispose();
        AppDomain.CurrentDomain.UnhandledException -= RestoreTerminal;
    }

    private void RestoreTerminal(object sender, UnhandledExceptionEventArgs e) => _terminal?.Dispose();

    private void OnInputSpace() => _space.Set();

    private void ReadLoop()
    {
        var keys = new EscapeKeys();
        var buffer = new byte[4096];
        using var input = TryOpenInput();
        while (!_end && input is not null)
        {
            int count;
            try
            {
                count = input.Read(buffer, 0, buffer.Length);
            }
            catch (IOException)
            {
                return;
            }

            if (count <= 0)
            {
                return;
            }

            var typed = buffer.AsSpan(0, count);
            // What comes from a pipe or a file is for the guest as it is.
            if (_terminal is not null)
            {
                typed = typed[..keys.Filter(typed, Execute)];
            }

            while (typed.Length > 0 && !_end)
            {
                int taken = _console.Write(typed);
                typed = typed[taken..];
                if (typed.Length > 0)
                {
                    _space.WaitOne(TimeSpan.FromMilliseconds(200));
                }
            }
        }
    }

    /// <summary>
    /// Standard input as it is: Console's own stream edits lines of a terminal, and echoes them, until Enter is pressed. Null when there is
    /// none.
    /// </summary>
    private static FileStream? TryOpenInput()
    {
        try
        {
            return new FileStream(new SafeFileHandle(0, ownsHandle: false), FileAccess.Read, bufferSize: 0);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return null;
        }
    }

    private void Execute(EscapeCommand command)
    {
        if (command == EscapeCommand.Quit)
        {
            _quit();
        }
        else
        {
            Console.Error.Write("\r\n" + EscapeKeys.Help);
        }
    }
}
