using System.Diagnostics;
using System.Text;

namespace WebVm.Benchmarks.Console;

/// <summary>A root shell on a guest's serial port.</summary>
/// <param name="output">What the guest prints.</param>
/// <param name="write">Types into the port.</param>
internal sealed class GuestShell(Stream output, Func<string, Task> write)
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private readonly StringBuilder _said = new();
    private readonly byte[] _buffer = new byte[16 * 1024];
    private int _commands;

    public Task ReadyAsync() => UntilAsync("ready on /dev/ttyS0");

    /// <summary>Runs a command to its end. Returns the seconds that it took.</summary>
    public async Task<double> RunAsync(string command)
    {
        int number = ++_commands;
        long start = Stopwatch.GetTimestamp();
        // The echo of what is typed does not hold the words that the command prints.
        await write($"{command}; echo \"command $(({number})) has ended\"\n");
        await UntilAsync($"command {number} has ended");
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private async Task UntilAsync(string text)
    {
        using var patience = new CancellationTokenSource(Patience);
        int at;
        while ((at = _said.ToString().IndexOf(text, StringComparison.Ordinal)) < 0)
        {
            try
            {
                int count = await output.ReadAsync(_buffer, patience.Token);
                _said.Append(
                    count > 0
                        ? Encoding.Latin1.GetString(_buffer, 0, count)
                        : throw new EndOfStreamException($"The guest has ended. It said:\n{_said}"));
            }
            catch (OperationCanceledException)
            {
                throw new TimeoutException($"The guest did not print \"{text}\". It said:\n{_said}");
            }
        }

        _said.Remove(0, at + text.Length);
    }
}
