using Microsoft.Extensions.Options;
using WebVm.Api.Settings;
using WebVm.Api.Runs;
using WebVm.Vmm.Host;
using Xunit;

namespace WebVm.Api.Tests.Runs;

/// <summary>A machine that may take more memory than the host has is not started without a word.</summary>
public sealed class MemoryBudgetTests
{
    private const long Gibibyte = 1L << 30;

    // More than the hosts of tests have; guests take their memory page by page, so that starting with it costs nothing.
    private const long Enormous = 200 * Gibibyte;

    [Fact]
    public void Running_machines_count_as_far_as_they_have_not_taken_theirs_yet()
    {
        var budget = Budget(MemoryOvercommit.Warn, 10 * Gibibyte);
        Assert.Null(budget.Promise(Guid.NewGuid(), 6 * Gibibyte));
        Assert.Equal(4 * Gibibyte, budget.Left);
        var second = Guid.NewGuid();
        Assert.Contains("5,120 MiB, but the host has only 4,096 MiB left", budget.Promise(second, 5 * Gibibyte), StringComparison.Ordinal);

        // It was started all the same. This process stands for its monitor: what it has taken is not available any more, and not counted
        // twice.
        Assert.Equal(-1 * Gibibyte, budget.Left);
        budget.Hold(second, 5 * Gibibyte, Environment.ProcessId);
        Assert.InRange(budget.Left, (-1 * Gibibyte) + (10 << 20), 4 * Gibibyte);
        budget.Release(second);
        Assert.Equal(4 * Gibibyte, budget.Left);
    }

    [Fact]
    public void Of_several_that_do_not_fit_together_the_first_starts_where_the_others_are_refused()
    {
        var budget = Budget(MemoryOvercommit.Refuse, 10 * Gibibyte);
        var answers = Enumerable.Range(0, 8).AsParallel().Select(_ => budget.Promise(Guid.NewGuid(), 8 * Gibibyte)).ToList();
        Assert.Single(answers, answer => answer is null);
        Assert.Equal(2 * Gibibyte, budget.Left);
    }

    [Fact]
    public void Whoever_wants_to_know_nothing_is_told_nothing() =>
        Assert.Null(Budget(MemoryOvercommit.Allow, Gibibyte).Promise(Guid.NewGuid(), Enormous));

    [Fact]
    public async Task A_machine_beyond_the_hosts_memory_starts_and_says_so()
    {
        await using var service = await ServiceProcess.StartAsync();
        string path = await CreateAsync(service);
        Assert.Equal("succeeded", await PowerAsync(service, path, "on"));
        var power = (await service.Client.SendAsync(HttpMethod.Get, path + "/power")).Body!;
        Assert.Equal("running", (string)power["state"]!);
        Assert.StartsWith("The machine may take 204,800 MiB, but the host has only ", (string)power["reason"]!, StringComparison.Ordinal);
        Assert.Contains("(WEBVM_MEMORY_OVERCOMMIT): The machine may take 204,800 MiB", service.Output, StringComparison.Ordinal);
        var load = (await service.Client.SendAsync(HttpMethod.Get, "/api/v1/hosts/local")).Body!["load"]!;
        Assert.Equal(("warn", 0), ((string)load["memoryOvercommit"]!, (long)load["memoryLeft"]!));

        // Afterwards the host has its memory again.
        Assert.Equal("succeeded", await PowerAsync(service, path, "off"));
        Assert.True((long)(await service.Client.SendAsync(HttpMethod.Get, "/api/v1/hosts/local")).Body!["load"]!["memoryLeft"]! > 0);
    }

    [Fact]
    public async Task Where_that_is_refused_it_does_not_start_and_the_reason_is_its_own()
    {
        await using var service = await ServiceProcess.StartAsync(settings: new() { ["WEBVM_MEMORY_OVERCOMMIT"] = "refuse" });
        string path = await CreateAsync(service);
        Assert.Equal("failed", await PowerAsync(service, path, "on"));
        var power = (await service.Client.SendAsync(HttpMethod.Get, path + "/power")).Body!;
        Assert.Equal("failed", (string)power["state"]!);
        Assert.StartsWith("The machine may take 204,800 MiB, but the host has only ", (string)power["reason"]!, StringComparison.Ordinal);
    }

    private static MemoryBudget Budget(MemoryOvercommit policy, long available) =>
        new(Options.Create(new ServiceOptions { MemoryOvercommit = policy })) { Host = () => new HostMemory(16 * Gibibyte, available) };

    private static async Task<string> CreateAsync(ServiceProcess service)
    {
        Assert.SkipWhen(HostMemory.Read().Available > Enormous, "This host has memory for the largest machine.");
        var vm = await service.Client.CreateVmAsync(
            new { name = Rest.NewName(
                "large"), memory = Enormous, boot = new { kernel = await IdleGuest.UploadAsync(service.Client) }, engine = "soft",
                display = new { enabled = false } });
        return $"/api/v1/vms/{vm["id"]}";
    }

    private static async Task<string> PowerAsync(ServiceProcess service, string path, string action)
    {
        var (_, operation, _) = await service.Client.SendAsync(HttpMethod.Put, path + "/power", new { action });
        return (string)(await service.Client.EndAsync(operation!))["state"]!;
    }
}
