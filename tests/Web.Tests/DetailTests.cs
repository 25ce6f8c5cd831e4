using System.Diagnostics;
using System.Text.Json.Nodes;
using Microsoft.Playwright;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>What pages say in their details is so.</summary>
public sealed class DetailTests(Site site)
{
    [Fact]
    public async Task Activity_and_audit_name_what_is_gone_by_its_last_name()
    {
        string first = Rest.NewName("first-name");
        string last = Rest.NewName("last-name");
        var vm = await site.Api.CreateVmAsync(new { name = first });
        using (var rename = new HttpRequestMessage(
            HttpMethod.Patch, $"/api/v1/vms/{vm["id"]}") { Content = new StringContent(
                $$"""{"name":"{{last}}"}""", System.Text.Encoding.UTF8, "application/merge-patch+json") })
        {
            (await site.Api.SendAsync(rename, Rest.Cancellation)).EnsureSuccessStatusCode();
        }

        await site.Api.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{vm["id"]}?wait=60");
        string token = Rest.NewName("last-token");
        var made = (await site.Api.SendAsync(HttpMethod.Post, "/api/v1/tokens", new { name = token, scopes = new[] { "vms:read" } })).Body!;
        await site.Api.SendAsync(HttpMethod.Delete, $"/api/v1/tokens/{made["id"]}");
        await using var window = await site.OpenAsync();
        await window.GoAsync("/activity");
        var operation = window.Page.Locator(".operation").Filter(new() { HasText = "Delete machine" }).Filter(new() { HasText = last });
        await Expect(operation).ToContainTextAsync("(deleted)");
        await Expect(operation.GetByRole(AriaRole.Link)).ToHaveCountAsync(0);
        await window.GoAsync("/audit");
        await Expect(window.Page.GetByRole(AriaRole.Row).Filter(new() { HasText = $"Delete machine · {last} (deleted)" }))
            .ToBeVisibleAsync();
        await Expect(window.Page.GetByRole(AriaRole.Row).Filter(new() { HasText = $"Revoke API token · {token} (deleted)" }))
            .ToBeVisibleAsync();
    }

    [Fact]
    public async Task A_new_token_starts_with_the_least()
    {
        await using var window = await site.OpenAsync();
        await window.GoAsync("/tokens");
        await window.Button("New token").ClickAsync();
        var dialog = window.Page.GetByRole(AriaRole.Dialog);
        await Expect(dialog.GetByRole(AriaRole.Checkbox, new() { Checked = true })).ToHaveCountAsync(1);
        await Expect(dialog.GetByLabel("vms:read")).ToBeCheckedAsync();
        await Expect(dialog.GetByLabel("Expires")).ToHaveValueAsync("7");
    }

    [Fact]
    public async Task Who_has_no_password_is_told_on_every_page_until_there_is_one()
    {
        // A service of its own: its administrator gets a password.
        await using var service = await ServiceProcess.StartAsync(settings: new(Guests.Settings()));
        await using var window = await site.OpenAtAsync(service.Address, "127.0.0.1");
        await window.Page.GotoAsync(Site.LinkOf(service));
        await window.InteractiveAsync();
        foreach (string path in (string[])["/", "/images", "/activity", "/create"])
        {
            await window.GoAsync(path);
            await Expect(window.Page.Locator("[data-no-password]")).ToBeVisibleAsync();
        }

        await window.Page.GetByRole(AriaRole.Link, new() { Name = "Set a password" }).ClickAsync();
        await Expect(window.Heading("Account")).ToBeVisibleAsync();
        await window.Page.GetByLabel("New password").FillAsync(Site.Password);
        await window.Button("Change password").ClickAsync();
        await Expect(window.Page.GetByText("The password was changed")).ToBeVisibleAsync();
        await window.GoAsync("/");
        await Expect(window.Page.Locator("[data-no-password]")).ToHaveCountAsync(0);
    }

    [Fact]
    public async Task The_graph_of_four_vcpus_reaches_400_percent()
    {
        var vm = await site.Api.CreateVmAsync(new { name = Rest.NewName("four"), cpus = 4 });
        await using var window = await site.OpenAsync();
        await window.GoAsync($"/vms/{vm["id"]}/graphs");
        var chart = window.Page.Locator("metric-chart[metric=cpuPercent]");
        await Expect(chart.Locator("text").Filter(new() { HasText = "400 %" })).ToHaveCountAsync(1);
        await Expect(window.Page.GetByText("4 vCPUs at work are 400 %.")).ToBeVisibleAsync();
    }

    [Theory]
    [InlineData(1.0, 2, "calm")]
    [InlineData(3.0, 2, "much")]
    [InlineData(30.0, 2, "toomuch")]
    public void A_load_of_more_than_the_processors_is_not_calm(double load, int cores, string expected) =>
        Assert.Equal(expected, Components.Shared.MeterLevels.Of(load / cores, 1, 2).ToString().ToLowerInvariant());

    [Fact]
    public async Task Only_kinds_of_images_that_a_machine_can_be_made_of_are_offered()
    {
        await using var window = await site.OpenAsync();
        await window.GoAsync("/images");
        foreach (string button in (string[])["Upload", "Import by URL"])
        {
            await window.Button(button).ClickAsync();
            await Expect(window.Page.GetByLabel("Kind").Locator("option")).ToHaveTextAsync(["Kernel (bzImage, ELF, Multiboot)", "Initrd"]);
            await window.Page.Keyboard.PressAsync("Escape");
            await Expect(window.Page.GetByRole(AriaRole.Dialog)).ToHaveCountAsync(0);
        }
    }

    [Fact]
    public async Task The_commands_of_the_api_page_run_as_they_are_copied()
    {
        await using var window = await site.OpenAsync();
        await window.GoAsync("/api");
        string commands = await window.Page.Locator(".code-block [data-copy]").GetAttributeAsync("data-copy") ?? "";
        Assert.Equal(commands, (await window.Page.Locator(".code-block code").TextContentAsync())!);
        string name = Rest.NewName("copied");
        string folder = Directory.CreateTempSubdirectory("webvm-copied").FullName;
        try
        {
            string script = "set -euo pipefail\n"
                + commands.Replace("TOKEN=…", $"TOKEN={ServiceProcess.AdminToken}", StringComparison.Ordinal)
                    .Replace("\"first\"", $"\"{name}\"", StringComparison.Ordinal);
            using var shell = Process.Start(
                new ProcessStartInfo(
                    "bash", ["-c", script]) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true })!;
            string output = await shell.StandardOutput.ReadToEndAsync(Rest.Cancellation);
            Assert.True(
                shell.WaitForExit(Rest.Patience) && shell.ExitCode == 0,
                output + await shell.StandardError.ReadToEndAsync(Rest.Cancellation));
            string id = output.Split('\n')[0];
            Assert.Equal(name, (string?)(await site.Api.SendAsync(HttpMethod.Get, $"/api/v1/vms/{id}")).Body!["name"]);
            Assert.Equal(
                [0x89, (byte)'P', (byte)'N', (byte)'G'], (await File.ReadAllBytesAsync(
                    Path.Combine(folder, "screen.png"), Rest.Cancellation))[..4]);
            await site.Api.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{id}?force=true&wait=60");
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    [Fact]
    public async Task The_consoles_statistics_stop_with_the_machine()
    {
        string name = Rest.NewName("counted");
        var vm = await site.Api.CreateVmAsync(IdleGuest.Settings(await IdleGuest.UploadAsync(site.Api), name));
        await site.Api.SendAsync(HttpMethod.Put, $"/api/v1/vms/{vm["id"]}/power?wait=60", new { action = "on" });
        await using var window = await site.OpenAsync();
        await window.GoAsync($"/vms/{vm["id"]}/console");
        await window.Button("Statistics").ClickAsync();
        await Expect(window.Page.Locator("[data-statistics]")).ToBeVisibleAsync();
        await site.Api.SendAsync(HttpMethod.Put, $"/api/v1/vms/{vm["id"]}/power?wait=60", new { action = "off" });
        await Expect(window.Page.Locator("[data-statistics]")).ToHaveCountAsync(0);
        await site.Api.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{vm["id"]}?force=true&wait=60");
    }

    [Fact]
    public async Task The_rows_of_who_may_only_look_are_as_straight_as_everybodys()
    {
        string name = Rest.NewName("straight");
        await site.Api.CreateVmAsync(new { name });
        await using var window = await site.OpenAsAsync("viewer");
        await window.GoAsync($"/?q={name}");
        var boxes = await Inspection.BoxesAsync(
            window.Page.Locator($"[data-vm={name}]"), "", ".machine-screen", ".machine-state", ".machine-size");
        Assert.All(boxes.Skip(1), box => Assert.Equal(boxes[0].Middle, box.Middle, 2.0));
    }
}
