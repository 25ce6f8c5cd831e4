using Microsoft.Playwright;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>What holds for every page.</summary>
public sealed class PageTests(Site site)
{
    /// <summary>A page's text comes in several pieces, some tenths of a second apart.</summary>
    private const int PiecesBytesPerSecond = 10_000;

    private static readonly (string Path, string Heading)[] Pages =
    [
        ("/", "Machines"), ("/create", "New machine"), ("/images", "Images"), ("/hosts", Environment.MachineName),
        ("/activity", "Activity"), ("/tokens", "API tokens"), ("/account", "Account"), ("/users", "Users"), ("/audit", "Audit"),
        ("/api", "REST API"),
    ];

    private static readonly string[] Tabs = ["console", "overview", "graphs", "serial", "snapshots", "activity", "settings"];

    [Theory]
    [InlineData(390, 844, ColorScheme.Dark)]
    [InlineData(1440, 900, ColorScheme.Light)]
    public async Task Every_page_fits_its_width_reads_well_stands_still_and_runs_without_a_script_error(
        int width, int height, ColorScheme scheme)
    {
        string name = Rest.NewName("a-machine-with-a-rather-long-name");
        var vm = await site.Api.CreateVmAsync(
            new { name, description = new string(
                'x', 200), cpus = 2, memory = 128 << 20, labels = new { some = "label" },
                numa = new[] { new { cpus = new[] { 0 }, memory = 64 << 20 }, new { cpus = new[] { 1 }, memory = 64 << 20 } } });
        await FailImageAsync();
        await using var window = await site.OpenAsync(new() { Width = width, Height = height }, scheme);
        await Inspection.WatchShiftsAsync(window);
        List<string> faults = [];
        foreach (var (path, heading) in Pages.Concat(Tabs.Select(tab => ($"/vms/{vm["id"]}/{tab}", name))))
        {
            await window.GoAsync(path);
            await Expect(window.Heading(heading)).ToBeVisibleAsync();
            await Expect(window.Page.Locator(".skeleton")).ToHaveCountAsync(0);
            await InspectAsync(path);
        }

        await window.Page.GotoAsync("/api-explorer/index.html");
        await Expect(window.Page.GetByText("List VMs by name")).ToBeVisibleAsync();
        Assert.Equal(0, await Inspection.BeyondAsync(window));
        await using var stranger = await site.OpenAnonymousAsync();
        await stranger.Page.GotoAsync("/sign-in");
        Assert.Empty(await Inspection.FaultsAsync(stranger));
        Assert.Empty(await Inspection.ViolationsAsync(stranger));
        Assert.True(faults.Count == 0, string.Join('\n', faults));
        Assert.Empty(window.Errors);

        async Task InspectAsync(string path) =>
            faults.AddRange(
                ((string[])[.. await Inspection.FaultsAsync(
                    window), .. await Inspection.ViolationsAsync(window), .. await Inspection.ShiftsAsync(window)]).Select(
                        fault => $"{path}: {fault}"));
    }

    [Theory]
    [InlineData(390, 844)]
    [InlineData(1440, 900)]
    public async Task Nothing_moves_on_open_pages_when_a_machine_changes_its_state(int width, int height)
    {
        string name = Rest.NewName("still");
        var vm = await site.Api.CreateVmAsync(IdleGuest.Settings(await IdleGuest.UploadAsync(site.Api), name));
        List<Window> windows = [];
        foreach (string path in (string[])[$"/?q={name}", .. new[] { "console", "overview", "graphs", "settings" }.Select(
            tab => $"/vms/{vm["id"]}/{tab}")])
        {
            var window = await site.OpenAsync(new() { Width = width, Height = height });
            windows.Add(window);
            await Inspection.WatchShiftsAsync(window);
            await window.GoAsync(path);
            await Expect(window.Page.GetByText(name).First).ToBeVisibleAsync();
        }

        foreach (var (action, state) in new[] { ("on", "running"), ("pause", "paused"), ("resume", "running"), ("save", "saved"),
            ("on", "running"), ("off", "off") })
        {
            await site.Api.SendAsync(HttpMethod.Put, $"/api/v1/vms/{vm["id"]}/power?wait=60", new { action });
            await Expect(windows[0].Page.Locator($"[data-vm={name}] [data-state={state}]")).ToBeVisibleAsync();
            foreach (var window in windows.Skip(1))
            {
                await Expect(window.Page.Locator($".machine-head [data-state={state}]")).ToBeVisibleAsync();
            }
        }

        List<string> moved = [];
        foreach (var window in windows)
        {
            moved.AddRange((await Inspection.ShiftsAsync(window)).Select(shift => $"{window.Page.Url}: {shift}"));
            await window.DisposeAsync();
        }

        Assert.True(moved.Count == 0, string.Join('\n', moved));
    }

    /// <summary>A line that brings a page in pieces: no piece is shown before the others are there to hold it in its place.</summary>
    [Theory]
    [InlineData(390, 844)]
    [InlineData(1440, 900)]
    public async Task A_page_that_comes_in_pieces_stands_still(int width, int height)
    {
        string name = Rest.NewName("pieces");
        var vm = await site.Api.CreateVmAsync(new { name });
        await using var link = new ThrottledLink(site.Service.Address);
        await using var window = await site.OpenAsync(new() { Width = width, Height = height }, address: link.Address);
        await Inspection.WatchShiftsAsync(window);
        // Scripts and styles are there from before.
        await window.GoAsync($"/vms/{vm["id"]}/overview");
        List<string> moved = [];
        foreach (string path in (string[])["/", $"/vms/{vm["id"]}/console"])
        {
            link.BytesPerSecond = PiecesBytesPerSecond;
            await window.Page.GotoAsync(path, new() { WaitUntil = WaitUntilState.DOMContentLoaded });
            link.BytesPerSecond = 0;
            await Expect(window.Page.Locator("h1")).ToBeVisibleAsync();
            moved.AddRange((await Inspection.ShiftsAsync(window)).Select(shift => $"{path}: {shift}"));
        }

        Assert.True(moved.Count == 0, string.Join('\n', moved));
    }

    [Fact]
    public async Task Tiles_show_each_machines_name_and_state_beside_nothing_that_hides_them()
    {
        string name = Rest.NewName("tile");
        await site.Api.CreateVmAsync(
            new { name, description = new string(
                'x', 100), labels = new Dictionary<string, string> { ["some"] = "label", ["other"] = "one-that-is-rather-long" } });
        await using var window = await site.OpenAsync(new() { Width = 1280, Height = 800 });
        await window.GoAsync("/");
        await window.Page.GetByLabel("Search machines").FillAsync(name);
        var tile = window.Page.Locator($".tiles [data-vm={name}]");
        await window.Button("Tiles").ClickAsync();
        await Expect(tile).ToHaveCountAsync(1);
        // The other machines' tiles go when the search has been answered.
        await Expect(window.Page.Locator(".tiles [data-vm]")).ToHaveCountAsync(1);
        var boxes = await Inspection.BoxesAsync(tile, ".machine-name", ".machine-state", ".machine-size", ".machine-actions");
        Assert.All(
            boxes.Take(3).Zip(boxes.Skip(1).Take(2)), pair => Assert.True(pair.First.Bottom <= pair.Second.Top + 0.5, $"{pair} overlap"));
        Assert.True(boxes[2].Right <= boxes[3].Left, $"the size {boxes[2]} runs into the buttons {boxes[3]}");
        // Nothing of the name is cut off.
        Assert.True(await tile.Locator(".machine-name > a").EvaluateAsync<bool>("link => link.scrollWidth <= link.clientWidth"));
        Assert.Empty(await Inspection.FaultsAsync(window));
    }

    [Fact]
    public async Task The_current_tab_is_in_view_on_a_phone()
    {
        var vm = await site.Api.CreateVmAsync(new { name = Rest.NewName("tabs") });
        await using var window = await site.OpenAsync(device: Handheld.Phone);
        await window.GoAsync($"/vms/{vm["id"]}/settings");
        await Expect(window.Page.GetByRole(AriaRole.Link, new() { Name = "Settings" })).ToBeInViewportAsync(new() { Ratio = 0.95f });
        await window.Page.GetByRole(AriaRole.Link, new() { Name = "Serial" }).ClickAsync();
        await Expect(window.Page.Locator("[data-link]")).ToBeVisibleAsync();
        await Expect(window.Page.GetByRole(AriaRole.Link, new() { Name = "Serial" })).ToBeInViewportAsync(new() { Ratio = 0.95f });
    }

    [Fact]
    public async Task The_theme_follows_the_system_until_it_is_chosen_and_the_choice_stays()
    {
        await using var window = await site.OpenAsync(scheme: ColorScheme.Dark);
        await window.GoAsync("/");
        string dark = await BackgroundAsync(window);
        await window.Page.GetByText("Light theme").ClickAsync();
        await Expect(window.Page.Locator("body")).Not.ToHaveCSSAsync("background-color", dark);
        string light = await BackgroundAsync(window);
        await window.GoAsync("/images");
        Assert.Equal(light, await BackgroundAsync(window));
    }

    [Fact]
    public async Task Keys_alone_lead_everywhere()
    {
        await using var window = await site.OpenAsync();
        await window.GoAsync("/");
        await window.Page.Keyboard.PressAsync("?");
        await Expect(window.Heading("Keyboard shortcuts")).ToBeVisibleAsync();
        await window.Page.Keyboard.PressAsync("Escape");
        await Expect(window.Heading("Keyboard shortcuts")).ToBeHiddenAsync();
        // In one go: the first of two keys counts for a moment only.
        await window.Page.Keyboard.TypeAsync("gi");
        await Expect(window.Heading("Images")).ToBeVisibleAsync();
        await window.Page.Keyboard.PressAsync("c");
        await Expect(window.Heading("New machine")).ToBeVisibleAsync();
        await window.GoAsync("/");
        await Expect(window.Heading("Machines")).ToBeFocusedAsync();
        await window.Page.Keyboard.PressAsync("Tab");
        await Expect(window.Page.GetByRole(AriaRole.Link, new() { Name = "New machine", Exact = true }).Last).ToBeFocusedAsync();
    }

    [Fact]
    public async Task The_api_can_be_tried_in_the_browser()
    {
        await using var window = await site.OpenAsync();
        await window.Page.GotoAsync("/api-explorer/index.html");
        await Expect(window.Page.GetByText("List VMs by name")).ToBeVisibleAsync();
        Assert.DoesNotContain(window.Errors, error => error.Contains("Content Security Policy", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_page_that_is_not_there_says_so_and_answers_404()
    {
        await using var window = await site.OpenAsync();
        var answer = await window.Page.GotoAsync("/nowhere");
        Assert.Equal(404, answer!.Status);
        await Expect(window.Heading("There is no such page")).ToBeVisibleAsync();
        // A page that is being taken over by its connection has no title for a moment.
        await window.InteractiveAsync();
        await Expect(window.Page).ToHaveTitleAsync("Not found · WebVm");
        Assert.Empty(await Inspection.ViolationsAsync(window));
    }

    [Fact]
    public async Task Open_pages_come_back_after_a_restart_of_the_service()
    {
        await using var window = await site.OpenAsync();
        await window.GoAsync("/");
        await site.Service.KillAsync();
        await Expect(window.Page.GetByText("Connection lost")).ToBeVisibleAsync();
        await site.Service.StartAgainAsync();
        await Expect(window.Page.GetByText("Connection lost")).ToBeHiddenAsync();
        string name = Rest.NewName("after");
        await site.Api.CreateVmAsync(new { name });
        await Expect(window.Page.Locator($"[data-vm={name}]")).ToBeVisibleAsync();
    }

    /// <summary>An image whose reason to fail has words of 64 letters.</summary>
    private async Task FailImageAsync()
    {
        byte[] content = [1, 2, 3];
        var (_, image, _) = await site.Api.SendAsync(
            HttpMethod.Post, "/api/v1/images", new { name = Rest.NewName(
                "wrong"), kind = "initrd", bytes = content.Length, sha256 = new string('0', 64) });
        using var upload = new HttpRequestMessage(
            HttpMethod.Patch, $"/api/v1/images/{image!["id"]}/content?wait=30") { Content = new ByteArrayContent(content) };
        upload.Headers.Add("Upload-Offset", "0");
        (await site.Api.SendAsync(upload, Rest.Cancellation)).EnsureSuccessStatusCode();
    }

    private static Task<string> BackgroundAsync(Window window) =>
        window.Page.EvaluateAsync<string>("() => getComputedStyle(document.body).backgroundColor");
}
