using System.Text.Json.Nodes;
using WebVm.Api.Runs;
using Xunit;

namespace WebVm.Api.Tests.Runs;

/// <summary>Monitors in control groups of their own, in a hierarchy of version 2 that this account may divide.</summary>
public sealed class ControlGroupTests
{
    [Fact]
    public async Task A_machine_runs_in_a_group_of_its_own_which_goes_with_it()
    {
        string? hierarchy = File.ReadAllLines("/proc/self/mounts").Select(line => line.Split(' '))
            .FirstOrDefault(mount => mount[2] == "cgroup2")?[1];
        Assert.SkipUnless(
            hierarchy is not null && Environment.IsPrivilegedProcess,
            "Root divides the host's control groups, where they are of version 2.");
        string own = Directory.CreateDirectory(Path.Combine(hierarchy, $"webvm-test-{Environment.ProcessId}")).FullName;
        try
        {
            await using var service = await ServiceProcess.StartAsync(settings: new(Guests.Settings()) { ["WEBVM_CONTROL_GROUP"] = own });
            var vm = await service.Client.CreateVmAsync(new { name = Rest.NewName() });
            string path = $"/api/v1/vms/{vm["id"]}";
            await service.Client.SendAsync(HttpMethod.Put, path + "/power?wait=60", new { action = "on" });
            var running = (await service.Client.SendAsync(HttpMethod.Get, path)).Body!;
            Assert.Contains("cgroup", running["isolation"]!["walls"]!.AsArray().Select(wall => (string)wall!));
            string group = Assert.Single(Directory.GetDirectories(own));
            // The monitor, and where there is one the first process of its namespace; the keeper stays outside.
            string[] members = await File.ReadAllLinesAsync(Path.Combine(group, "cgroup.procs"), Rest.Cancellation);
            string record = await File.ReadAllTextAsync(
                Path.Combine(Assert.Single(Directory.GetDirectories(Path.Combine(service.Data, "run"))), "process"), Rest.Cancellation);
            Assert.DoesNotContain(
                record.Split('\n').Single(line => line.StartsWith("keeper ", StringComparison.Ordinal)).Split(' ')[1], members);
            Assert.Contains(members, member => File.ReadAllText($"/proc/{member}/cmdline").Split('\0').Contains("serve"));
            Assert.Contains("cgroup", HostWalls((await service.Client.SendAsync(HttpMethod.Get, "/api/v1/hosts/local")).Body!));

            await service.Client.SendAsync(HttpMethod.Put, path + "/power?wait=60", new { action = "off" });
            await RunningMachine.EventuallyAsync(service, () => Task.FromResult(Directory.GetDirectories(own).Length == 0));
        }
        finally
        {
            Array.ForEach([.. Directory.GetDirectories(own), own], Directory.Delete);
        }
    }

    [Fact]
    public void A_group_is_divided_only_where_this_account_may_move_processes_in_it()
    {
        string hierarchy = Directory.CreateTempSubdirectory("webvm-groups-").FullName;
        string group = Directory.CreateDirectory(Path.Combine(hierarchy, "system.slice", "webvm.service")).FullName;
        const string Groups = "4:memory:/other\n0::/system.slice/webvm.service\n";
        Assert.Null(ControlGroups.Delegated(Groups, hierarchy));
        File.WriteAllText(Path.Combine(group, "cgroup.procs"), "");
        Assert.Equal(group, ControlGroups.Delegated(Groups, hierarchy));
        Assert.Null(ControlGroups.Delegated("4:memory:/system.slice/webvm.service\n", hierarchy));
        Directory.Delete(hierarchy, recursive: true);
    }

    private static IEnumerable<string> HostWalls(JsonNode host) => host["isolation"]!["walls"]!.AsArray().Select(wall => (string)wall!);
}
