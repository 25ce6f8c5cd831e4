using System.Diagnostics;
using WebVm.Vmm.Control;
using WebVm.Vmm.Machine.Lifecycle;

namespace WebVm.Api.Runs;

/// <summary>The ways to end a run's monitor. Afterwards nothing of the run is alive.</summary>
internal static class MonitorEnd
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan KillPatience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan PressAgain = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(25);

    /// <summary>Pulls the plug.</summary>
    /// <param name="client">Null when there is no connection: then nobody is asked.</param>
    /// <exception cref="TimeoutException">The process is not to be killed: the kernel holds it.</exception>
    public static async Task StopAsync(RunDirectory run, ControlClient? client, CancellationToken cancellation)
    {
        if (client is null)
        {
            await AwaitBeginAsync(run, cancellation);
            run.KillMonitor();
        }
        else
        {
            try
            {
                await client.StopAsync().WaitAsync(Patience, cancellation);
                await client.Closed.WaitAsync(Patience, cancellation);
            }
            catch (Exception failure) when (failure is IOException or TimeoutException or ControlException)
            {
                run.KillMonitor();
            }
        }

        await AwaitEndAsync(run, cancellation);
    }

    /// <summary>
    /// Presses the power button (a paused machine is resumed for it), and pulls the plug of a guest that is still up at the deadline.
    /// </summary>
    /// <param name="client">Null when there is no connection: then nobody can be asked.</param>
    /// <param name="hurry">Ends the guest's time at once.</param>
    /// <returns>Whether the guest went by itself.</returns>
    public static async Task<bool> ShutDownAsync(RunDirectory run, ControlClient? client, TimeSpan deadline, CancellationToken hurry)
    {
        if (client is null)
        {
            await StopAsync(run, null, CancellationToken.None);
            return false;
        }

        try
        {
            if ((await client.StatusAsync().WaitAsync(Patience, hurry)).State == MachineState.Paused)
            {
                await client.ResumeAsync().WaitAsync(Patience, hurry);
            }

            long start = Stopwatch.GetTimestamp();
            // A guest that has only begun to boot does not hear the first press.
            while (!client.Closed.IsCompleted && Stopwatch.GetElapsedTime(start) is var passed && passed < deadline)
            {
                await client.PressPowerButtonAsync().WaitAsync(Patience, hurry);
                var left = deadline - passed;
                await Task.WhenAny(client.Closed, Task.Delay(left < PressAgain ? left : PressAgain, hurry));
                hurry.ThrowIfCancellationRequested();
            }

            bool went = client.Closed.IsCompleted;
            await (went ? AwaitEndAsync(run, CancellationToken.None) : StopAsync(run, client, CancellationToken.None));
            return went;
        }
        catch (Exception failure) when (failure is IOException or TimeoutException or ControlException or OperationCanceledException)
        {
            await StopAsync(run, client, CancellationToken.None);
            return false;
        }
    }

    private static async Task AwaitEndAsync(RunDirectory run, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        while (run.IsAlive())
        {
            var passed = Stopwatch.GetElapsedTime(start);
            if (passed > KillPatience)
            {
                throw new TimeoutException("The monitor's process does not end although it was killed.");
            }

            if (passed > Patience)
            {
                // A keeper too that does not leave behind its monitor.
                run.KillAll();
            }

            await Task.Delay(Poll, cancellation);
        }
    }

    // What was launched a moment ago is not there to be killed yet.
    private static async Task AwaitBeginAsync(RunDirectory run, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        while (File.Exists(run.Spec) && !run.Launched && run.ReadExitCode() is null && Stopwatch.GetElapsedTime(start) < Patience)
        {
            await Task.Delay(Poll, cancellation);
        }
    }
}
