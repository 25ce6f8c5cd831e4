using System.Net;
using System.Text.Json.Nodes;
using WebVm.Vmm.Devices.Display.Bochs;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Api.Tests.Vms;

public sealed class VmResourceTests(SharedService shared)
{
    [Fact]
    public async Task A_name_is_enough_to_create_a_VM()
    {
        string name = Rest.NewName();
        var (status, vm, headers) = await shared.Client.SendAsync(HttpMethod.Post, "/api/v1/vms", new { name });
        Assert.Equal(HttpStatusCode.Created, status);
        Assert.Equal($"/api/v1/vms/{vm!["id"]}", headers.Location!.ToString());
        Assert.StartsWith("\"1.", headers.ETag!.Tag, StringComparison.Ordinal);
        Assert.Equal("tiny", (string)vm["boot"]!["image"]!);
        Assert.Equal("off", (string)vm["power"]!["state"]!);
    }

    [Fact]
    public async Task Every_bad_field_is_named()
    {
        var (status, problem, _) = await shared.Client.SendAsync(HttpMethod.Post, "/api/v1/vms", new
        {
            name = "not a name",
            cpus = 0,
            memory = 5,
            boot = new { image = "missing" },
            display = new { width = 641, height = 1 },
        });
        Assert.Equal(HttpStatusCode.UnprocessableEntity, status);
        Assert.Equal(["/name", "/cpus", "/memory", "/display/width", "/display/height", "/boot/image"], Rest.Pointers(problem));
        Assert.NotNull(problem!["traceId"]);
    }

    [Theory]
    [InlineData("""{"name":"a","cpus":"two"}""", "/cpus")]
    [InlineData("""{"name":"a","colour":"red"}""", "/colour")]
    [InlineData("""{"name":"a","boot":{"disc":1}}""", "/boot/disc")]
    [InlineData("""{"name":"a","engine":"qemu"}""", "/engine")]
    [InlineData("""{"name":"a","cpu":{"features":{"la57":"yes"}}}""", "/cpu/features/la57")]
    [InlineData("""{"name":"a","cpu":{"features":{"la58":true}}}""", "/cpu/features/la58")]
    [InlineData("""{"name":"a","cpu":null}""", "/cpu")]
    [InlineData("""{"name":"a","numa":[null]}""", "/numa/0")]
    [InlineData("""{"name":"a","cpu":{"addedFeatures":["la57",null]}}""", "/cpu/addedFeatures/1")]
    public async Task A_field_of_the_wrong_form_is_named(string body, string pointer)
    {
        var (status, problem, _) = await shared.Client.SendAsync(HttpMethod.Post, "/api/v1/vms", body);
        Assert.Equal(HttpStatusCode.UnprocessableEntity, status);
        Assert.Equal([pointer], Rest.Pointers(problem));
    }

    [Fact]
    public async Task An_item_that_is_null_is_named_in_a_PATCH_too()
    {
        var vm = await shared.Client.CreateVmAsync(new { name = Rest.NewName() });
        var (status, problem, _) = await shared.Client.SendAsync(HttpMethod.Patch, $"/api/v1/vms/{vm["id"]}", """{"numa":[null]}""");
        Assert.Equal(HttpStatusCode.UnprocessableEntity, status);
        Assert.Equal(["/numa/0"], Rest.Pointers(problem));
    }

    /// <summary>What may be asked for is what a monitor takes: the largest of everything is accepted, and one more is not.</summary>
    [Fact]
    public async Task The_limits_are_the_monitors()
    {
        var (status, vm, _) = await shared.Client.SendAsync(HttpMethod.Post, "/api/v1/vms", Largest(0));
        Assert.Equal(HttpStatusCode.Created, status);
        await shared.Client.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{vm!["id"]}?wait=60");
        var (_, problem, _) = await shared.Client.SendAsync(HttpMethod.Post, "/api/v1/vms", Largest(1));
        Assert.Equal(["/cpus", "/memory", "/numa", "/display/width", "/display/height"], Rest.Pointers(problem));

        static object Largest(int more) => new
        {
            name = Rest.NewName(),
            cpus = MachineSpec.MaximumCpus + more,
            memory = MachineSpec.MaximumMemory + ((ulong)more << 20),
            numa = Enumerable.Range(0, MachineSpec.MaximumNumaNodes + more).Select(node => new
            {
                cpus = new[] { node },
                memory = node == 0
                    ? MachineSpec.MaximumMemory - ((ulong)(MachineSpec.MaximumNumaNodes - 1) * MachineSpec.MinimumNodeMemory)
                    : MachineSpec.MinimumNodeMemory,
            }),
            display = new { width = BochsDisplaySettings.MaximumWidth
                + (more * BochsDisplaySettings.WidthStep), height = BochsDisplaySettings.MaximumHeight + more },
        };
    }

    [Fact]
    public async Task NUMA_faults_are_found()
    {
        var (_, problem, _) = await shared.Client.SendAsync(HttpMethod.Post, "/api/v1/vms", new
        {
            name = Rest.NewName(),
            cpus = 3,
            memory = 512L << 20,
            numa = new object[] { new { cpus = new[] { 0, 1 }, memory = 256L << 20 },
                new { cpus = new[] { 1 }, memory = 128L << 20, distances = new[] { 20, 20 } } },
        });
        Assert.Equal(["/numa/1/cpus", "/numa/1/distances", "/numa", "/numa"], Rest.Pointers(problem));
    }

    [Fact]
    public async Task The_processor_is_chosen_and_what_cannot_be_is_named_by_its_field()
    {
        var vm = await shared.Client.CreateVmAsync(IdleGuest.Settings(await IdleGuest.UploadAsync(shared.Client), Rest.NewName("model")));
        string path = $"/api/v1/vms/{vm["id"]}";
        Assert.Equal("host", (string)vm["cpu"]!["model"]!);
        Assert.Equal("host", (string)vm["cpu"]!["vendor"]!);
        var (_, refused, _) = await shared.Client.SendAsync(
            HttpMethod.Patch, path, """{"cpu":{"model":"z80","addedFeatures":["avx9","popcnt"],"removedFeatures":["lm","popcnt"]}}""");
        Assert.Equal(["/cpu/model", "/cpu/addedFeatures/1", "/cpu/addedFeatures/0", "/cpu/removedFeatures/0"], Rest.Pointers(refused));

        var (_, patched, _) = await shared.Client.SendAsync(
            HttpMethod.Patch, path, """{"engine":"soft","cpu":{"model":"x86-64-v2","vendor":"amd","addedFeatures":["fsgsbase"],"removedFeatures":["popcnt"]}}""");
        Assert.Equal("x86-64-v2", (string)patched!["cpu"]!["model"]!);
        Assert.Equal(
            "succeeded", (string)(await shared.Client.SendAsync(
                HttpMethod.Put, path + "/power?wait=60", new { action = "on" })).Body!["state"]!);
        string spec = Directory.GetFiles(Path.Combine(shared.Service.Data, "run"), "machine.json", SearchOption.AllDirectories)
            .Select(File.ReadAllText).Single(text => (string)JsonNode.Parse(text)!["name"]! == (string)vm["name"]!);
        var cpu = JsonNode.Parse(spec)!["cpu"]!;
        Assert.Equal("""{"model":"x86-64-v2","vendor":"amd","features":{"fsgsbase":true,"popcnt":false}}""", cpu.ToJsonString());

        // What no engine of this host has is said at the start.
        await shared.Client.SendAsync(HttpMethod.Put, path + "/power?wait=60", new { action = "off" });
        await shared.Client.SendAsync(HttpMethod.Patch, path, """{"cpu":{"model":"x86-64-v4"}}""");
        var failed = (await shared.Client.SendAsync(HttpMethod.Put, path + "/power?wait=60", new { action = "on" })).Body!;
        Assert.Equal("failed", (string)failed["state"]!);
        Assert.Contains("avx512f", failed.ToJsonString(), StringComparison.Ordinal);
        await shared.Client.SendAsync(HttpMethod.Delete, path + "?force=true&wait=60");
    }

    [Fact]
    public async Task Five_level_paging_is_offered_from_the_next_start_on()
    {
        var vm = await shared.Client.CreateVmAsync(IdleGuest.Settings(await IdleGuest.UploadAsync(shared.Client), Rest.NewName("la57")));
        string path = $"/api/v1/vms/{vm["id"]}";
        Assert.False((bool)vm["cpu"]!["features"]!["la57"]!);
        Assert.Equal(
            "succeeded", (string)(await shared.Client.SendAsync(
                HttpMethod.Put, path + "/power?wait=60", new { action = "on" })).Body!["state"]!);
        Assert.False(await SpecHasLa57Async());

        var (_, patched, _) = await shared.Client.SendAsync(HttpMethod.Patch, path, """{"cpu":{"features":{"la57":true}}}""");
        Assert.True((bool)patched!["cpu"]!["features"]!["la57"]!);
        Assert.Equal(["/cpu"], patched["pendingChanges"]!.AsArray().Select(pointer => (string)pointer!));
        await shared.Client.SendAsync(HttpMethod.Put, path + "/power?wait=60", new { action = "off" });
        Assert.Equal(
            "succeeded", (string)(await shared.Client.SendAsync(
                HttpMethod.Put, path + "/power?wait=60", new { action = "on" })).Body!["state"]!);
        Assert.True(await SpecHasLa57Async());
        var (_, back, _) = await shared.Client.SendAsync(HttpMethod.Patch, path, """{"cpu":null}""");
        Assert.False((bool)back!["cpu"]!["features"]!["la57"]!);
        await shared.Client.SendAsync(HttpMethod.Delete, path + "?force=true&wait=60");

        // What the VM's monitor was started with.
        async Task<bool> SpecHasLa57Async()
        {
            foreach (string spec in Directory.GetFiles(
                Path.Combine(shared.Service.Data, "run"), "machine.json", SearchOption.AllDirectories))
            {
                var json = JsonNode.Parse(await File.ReadAllTextAsync(spec, Rest.Cancellation))!;
                if ((string)json["name"]! == (string)vm["name"]!)
                {
                    return (bool?)json["cpu"]?["features"]?["la57"] ?? false;
                }
            }

            throw new FileNotFoundException("The VM has no run.");
        }
    }

    [Fact]
    public async Task Two_VMs_cannot_have_one_name()
    {
        string name = Rest.NewName();
        await shared.Client.CreateVmAsync(new { name });
        var (status, problem, _) = await shared.Client.SendAsync(HttpMethod.Post, "/api/v1/vms", new { name });
        Assert.Equal(HttpStatusCode.Conflict, status);
        Assert.Equal(["/name"], Rest.Pointers(problem));
    }

    [Fact]
    public async Task A_PATCH_changes_what_it_names_and_nothing_else()
    {
        var vm = await shared.Client.CreateVmAsync(
            new { name = Rest.NewName(), description = "before", labels = new { tier = "web", zone = "a" } });
        var (status, patched, headers) = await shared.Client.SendAsync(
            HttpMethod.Patch, $"/api/v1/vms/{vm["id"]}", """{"cpus":2,"labels":{"zone":null}}""");
        Assert.Equal(HttpStatusCode.OK, status);
        Assert.StartsWith("\"2.", headers.ETag!.Tag, StringComparison.Ordinal);
        Assert.Equal(2, (int)patched!["cpus"]!);
        Assert.Equal("before", (string)patched["description"]!);
        Assert.Equal(["tier"], patched["labels"]!.AsObject().Select(label => label.Key));
    }

    [Fact]
    public async Task Of_two_clients_that_change_one_VM_the_second_is_told()
    {
        var vm = await shared.Client.CreateVmAsync(new { name = Rest.NewName() });
        string path = $"/api/v1/vms/{vm["id"]}";
        var (_, _, read) = await shared.Client.SendAsync(HttpMethod.Get, path);
        string etag = read.ETag!.Tag;
        var answers = await Task.WhenAll(Enumerable.Range(2, 8).Select(cpus =>
            shared.Client.SendAsync(HttpMethod.Patch, path, new { cpus }, ("If-Match", etag))));
        Assert.Equal(1, answers.Count(answer => answer.Status == HttpStatusCode.OK));
        Assert.All(
            answers.Where(answer => answer.Status != HttpStatusCode.OK),
            answer => Assert.Equal(HttpStatusCode.PreconditionFailed, answer.Status));
    }

    [Fact]
    public async Task A_list_is_paged_by_name_without_gap_or_repetition()
    {
        string prefix = Rest.NewName("page");
        for (int i = 0; i < 7; i++)
        {
            await shared.Client.CreateVmAsync(new { name = $"{prefix}-{i}", labels = new { group = prefix } });
        }

        var names = new List<string>();
        string? cursor = null;
        do
        {
            var (_, page, _) = await shared.Client.SendAsync(
                HttpMethod.Get, $"/api/v1/vms?limit=3&label=group={prefix}" + (cursor is null ? "" : $"&cursor={cursor}"));
            names.AddRange(page!["items"]!.AsArray().Select(vm => (string)vm!["name"]!));
            cursor = (string?)page["nextCursor"];
        }
        while (cursor is not null);
        Assert.Equal(Enumerable.Range(0, 7).Select(i => $"{prefix}-{i}"), names);
    }

    [Fact]
    public async Task A_list_shows_only_the_wanted_fields()
    {
        string name = Rest.NewName("fields");
        await shared.Client.CreateVmAsync(new { name });
        var (_, page, _) = await shared.Client.SendAsync(HttpMethod.Get, $"/api/v1/vms?q={name.ToUpperInvariant()}&fields=name,cpus");
        Assert.Equal(["cpus", "name"], page!["items"]![0]!.AsObject().Select(member => member.Key).Order());
    }

    [Theory]
    [InlineData("?limit=0", "?limit")]
    [InlineData("?limit=abc", "?limit")]
    [InlineData("?limit=1&limit=2", "?limit")]
    [InlineData("?sort=size", "?sort")]
    [InlineData("?cursor=%25%25", "?cursor")]
    public async Task A_bad_query_is_named(string query, string pointer)
    {
        var (status, problem, _) = await shared.Client.SendAsync(HttpMethod.Get, "/api/v1/vms" + query);
        Assert.Equal(HttpStatusCode.UnprocessableEntity, status);
        Assert.Equal([pointer], Rest.Pointers(problem));
    }

    [Fact]
    public async Task A_protected_VM_is_not_deleted()
    {
        var vm = await shared.Client.CreateVmAsync(new { name = Rest.NewName(), deleteProtection = true });
        string path = $"/api/v1/vms/{vm["id"]}";
        Assert.Equal(HttpStatusCode.Conflict, (await shared.Client.SendAsync(HttpMethod.Delete, path)).Status);
        await shared.Client.SendAsync(HttpMethod.Patch, path, new { deleteProtection = false });
        var (status, operation, _) = await shared.Client.SendAsync(HttpMethod.Delete, path + "?wait=30");
        Assert.Equal(HttpStatusCode.Accepted, status);
        Assert.Equal("succeeded", (string)operation!["state"]!);
        Assert.Equal(HttpStatusCode.NotFound, (await shared.Client.SendAsync(HttpMethod.Get, path)).Status);
    }

    [Fact]
    public async Task A_clone_has_the_same_settings_under_its_own_name()
    {
        var vm = await shared.Client.CreateVmAsync(
            new { name = Rest.NewName(), cpus = 3, labels = new { a = "b" }, deleteProtection = true });
        string name = Rest.NewName();
        var (status, clone, _) = await shared.Client.SendAsync(HttpMethod.Post, $"/api/v1/vms/{vm["id"]}/clone", new { name });
        Assert.Equal(HttpStatusCode.Created, status);
        Assert.Equal(name, (string)clone!["name"]!);
        Assert.Equal(3, (int)clone["cpus"]!);
        Assert.Equal("b", (string)clone["labels"]!["a"]!);
        Assert.False((bool)clone["deleteProtection"]!);
    }

    [Fact]
    public async Task Events_are_replayed_in_order_from_any_point()
    {
        var vm = await shared.Client.CreateVmAsync(new { name = Rest.NewName() });
        await shared.Client.SendAsync(HttpMethod.Patch, $"/api/v1/vms/{vm["id"]}", new { description = "x" });
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Rest.Cancellation);
        patience.CancelAfter(Rest.Patience);
        using var answer = await shared.Client.GetAsync(
            $"/api/v1/events?after=0&vm={vm["id"]}", HttpCompletionOption.ResponseHeadersRead, patience.Token);
        using var reader = new StreamReader(await answer.Content.ReadAsStreamAsync(patience.Token));
        var types = new List<string>();
        var ids = new List<long>();
        while (types.Count < 2)
        {
            string line = await reader.ReadLineAsync(patience.Token) ?? throw new EndOfStreamException();
            if (line.StartsWith("id: ", StringComparison.Ordinal))
            {
                ids.Add(long.Parse(line[4..], null));
            }
            else if (line.StartsWith("event: ", StringComparison.Ordinal))
            {
                types.Add(line[7..]);
            }
        }

        Assert.Equal(["vm.created", "vm.changed"], types);
        Assert.Equal(ids.Order(), ids);
    }

    [Fact]
    public async Task Changes_are_audited()
    {
        var vm = await shared.Client.CreateVmAsync(new { name = Rest.NewName() });
        await shared.Client.SendAsync(HttpMethod.Patch, $"/api/v1/vms/{vm["id"]}", new { description = "audited" });
        var (_, page, _) = await shared.Client.SendAsync(HttpMethod.Get, "/api/v1/audit?limit=200");
        Assert.Contains(
            page!["items"]!.AsArray(), record => (string)record!["target"]! == $"/api/v1/vms/{vm["id"]}"
                && (string)record["action"]! == "PATCH" && (int)record["status"]! == 200);
    }

    [Fact]
    public async Task An_OpenAPI_description_covers_the_resources()
    {
        var (_, document, _) = await shared.Client.SendAsync(HttpMethod.Get, "/openapi/v1.json");
        Assert.StartsWith("3.1", (string)document!["openapi"]!, StringComparison.Ordinal);
        JsonObject paths = document["paths"]!.AsObject();
        Assert.Contains("/api/v1/vms/{id}", paths.Select(path => path.Key));
        Assert.Contains("/api/v1/vms/{id}/power", paths.Select(path => path.Key));
    }
}
