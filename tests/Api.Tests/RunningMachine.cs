using System.Diagnostics;
using System.Net;
using Xunit;

namespace WebVm.Api.Tests;

/// <summary>A machine of the smallest guest that runs, and what is seen of it.</summary>
internal static class RunningMachine
{
    /// <summary>Makes a machine of the smallest guest, and has it run.</summary>
    public static async Task<(Guid Id, string Power)> RunAsync(ServiceProcess service, string restart = "onFailure")
    {
        var vm = await service.Client.CreateVmAsync(
            IdleGuest.Settings(await IdleGuest.UploadAsync(service.Client), Rest.NewName("run"), restart));
        string power = $"/api/v1/vms/{vm["id"]}/power";
        var (_, operation, _) = await service.Client.SendAsync(HttpMethod.Put, power + "?wait=60", new { action = "on" });
        Assert.Equal("succeeded", (string)operation!["state"]!);
        return ((Guid)vm["id"]!, power);
    }

    /// <summary>What a machine's power is seen to be; null when it cannot be asked.</summary>
    public static async Task<string?> StateAsync(ServiceProcess service, string power)
    {
        var (status, body, _) = await service.Client.SendAsync(HttpMethod.Get, power);
        return status == HttpStatusCode.OK ? (string?)body!["state"] : null;
    }

    /// <summary>Waits for something that comes by itself.</summary>
    public static async Task EventuallyAsync(ServiceProcess service, Func<Task<bool>> reached)
    {
        long start = Stopwatch.GetTimestamp();
        while (!await reached())
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Rest.Patience, service.Output);
            await Task.Delay(50, Rest.Cancellation);
        }
    }
}
