using System.Globalization;
using Tmds.Linux;
using WebVm.Vmm.Host.Native;
using static WebVm.Vmm.Host.Native.SystemCall;

namespace WebVm.Attacker;

/// <summary>Ends as a monitor might, for its keeper to write down.</summary>
internal static unsafe class Endings
{
    private const int SIGSEGV = 11;

    /// <summary>More than any bound; where there is none the try ends here.</summary>
    private const int MostThreads = 1000;
    private const int MostTimers = 2000;

    public static int End(string how, string[] arguments)
    {
        switch (how)
        {
            case var _ when Faults.All.TryGetValue(how, out var fault):
                Faults.Report(arguments);
                fault();
                return Environment.ExitCode;
            case "abort":
                Environment.FailFast("a defect");
                return 0;
            case "fault":
                Signal(SIGSEGV);
                return 0;
            case "terminated":
                Signal(LibC.SIGTERM);
                return 0;
            case "flood":
                for (int line = 0; line < 100_000; line++)
                {
                    Say(string.Create(CultureInfo.InvariantCulture, $"line {line}\n"));
                }

                Say("the end\n");
                return 0;
            case "threads":
                Say(string.Create(CultureInfo.InvariantCulture, $"{Threads()}\n"));
                return 0;
            case "timers":
                Say(string.Create(CultureInfo.InvariantCulture, $"{Timers()}\n"));
                return 0;
            case "never":
                Thread.Sleep(Timeout.Infinite);
                return 0;
            default:
                return int.Parse(how.AsSpan("code ".Length), CultureInfo.InvariantCulture);
        }
    }

    private static void Signal(int number)
    {
        ProcessCalls.SetSignalHandler(number, 0); // SIG_DFL
        nint process = Calls.Value(SYS_getpid).Value;
        Calls.Of(SYS_tgkill, process, Calls.Value(SYS_gettid).Value, number);
        Thread.Sleep(Timeout.Infinite);
    }

    private static int Timers()
    {
        nint timer;
        for (int count = 0; count < MostTimers; count++)
        {
            if (!Calls.Of(SYS_timer_create, EventCalls.CLOCK_MONOTONIC, 0, (nint)(&timer)).Reached)
            {
                return count;
            }
        }

        return MostTimers;
    }

    private static int Threads()
    {
        for (int count = 0; count < MostThreads; count++)
        {
            try
            {
                new Thread(() => Thread.Sleep(Timeout.Infinite), maxStackSize: 64 * 1024) { IsBackground = true }.Start();
            }
            catch (OutOfMemoryException)
            {
                return count;
            }
        }

        return MostThreads;
    }

    private static void Say(string text)
    {
        ReadOnlySpan<byte> bytes = System.Text.Encoding.ASCII.GetBytes(text);
        fixed (byte* start = bytes)
        {
            _ = LibC.write(1, start, bytes.Length);
        }
    }
}
