using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>
/// A terminal in raw mode: every key goes to the guest and nothing is echoed (termios(3), cfmakeraw). The mode found is put back
/// by <see cref="Dispose"/>, or when the process exits by any way that runs handlers.
/// </summary>
public sealed unsafe class RawTerminal : IDisposable
{
    private readonly int _descriptor;
    private termios _found;
    private int _restored;

    private RawTerminal(int descriptor, termios found)
    {
        _descriptor = descriptor;
        _found = found;
        AppDomain.CurrentDomain.ProcessExit += OnProcessExit;
    }

    /// <summary>Switches to raw mode; null when the descriptor is not a terminal.</summary>
    public static RawTerminal? TryEnter(int descriptor)
    {
        termios found;
        if (LibC.isatty(descriptor) == 0 || LibC.tcgetattr(descriptor, &found) != 0)
        {
            return null;
        }

        var terminal = new RawTerminal(descriptor, found);
        var raw = found;
        TerminalCalls.MakeRaw(&raw);
        if (LibC.tcsetattr(descriptor, (int)LibC.TCSANOW, &raw) != 0)
        {
            var failure = LinuxException.Last("tcsetattr");
            terminal.Dispose();
            throw failure;
        }

        return terminal;
    }

    public static bool IsTerminal(int descriptor) => LibC.isatty(descriptor) != 0;

    /// <summary>Columns and rows; null when the descriptor is not a terminal.</summary>
    public static (int Columns, int Rows)? SizeOf(int descriptor)
    {
        winsize size;
        return LibC.ioctl(descriptor, LibC.TIOCGWINSZ, &size) == 0 ? (size.ws_col, size.ws_row) : null;
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _restored, 1) == 0)
        {
            AppDomain.CurrentDomain.ProcessExit -= OnProcessExit;
            fixed (termios* found = &_found)
            {
                _ = LibC.tcsetattr(_descriptor, (int)LibC.TCSANOW, found);
            }
        }
    }

    private void OnProcessExit(object? sender, EventArgs e) => Dispose();
}
