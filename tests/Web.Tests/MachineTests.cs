using System.Text;
using System.Text.RegularExpressions;
using Microsoft.Playwright;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>The list, creation and settings of machines.</summary>
public sealed class MachineTests(Site site)
{
    [Fact]
    public async Task A_name_and_Create_are_enough()
    {
        await using var window = await site.OpenAsync();
        await window.GoAsync("/create");
        string name = Rest.NewName("made");
        await window.Page.GetByLabel("Name").FillAsync(name);
        await window.Page.GetByLabel("and start it").UncheckAsync();
        await window.Button("Create").ClickAsync();
        await Expect(window.Heading(name)).ToBeVisibleAsync();
        await window.Page.GetByRole(AriaRole.Link, new() { Name = "Overview" }).ClickAsync();
        await Expect(window.Page.GetByText("512 MiB")).ToBeVisibleAsync();
        Assert.Empty(window.Errors);
    }

    [Fact]
    public async Task Faults_are_shown_at_their_fields()
    {
        await using var window = await site.OpenAsync();
        await window.GoAsync("/create");
        await window.Page.GetByLabel("Name").FillAsync("no spaces, please");
        await window.Page.GetByText("vCPUs, memory, NUMA").ClickAsync();
        await window.Page.GetByLabel("Memory", new() { Exact = true }).FillAsync("3");
        await window.Button("Create").ClickAsync();
        await Expect(window.Page.Locator("[data-pointer='/name']")).ToContainTextAsync("must be 1 to 63 letters");
        await Expect(window.Page.Locator("[data-pointer='/memory']"))
            .ToContainTextAsync("must be a multiple of 1 MiB between 4 MiB and 511 GiB");
        var name = window.Page.GetByLabel("Name", new() { Exact = true });
        await Expect(name).ToBeFocusedAsync();
        await Expect(name).ToHaveAttributeAsync("aria-invalid", "true");
        await Expect(name).ToHaveAccessibleDescriptionAsync(new Regex("must be 1 to 63 letters"));
    }

    [Fact]
    public async Task Nodes_are_drawn_and_distances_arrive()
    {
        await using var window = await site.OpenAsync();
        await window.GoAsync("/create");
        string name = Rest.NewName("numa");
        await window.Page.GetByLabel("Name").FillAsync(name);
        await window.Page.GetByLabel("and start it").UncheckAsync();
        await window.Page.GetByText("vCPUs, memory, NUMA").ClickAsync();
        await window.Page.GetByRole(AriaRole.Button, new() { Name = "Large 4 vCPUs 8 GiB" }).ClickAsync();
        await window.Page.GetByLabel("NUMA nodes").SelectOptionAsync("2");
        await Expect(window.Page.Locator(".topology-node")).ToHaveCountAsync(2);
        await window.Page.GetByLabel("vCPU 1 in node 1", new() { Exact = true }).ClickAsync();
        await window.Page.GetByLabel("Distance from node 0 to node 1").FillAsync("31");
        await window.Page.GetByLabel("Distance from node 0 to node 1").BlurAsync();
        await Expect(window.Page.GetByLabel("Distance from node 1 to node 0")).ToHaveValueAsync("31");
        await window.Button("Create").ClickAsync();
        await Expect(window.Heading(name)).ToBeVisibleAsync();
        string id = window.Page.Url.Split('/')[4];
        var (_, vm, _) = await site.Api.SendAsync(HttpMethod.Get, $"/api/v1/vms/{id}");
        Assert.Equal(
            """[{"cpus":[0],"memory":4294967296,"distances":[10,31]},{"cpus":[1,2,3],"memory":4294967296,"distances":[31,10]}]""",
            vm!["numa"]!.ToJsonString());
    }

    [Fact]
    public async Task The_list_follows_what_happens_elsewhere()
    {
        await using var window = await site.OpenAsync();
        await window.GoAsync("/");
        string name = Rest.NewName("live");
        var vm = await site.Api.CreateVmAsync(IdleGuest.Settings(await IdleGuest.UploadAsync(site.Api), name));
        var row = window.Page.Locator($"[data-vm={name}]");
        await Expect(row.Locator("[data-state=off]")).ToBeVisibleAsync();
        await site.Api.SendAsync(HttpMethod.Put, $"/api/v1/vms/{vm["id"]}/power?wait=60", new { action = "on" });
        await Expect(row.Locator("[data-state=running]")).ToBeVisibleAsync();
        await site.Api.SendAsync(HttpMethod.Put, $"/api/v1/vms/{vm["id"]}/power?wait=60", new { action = "off" });
        await Expect(row.Locator("[data-state=off]")).ToBeVisibleAsync();
        await site.Api.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{vm["id"]}?wait=60");
        await Expect(row).ToHaveCountAsync(0);
    }

    [Fact]
    public async Task Five_level_paging_is_chosen_when_a_machine_is_made()
    {
        await using var window = await site.OpenAsync();
        await window.GoAsync("/create");
        string name = Rest.NewName("paging");
        await window.Page.GetByLabel("Name").FillAsync(name);
        await window.Page.GetByLabel("and start it").UncheckAsync();
        await window.Page.GetByText("engine, 5-level paging").ClickAsync();
        await window.Page.GetByLabel("5-level paging (la57)").CheckAsync();
        await window.Button("Create").ClickAsync();
        await Expect(window.Heading(name)).ToBeVisibleAsync();
        await window.Page.GetByRole(AriaRole.Link, new() { Name = "Overview" }).ClickAsync();
        await Expect(window.Page.GetByText("5-level paging")).ToBeVisibleAsync();
        var (_, made, _) = await site.Api.SendAsync(HttpMethod.Get, $"/api/v1/vms?q={name}");
        Assert.True((bool)made!["items"]![0]!["cpu"]!["features"]!["la57"]!);
    }

    [Fact]
    public async Task The_host_tells_paused_machines_from_those_that_run()
    {
        var vm = await site.Api.CreateVmAsync(IdleGuest.Settings(await IdleGuest.UploadAsync(site.Api), Rest.NewName("pausing")));
        string power = $"/api/v1/vms/{vm["id"]}/power?wait=60";
        await site.Api.SendAsync(HttpMethod.Put, power, new { action = "on" });
        await site.Api.SendAsync(HttpMethod.Put, power, new { action = "pause" });
        await using var window = await site.OpenAsync();
        await window.GoAsync("/hosts");
        await Expect(window.Page.Locator("[data-states]")).ToContainTextAsync("1 paused");
        await site.Api.SendAsync(HttpMethod.Put, power, new { action = "off" });
        await Expect(window.Page.Locator("[data-states]")).Not.ToContainTextAsync("paused");
    }

    [Fact]
    public async Task Search_labels_and_bulk_deletion_find_their_machines()
    {
        string prefix = Rest.NewName("bulk");
        foreach (int i in Enumerable.Range(0, 3))
        {
            await site.Api.CreateVmAsync(
                new { name = $"{prefix}-{i}", labels = new Dictionary<string, string> { ["part"] = i == 0 ? prefix : "other" } });
        }

        await using var window = await site.OpenAsync();
        await window.GoAsync("/");
        await window.Page.GetByLabel("Search machines").FillAsync(prefix);
        await Expect(window.Page.Locator("[data-vm]")).ToHaveCountAsync(3);
        await window.Page.GetByLabel("Label", new() { Exact = true }).SelectOptionAsync($"part={prefix}");
        await Expect(window.Page.Locator("[data-vm]")).ToHaveCountAsync(1);
        await window.Page.GetByLabel("Label", new() { Exact = true }).SelectOptionAsync("");
        await Expect(window.Page.Locator("[data-vm]")).ToHaveCountAsync(3);
        await window.Page.GetByLabel("Select all").CheckAsync();
        await window.Button("Delete").ClickAsync();
        await window.Page.GetByRole(AriaRole.Dialog).GetByRole(AriaRole.Button, new() { Name = "Delete" }).ClickAsync();
        await Expect(window.Page.Locator("[data-vm]")).ToHaveCountAsync(0);
    }

    [Fact]
    public async Task Two_who_change_the_same_settings_are_told()
    {
        string name = Rest.NewName("shared");
        var vm = await site.Api.CreateVmAsync(new { name });
        await using var window = await site.OpenAsync();
        await window.GoAsync($"/vms/{vm["id"]}/settings");
        await window.Page.GetByLabel("Description").FillAsync("mine");
        await window.Page.GetByLabel("Description").BlurAsync();
        await Expect(window.Page.GetByText("Unsaved changes")).ToBeVisibleAsync();
        using (var theirs = new HttpRequestMessage(
            HttpMethod.Patch, $"/api/v1/vms/{vm["id"]}") { Content = new StringContent(
                """{"description":"theirs"}""", Encoding.UTF8, "application/merge-patch+json") })
        {
            (await site.Api.SendAsync(theirs, Rest.Cancellation)).EnsureSuccessStatusCode();
        }

        await Expect(window.Page.GetByText("There is a newer version")).ToBeVisibleAsync();
        await window.Button("Save changes").ClickAsync();
        await Expect(window.Page.Locator("[data-conflict]")).ToBeVisibleAsync();
        await window.Button("Save mine anyway").ClickAsync();
        await Expect(window.Page.GetByText("Everything is saved")).ToBeVisibleAsync();
        var (_, after, _) = await site.Api.SendAsync(HttpMethod.Get, $"/api/v1/vms/{vm["id"]}");
        Assert.Equal("mine", (string?)after!["description"]);
    }

    [Fact]
    public async Task Deletion_asks_for_the_name()
    {
        string name = Rest.NewName("doomed");
        var vm = await site.Api.CreateVmAsync(new { name });
        await using var window = await site.OpenAsync();
        await window.GoAsync($"/vms/{vm["id"]}/settings");
        await window.Button("Delete").ClickAsync();
        var dialog = window.Page.GetByRole(AriaRole.Dialog);
        await Expect(dialog.GetByRole(AriaRole.Button, new() { Name = "Delete" })).ToBeDisabledAsync();
        await dialog.GetByRole(AriaRole.Textbox).FillAsync(name);
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Delete" }).ClickAsync();
        await Expect(window.Heading("Machines")).ToBeVisibleAsync();
        await Expect(window.Page.Locator($"[data-vm={name}]")).ToHaveCountAsync(0);
    }

    [Fact]
    public async Task A_machine_is_made_with_the_keyboard_alone()
    {
        await using var window = await site.OpenAsync();
        await window.GoAsync("/");
        var keys = window.Page.Keyboard;
        await keys.PressAsync("c");
        await Expect(window.Heading("New machine")).ToBeFocusedAsync();
        await TabToAsync("vm-name");
        await keys.PressAsync("Control+a");
        string name = Rest.NewName("keys");
        await keys.TypeAsync(name);
        await keys.PressAsync("Tab");
        await Expect(window.Button("Create")).ToBeFocusedAsync();
        await keys.PressAsync("Tab");
        await keys.PressAsync("Space");
        await Expect(window.Page.GetByLabel("and start it")).Not.ToBeCheckedAsync();
        await keys.PressAsync("Shift+Tab");
        await keys.PressAsync("Enter");
        await Expect(window.Heading(name)).ToBeVisibleAsync();

        async Task TabToAsync(string id)
        {
            for (int i = 0; i < 30 && !await window.Page.EvaluateAsync<bool>("id => document.activeElement.id === id", id); i++)
            {
                await keys.PressAsync("Tab");
            }

            await Expect(window.Page.Locator("#" + id)).ToBeFocusedAsync();
        }
    }

    [Fact]
    public async Task Many_machines_are_found_at_the_server_and_come_as_the_list_is_scrolled()
    {
        string prefix = Rest.NewName("many");
        List<string> ids = [];
        for (int i = 0; i < 65; i++)
        {
            var vm = await site.Api.CreateVmAsync(new { name = $"{prefix}-{i:00}", description = i == 64 ? "the last of all" : "" });
            ids.Add((string)vm["id"]!);
        }

        try
        {
            await using var window = await site.OpenAsync();
            await window.GoAsync("/");
            var rows = window.Page.Locator("[data-vm]");
            await window.Page.GetByLabel("Search machines").FillAsync($"{prefix} LAST");
            await Expect(rows).ToHaveCountAsync(1);
            await Expect(window.Page.Locator($"[data-vm={prefix}-64]")).ToBeVisibleAsync();
            await window.Page.GetByLabel("Search machines").FillAsync(prefix);
            await Expect(rows).ToHaveCountAsync(60);
            await rows.Last.ScrollIntoViewIfNeededAsync();
            await Expect(rows).ToHaveCountAsync(65);
            await Expect(window.Button("Show more")).ToHaveCountAsync(0);
        }
        finally
        {
            foreach (string id in ids)
            {
                await site.Api.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{id}");
            }
        }
    }

    [Fact]
    public async Task Chosen_machines_are_started_and_switched_off_together()
    {
        string prefix = Rest.NewName("bulk");
        for (int i = 0; i < 2; i++)
        {
            await site.Api.CreateVmAsync(new { name = $"{prefix}-{i}", memory = 256 << 20, engine = "soft" });
        }

        await using var window = await site.OpenAsync();
        await window.GoAsync("/");
        await window.Page.GetByLabel("Search machines").FillAsync(prefix);
        await Expect(window.Page.Locator("[data-vm]")).ToHaveCountAsync(2);
        await window.Page.GetByLabel("Select all").CheckAsync();
        await window.Page.Locator(".bulk-actions").GetByRole(AriaRole.Button, new() { Name = "Start" }).ClickAsync();
        await Expect(window.Page.Locator("[data-state=running]")).ToHaveCountAsync(2);
        await window.Page.Locator(".bulk-actions").GetByRole(AriaRole.Button, new() { Name = "Switch off" }).ClickAsync();
        var dialog = window.Page.GetByRole(AriaRole.Dialog);
        await Expect(dialog.Locator(".names li")).ToHaveTextAsync([$"{prefix}-0", $"{prefix}-1"]);
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Switch off" }).ClickAsync();
        await Expect(window.Page.Locator("[data-state=off]")).ToHaveCountAsync(2);
    }

    [Fact]
    public async Task A_change_that_needs_a_restart_waits_for_it()
    {
        string name = Rest.NewName("pending");
        var vm = await site.Api.CreateVmAsync(new { name, memory = 256 << 20, engine = "soft" });
        await site.Api.SendAsync(HttpMethod.Put, $"/api/v1/vms/{vm["id"]}/power?wait=60", new { action = "on" });
        await using var window = await site.OpenAsync();
        await window.GoAsync($"/vms/{vm["id"]}/settings");
        await window.Page.GetByLabel("Memory", new() { Exact = true }).FillAsync("320");
        await window.Page.GetByLabel("vCPUs", new() { Exact = true }).FillAsync("2");
        await window.Page.GetByLabel("vCPUs", new() { Exact = true }).BlurAsync();
        await window.Button("Save changes").ClickAsync();
        await Expect(window.Page.GetByText("vCPUs and memory take effect when the machine is switched off and on again."))
            .ToBeVisibleAsync();
        var waiting = window.Page.GetByText("Changes wait for the next start");
        await Expect(waiting).ToBeVisibleAsync();
        var power = window.Button($"Power of {name}");
        await power.ClickAsync();
        await window.Page.GetByRole(AriaRole.Menuitem, new() { Name = "Switch off" }).ClickAsync();
        await window.Page.GetByRole(AriaRole.Dialog).GetByRole(AriaRole.Button, new() { Name = "Switch off" }).ClickAsync();
        await Expect(window.Page.Locator(".machine-head [data-state=off]")).ToBeVisibleAsync();
        await window.Button("Start").ClickAsync();
        await Expect(window.Page.Locator(".machine-head [data-state=running]")).ToBeVisibleAsync();
        await Expect(waiting).ToHaveCountAsync(0);
        await site.Api.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{vm["id"]}?force=true&wait=60");
    }

    [Fact]
    public async Task A_protected_machine_is_cloned_but_not_deleted()
    {
        string name = Rest.NewName("protected");
        var vm = await site.Api.CreateVmAsync(new { name, cpus = 3, deleteProtection = true });
        await using var window = await site.OpenAsync();
        await window.GoAsync($"/vms/{vm["id"]}/settings");
        await Expect(window.Button("Delete")).ToBeDisabledAsync();
        await window.Button("Clone").ClickAsync();
        var dialog = window.Page.GetByRole(AriaRole.Dialog);
        await dialog.GetByLabel("Name of the clone").FillAsync(name);
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Clone" }).ClickAsync();
        await Expect(dialog.GetByRole(AriaRole.Alert)).ToBeVisibleAsync();
        await dialog.GetByLabel("Name of the clone").FillAsync(name + "-clone");
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Clone" }).ClickAsync();
        await Expect(window.Heading(name + "-clone")).ToBeVisibleAsync();

        await window.GoAsync("/");
        await window.Page.GetByLabel("Search machines").FillAsync(name);
        await Expect(window.Page.Locator("[data-vm]")).ToHaveCountAsync(2);
        await window.Page.GetByLabel("Select all").CheckAsync();
        await window.Button("Delete").ClickAsync();
        await Expect(dialog.GetByText("(protected, stays)")).ToBeVisibleAsync();
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Delete" }).ClickAsync();
        await Expect(window.Page.Locator("[data-vm]")).ToHaveCountAsync(1);
        await Expect(window.Page.Locator($"[data-vm={name}]")).ToBeVisibleAsync();
    }
}
