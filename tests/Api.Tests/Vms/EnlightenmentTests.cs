using System.Diagnostics;
using System.Net;
using System.Text.Json.Nodes;
using Xunit;

namespace WebVm.Api.Tests.Vms;

public sealed class EnlightenmentTests(SharedService shared)
{
    [Fact]
    public async Task Linux_takes_the_clock_steal_time_and_ends_of_interrupts_on_every_vCPU()
    {
        var vm = await shared.Client.CreateVmAsync(
            new { name = Rest.NewName("enlightened"), cpus = 2, memory = 256L << 20, engine = "soft", boot = new { image = "tiny" } });
        string path = $"/api/v1/vms/{vm["id"]}";
        Assert.Equal(HttpStatusCode.Conflict, (await shared.Client.SendAsync(HttpMethod.Get, path + "/enlightenments")).Status);
        var (_, started, _) = await shared.Client.SendAsync(HttpMethod.Put, path + "/power?wait=90", new { action = "on" });
        Assert.True((string)started!["state"]! == "succeeded", started.ToJsonString());

        JsonNode? answer = null;
        for (long start = Stopwatch.GetTimestamp(); !IsTaken(answer, "pv-eoi", 2) && Stopwatch.GetElapsedTime(start) < Rest.Patience;)
        {
            await Task.Delay(200, Rest.Cancellation);
            (var status, answer, _) = await shared.Client.SendAsync(HttpMethod.Get, path + "/enlightenments");
            Assert.True(status == HttpStatusCode.OK, answer?.ToJsonString());
        }

        foreach (string name in (string[])["kvm-clock", "steal-time", "pv-eoi"])
        {
            Assert.True(IsTaken(answer, name, 2), $"{name}: {answer!.ToJsonString()}");
        }

        Assert.True((bool)Item(answer, "pv-unhalt")["offered"]!);
        Assert.Null(Item(answer, "pv-unhalt")["vcpus"]);
        await shared.Client.SendAsync(HttpMethod.Put, path + "/power?wait=90", new { action = "off" });
        Assert.Equal(
            HttpStatusCode.NotFound, (await shared.Client.SendAsync(
                HttpMethod.Get, $"/api/v1/vms/{Guid.NewGuid()}/enlightenments")).Status);
    }

    private static bool IsTaken(JsonNode? answer, string name, int vcpus) =>
        answer is not null && (bool)Item(answer, name)["offered"]! && Item(answer, name)["vcpus"]!.AsArray().Count == vcpus;

    private static JsonNode Item(JsonNode? answer, string name) =>
        answer!["items"]!.AsArray().Single(item => (string)item!["name"]! == name)!;
}
