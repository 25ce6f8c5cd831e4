using System.Diagnostics;
using Xunit;

namespace WebVm.Api.Tests.Runs;

/// <summary>What the operator learns of a monitor that a fault of its own ended.</summary>
public sealed class MonitorFaultTests
{
    [Fact]
    public async Task The_services_log_has_signal_thread_and_stack_of_a_monitor_that_was_aborted()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        var (_, power) = await RunningMachine.RunAsync(service, restart: "never");
        Assert.SkipUnless(
            File.Exists(Environment.GetEnvironmentVariable("WEBVM_MONITOR") + ".dbg"),
            "An ordinary build of the monitor leaves that to its runtime.");
        int monitor = ServiceProcess.MonitorOf(Assert.Single(Directory.GetDirectories(Path.Combine(service.Data, "run"))));
        using (var kill = Process.Start("kill", ["-ABRT", $"{monitor}"]))
        {
            await kill.WaitForExitAsync(Rest.Cancellation);
        }

        await RunningMachine.EventuallyAsync(service, async () => await RunningMachine.StateAsync(service, power) == "crashed");
        Assert.Equal(
            "The monitor was killed by signal 6.", (string)(await service.Client.SendAsync(HttpMethod.Get, power)).Body!["reason"]!);
        string told = service.Output[service.Output.IndexOf("its run has failed", StringComparison.Ordinal)..];
        Assert.Matches("""SIGABRT \(code 0\) in thread [0-9]+ "webvm-vmm"\n""", told);
        Assert.Matches(@"  0x[0-9a-f]+ \S*WebVm_Vmm_Commands\S*\+0x[0-9a-f]+", told);
    }
}
