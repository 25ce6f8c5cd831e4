using System.Net;
using System.Text.Json.Nodes;
using Microsoft.EntityFrameworkCore;
using Xunit;

namespace WebVm.Api.Tests.Conventions;

/// <summary>What clients that keep resources as they want them to be rely on.</summary>
public sealed class RoundTripTests(SharedService shared)
{
    private HttpClient Client => shared.Client;

    [Theory]
    [InlineData("PATCH")]
    [InlineData("PUT")]
    public async Task A_VM_that_is_sent_back_as_it_was_read_is_not_changed(string method)
    {
        var vm = await Client.CreateVmAsync(new
        {
            name = Rest.NewName("Back"), description = "  Two\nlines ",
            labels = new Dictionary<string, string> { ["z"] = "1", ["a"] = "", ["B"] = "x=y" }, cpus = 3, memory = 256L << 20,
            numa = new object[] { new { cpus = new[] { 2, 0 }, memory = 128L << 20 },
                new { cpus = new[] { 1 }, memory = 128L << 20, distances = new[] { 20, 10 } } },
            boot = new { commandLine = "b a" },
        });
        string path = $"/api/v1/vms/{vm["id"]}";
        var (_, read, before) = await Client.SendAsync(HttpMethod.Get, path);
        Assert.Equal(vm.ToJsonString(), read!.ToJsonString());
        long events = await EventsAsync((Guid)vm["id"]!);
        var (status, answer, after) = await Client.SendAsync(HttpMethod.Parse(method), path, read, ("If-Match", before.ETag!.Tag));
        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal(read.ToJsonString(), answer!.ToJsonString());
        Assert.Equal(before.ETag, after.ETag);
        Assert.Equal(events, await EventsAsync((Guid)vm["id"]!));
    }

    [Fact]
    public async Task Every_other_resource_that_is_sent_back_as_it_was_read_is_not_changed()
    {
        var vm = await Client.CreateVmAsync(new { name = Rest.NewName("back") });
        var snapshot =
            (await Client.SendAsync(HttpMethod.Post, $"/api/v1/vms/{vm["id"]}/snapshots?wait=60", new { name = "Before" })).Body!;
        var image =
            (await Client.SendAsync(
                HttpMethod.Post, "/api/v1/images", new { name = Rest.NewName(
                    "Back"), kind = "iso", bytes = 10, sha256 = new string('A', 64) })).Body!;
        var user =
            (await Client.SendAsync(
                HttpMethod.Post, "/api/v1/users", new { name = Rest.NewName(
                    "Back"), role = "viewer", password = "correct horse battery" })).Body!;
        Assert.Equal(new string('A', 64), (string)image["sha256"]!);
        foreach (string path in new[] { (string)snapshot["target"]!, $"/api/v1/images/{image["id"]}", $"/api/v1/users/{user["id"]}" })
        {
            var (_, read, before) = await Client.SendAsync(HttpMethod.Get, path);
            var (status, answer, after) = await Client.SendAsync(HttpMethod.Patch, path, read!);
            Assert.True(status == HttpStatusCode.OK, $"{path} answered {(int)status}.");
            Assert.Equal(read!.ToJsonString(), answer!.ToJsonString());
            Assert.Equal(before.ETag, after.ETag);
        }
    }

    [Fact]
    public async Task Every_location_and_target_answers_with_what_was_made()
    {
        var vm = await Client.CreateVmAsync(IdleGuest.Settings(await IdleGuest.UploadAsync(Client), Rest.NewName("made")));
        string path = $"/api/v1/vms/{vm["id"]}";
        foreach (var (where, body) in ((string, object)[])[
            ("/api/v1/vms", new { name = Rest.NewName("made") }),
            ("/api/v1/users", new { name = Rest.NewName("made"), role = "viewer", password = "correct horse battery" }),
            ("/api/v1/tokens", new { name = Rest.NewName("made") }),
            ("/api/v1/images", new { name = Rest.NewName("made"), kind = "iso", bytes = 5 }),
            (path + "/clone", new { name = Rest.NewName("made") }), (path + "/snapshots?wait=60", new { name = "made" })])
        {
            var (status, made, headers) = await Client.SendAsync(HttpMethod.Post, where, body);
            Assert.True(status is HttpStatusCode.Created or HttpStatusCode.Accepted, $"{where} answered {(int)status}.");
            var (found, read, _) = await Client.SendAsync(HttpMethod.Get, headers.Location!.ToString());
            Assert.True(found == HttpStatusCode.OK, $"{headers.Location} answered {(int)found}.");
            Assert.Equal((string)made!["id"]!, (string)read!["id"]!);
            Assert.True(made["createdAt"] is null || (string)made["createdAt"]! == (string)read["createdAt"]!, where);
            if (made["target"] is { } target)
            {
                Assert.Equal(HttpStatusCode.OK, (await Client.SendAsync(HttpMethod.Get, (string)target!)).Status);
            }
        }

        var power = (await Client.SendAsync(HttpMethod.Put, path + "/power?wait=60", new { action = "off" })).Body!;
        Assert.Equal(HttpStatusCode.OK, (await Client.SendAsync(HttpMethod.Get, (string)power["target"]!)).Status);
    }

    [Fact]
    public async Task A_name_that_is_taken_is_told_with_who_has_it()
    {
        string name = Rest.NewName("taken");
        var vm = await Client.CreateVmAsync(new { name });
        string path = $"/api/v1/vms/{vm["id"]}";
        foreach (var (where, body) in ((string, object)[])[
            ("/api/v1/vms", new { name }), ("/api/v1/images", new { name, kind = "iso", bytes = 5 }),
            ("/api/v1/users", new { name, role = "viewer", password = "correct horse battery" }),
            (path + "/snapshots?wait=60", new { name })])
        {
            await Client.SendAsync(HttpMethod.Post, where, body);
            var (status, problem, _) = await Client.SendAsync(HttpMethod.Post, where, body);
            Assert.Equal((HttpStatusCode.Conflict, "urn:webvm:problem:name-taken"), (status, (string)problem!["type"]!));
            var (_, other, _) = await Client.SendAsync(HttpMethod.Get, (string)problem["existing"]!["href"]!);
            Assert.Equal(((string)problem["existing"]!["id"]!, name), ((string)other!["id"]!, (string)other["name"]!));
        }

        var renamed = await Client.CreateVmAsync(new { name = Rest.NewName("other") });
        Assert.Equal(
            (string)vm["id"]!, (string)(await Client.SendAsync(
                HttpMethod.Patch, $"/api/v1/vms/{renamed["id"]}", new { name })).Body!["existing"]!["id"]!);
    }

    [Fact]
    public async Task Snapshots_and_images_are_renamed()
    {
        var vm = await Client.CreateVmAsync(new { name = Rest.NewName("renames") });
        string path =
            (string)(await Client.SendAsync(
                HttpMethod.Post, $"/api/v1/vms/{vm["id"]}/snapshots?wait=60", new { name = "first" })).Body!["target"]!;
        await Client.SendAsync(HttpMethod.Post, $"/api/v1/vms/{vm["id"]}/snapshots?wait=60", new { name = "second" });
        var (status, snapshot, _) = await Client.SendAsync(
            HttpMethod.Patch, path, new { name = "before-the-upgrade", description = "why" });
        Assert.Equal(
            (HttpStatusCode.OK, "before-the-upgrade", "why"), (status, (string)snapshot!["name"]!, (string)snapshot["description"]!));
        Assert.Equal(HttpStatusCode.Conflict, (await Client.SendAsync(HttpMethod.Patch, path, new { name = "second" })).Status);
        Assert.Equal(["/name"], Rest.Pointers((await Client.SendAsync(HttpMethod.Patch, path, new { name = "no name" })).Body));

        string kernel = await IdleGuest.UploadAsync(Client);
        string image =
            $"/api/v1/images/{(await Client.SendAsync(HttpMethod.Get, $"/api/v1/images?name={kernel}")).Body!["items"]!.AsArray().Single()!["id"]}";
        string other = Rest.NewName("kernel");
        Assert.Equal(other, (string)(await Client.SendAsync(HttpMethod.Patch, image, new { name = other })).Body!["name"]!);
        await Client.CreateVmAsync(IdleGuest.Settings(other, Rest.NewName("user")));
        Assert.Equal(
            HttpStatusCode.Conflict, (await Client.SendAsync(HttpMethod.Patch, image, new { name = Rest.NewName("kernel") })).Status);
        Assert.Equal("said", (string)(await Client.SendAsync(HttpMethod.Patch, image, new { description = "said" })).Body!["description"]!);
    }

    [Fact]
    public async Task Restoring_a_snapshot_says_which_settings_come_back()
    {
        var vm = await Client.CreateVmAsync(new { name = Rest.NewName("restored"), cpus = 2 });
        string path = $"/api/v1/vms/{vm["id"]}";
        string snapshot =
            (string)(await Client.SendAsync(HttpMethod.Post, path + "/snapshots?wait=60", new { name = "two" })).Body!["target"]!;
        await Client.SendAsync(HttpMethod.Patch, path, new { cpus = 4, deleteProtection = true, description = "new" });
        var (_, shown, _) = await Client.SendAsync(HttpMethod.Get, snapshot);
        Assert.Equal(["/cpus", "/deleteProtection"], shown!["restores"]!.AsArray().Select(setting => (string)setting!));
        Assert.Equal(2, (int)shown["configuration"]!["cpus"]!);
        var (_, operation, _) = await Client.SendAsync(HttpMethod.Post, snapshot + "/restore?wait=60");
        Assert.Equal(["/cpus", "/deleteProtection"], operation!["result"]!["restored"]!.AsArray().Select(setting => (string)setting!));
        var (_, now, _) = await Client.SendAsync(HttpMethod.Get, path);
        Assert.Equal((2, "new"), ((int)now!["cpus"]!, (string)now["description"]!));
    }

    [Theory]
    [InlineData("2.0", 2)]
    [InlineData("2e0", 2)]
    [InlineData("0.2E+1", 2)]
    [InlineData("20e-1", 2)]
    public async Task Whole_numbers_are_taken_however_they_are_written(string written, int cpus) =>
        Assert.Equal(
            cpus, (int)(await Client.CreateVmAsync(
                $$"""{"name":"{{Rest.NewName("whole")}}","cpus":{{written}},"memory":1.34217728e8}"""))["cpus"]!);

    [Theory]
    [InlineData("1.5")]
    [InlineData("1e-1")]
    [InlineData("1e99")]
    [InlineData("1e999999999")]
    [InlineData("99999999999999999999999999999999")]
    [InlineData("\"2\"")]
    public async Task What_is_no_whole_number_is_not(string written)
    {
        var (status, problem, _) = await Client.SendAsync(HttpMethod.Post, "/api/v1/vms", $$"""{"name":"whole","cpus":{{written}}}""");
        Assert.Equal((HttpStatusCode.UnprocessableEntity, "/cpus"), (status, Rest.Pointers(problem).Single()));
        Assert.Contains("whole number", (string)problem!["detail"]!, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Every_kind_of_fault_is_named_in_one_answer()
    {
        var (_, problem, _) = await Client.SendAsync(
            HttpMethod.Post, "/api/v1/vms", """{"cpus":0,"colour":1,"engine":"qemu","display":{"width":5,"depth":24},"labels":{"a":1},"numa":[{"cpus":["x"]}],"boot":null}""");
        Assert.Equal(
            ["/boot", "/colour", "/cpus", "/display/depth", "/display/width", "/engine", "/labels/a", "/name", "/numa/0/cpus/0"],
            Rest.Pointers(problem).Order(StringComparer.Ordinal));
        Assert.Contains(problem!["errors"]!.AsArray(), fault => (string)fault!["message"]! == "must be one of auto, kvm, soft");
        Assert.All(problem["errors"]!.AsArray(), fault => Assert.False(char.IsWhiteSpace(((string)fault!["message"]!)[0])));
    }

    [Fact]
    public async Task What_is_going_is_deleted_by_one_operation_however_often_one_asks()
    {
        var vm = await Client.CreateVmAsync(IdleGuest.Settings(await IdleGuest.UploadAsync(Client), Rest.NewName("going")));
        string path = $"/api/v1/vms/{vm["id"]}";
        await Client.SendAsync(HttpMethod.Put, path + "/power?wait=60", new { action = "on" });
        string tag = (await Client.SendAsync(HttpMethod.Get, path)).Headers.ETag!.Tag;
        var first = await Client.SendAsync(HttpMethod.Delete, path + "?force=true", null, ("If-Match", tag));
        Assert.Equal(HttpStatusCode.Accepted, first.Status);
        // Neither the old tag nor the force that is missing now make it another request.
        var second = await Client.SendAsync(HttpMethod.Delete, path, null, ("If-Match", tag));
        Assert.True(
            second.Status == HttpStatusCode.NotFound || (string)second.Body!["id"]! == (string)first.Body!["id"]!, $"{second.Status}");
        await Client.EndAsync(first.Body!);
    }

    private async Task<long> EventsAsync(Guid vm)
    {
        await using var database = Databases.Of(shared.Service).CreateDbContext();
        return await database.Events.LongCountAsync(record => record.VmId == vm, Rest.Cancellation);
    }
}
