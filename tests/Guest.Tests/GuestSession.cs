using System.Globalization;
using System.Text;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Machine.Assembly;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.State;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>A running guest with somebody at its serial console. Every wait has a limit, and a failure shows what the guest said.</summary>
internal sealed class GuestSession : IAsyncDisposable
{
    private const int ShownOnFailure = 6000;

    private readonly StringBuilder _said = new();
    private readonly List<MachineEvent> _events = [];
    private readonly TimeSpan _limit;
    private long _offset;
    private int _from;
    private int _commands;

    private GuestSession(VirtualMachine machine, TimeSpan limit)
    {
        Machine = machine;
        _limit = limit;
        machine.Event += happened =>
        {
            lock (_events)
            {
                _events.Add(happened);
            }
        };
    }

    public VirtualMachine Machine { get; }

    public IReadOnlyList<MachineEvent> Events
    {
        get
        {
            lock (_events)
            {
                return [.. _events];
            }
        }
    }

    /// <summary>Everything the guest wrote.</summary>
    public string Log
    {
        get
        {
            Listen();
            return _said.ToString();
        }
    }

    /// <param name="seconds">Limit of each wait: generous, as the machine that runs the tests may be busy.</param>
    public static async Task<GuestSession> Start(MachineSpec spec, int seconds = 300, DeviceCatalogue? catalogue = null)
    {
        var session = new GuestSession(MachineAssembly.Assemble(spec, catalogue), TimeSpan.FromSeconds(seconds));
        try
        {
            await session.Machine.Start().WaitAsync(session._limit);
            return session;
        }
        catch
        {
            await session.DisposeAsync();
            throw;
        }
    }

    public static async Task<GuestSession> Restore(
        string directory, EngineChoice engine, int seconds = 300, ClockPolicy? clock = null, DeviceCatalogue? catalogue = null) =>
        await Resume(await StateRestorer.Restore(directory, engine, clock, catalogue), seconds);

    public static async Task<GuestSession> Restore(
        IStateSource source, EngineChoice engine, int seconds = 300, ClockPolicy? clock = null) =>
        await Resume(await StateRestorer.Restore(source, engine, clock), seconds);

    private static async Task<GuestSession> Resume(VirtualMachine machine, int seconds)
    {
        var session = new GuestSession(machine, TimeSpan.FromSeconds(seconds));
        await session.Machine.Resume().WaitAsync(session._limit);
        return session;
    }

    /// <summary>Waits until the guest has written this, after what was waited for before.</summary>
    public void WaitFor(string text)
    {
        long deadline = Environment.TickCount64 + (long)_limit.TotalMilliseconds;
        while (true)
        {
            Listen();
            int at = _said.ToString().IndexOf(text, _from, StringComparison.Ordinal);
            if (at >= 0)
            {
                _from = at + text.Length;
                return;
            }

            if (Machine.Exit is { } exit)
            {
                Listen();
                if (_said.ToString().IndexOf(text, _from, StringComparison.Ordinal) < 0)
                {
                    Fail($"The machine ended ({exit.Message}) and had not written '{text}'.");
                }
            }
            else if (Environment.TickCount64 > deadline)
            {
                Fail($"'{text}' was not written within {_limit.TotalSeconds} s; the machine is {Machine.State}.");
            }
            else
            {
                Machine.Serial.Log.Wait(_offset, TimeSpan.FromMilliseconds(100));
            }
        }
    }

    public void WaitForShell()
    {
        WaitFor("WebVm tiny ready on /dev/ttyS0");
        WaitFor("tiny:/root#");
    }

    /// <summary>Waits until the guest hears its power button: its daemon may begin after the shell.</summary>
    public void WaitForPowerButton() => Run("until ls -l /proc/$(pidof acpid)/fd 2>/dev/null | grep -q /dev/input/; do sleep 0.1; done");

    /// <summary>Types without waiting for anything.</summary>
    public void Type(string text)
    {
        ReadOnlySpan<byte> rest = Encoding.UTF8.GetBytes(text);
        long deadline = Environment.TickCount64 + (long)_limit.TotalMilliseconds;
        while (rest.Length > 0)
        {
            rest = rest[Machine.Serial.Write(rest)..];
            if (rest.Length > 0)
            {
                Assert.True(Environment.TickCount64 < deadline, "The guest does not take input.");
                Thread.Sleep(10);
            }
        }
    }

    /// <summary>Runs a command in the guest's shell and returns what it wrote.</summary>
    public string Run(string command)
    {
        // The marks are put together by the shell, so that the echo of what is typed is not taken for them.
        string mark = string.Create(CultureInfo.InvariantCulture, $"{++_commands:d4}");
        Type($"echo BEGIN''{mark}; {command}; echo END''{mark}:$?\n");
        WaitFor($"BEGIN{mark}");
        int start = _from;
        WaitFor($"END{mark}:");
        string output = _said.ToString(start, _from - $"END{mark}:".Length - start);
        return output.Replace("\r", "", StringComparison.Ordinal).Trim('\n');
    }

    /// <summary>Waits for the machine's end.</summary>
    public async Task<MachineExit> WaitForExit()
    {
        try
        {
            return await Machine.Completion.WaitAsync(_limit);
        }
        catch (TimeoutException)
        {
            Fail($"The machine did not end within {_limit.TotalSeconds} s.");
            throw;
        }
    }

    public ValueTask DisposeAsync()
    {
        Machine.Dispose();
        return ValueTask.CompletedTask;
    }

    private void Fail(string message)
    {
        string said = Log;
        string events = string.Join(Environment.NewLine, Events.Select(happened => $"  {happened.Kind}: {happened.Text}"));
        Assert.Fail($"{message}{Environment.NewLine}Events:{Environment.NewLine}{events}{Environment.NewLine}"
            + $"The guest's last words:{Environment.NewLine}{said[Math.Max(0, said.Length - ShownOnFailure)..]}");
    }

    private void Listen()
    {
        var buffer = new byte[64 * 1024];
        while (Machine.Serial.Log.Read(ref _offset, buffer) is > 0 and var count)
        {
            _said.Append(Encoding.UTF8.GetString(buffer, 0, count));
            _offset += count;
        }
    }
}
