using System.Net;
using Xunit;

namespace WebVm.Api.Tests.Hosts;

public sealed class HostTests
{
    [Fact]
    public async Task VMs_are_counted_by_what_they_really_do()
    {
        await using var service = await ServiceProcess.StartAsync();
        await RunningMachine.RunAsync(service);
        var (_, power) = await RunningMachine.RunAsync(service);
        await service.Client.CreateVmAsync(
            new { name = Rest.NewName("off"), boot = new { kernel = await IdleGuest.UploadAsync(service.Client) } });
        Assert.Equal(
            "succeeded", (string)(await service.Client.SendAsync(
                HttpMethod.Put, power + "?wait=60", new { action = "pause" })).Body!["state"]!);
        foreach (string path in new[] { "/api/v1/hosts/local", $"/api/v1/hosts/{Environment.MachineName}" })
        {
            var (status, host, _) = await service.Client.SendAsync(HttpMethod.Get, path);
            Assert.Equal(HttpStatusCode.OK, status);
            var load = host!["load"]!;
            Assert.Equal((3, 1), ((int)load["vms"]!, (int)load["runningVms"]!));
            Assert.Equal(
                """{"off":1,"paused":1,"running":1}""", $"{{{string.Join(',', load["vmStates"]!.AsObject().OrderBy(state => state.Key, StringComparer.Ordinal).Select(state => $"\"{state.Key}\":{state.Value}"))}}}");
        }
    }
}
