using Microsoft.Playwright;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>Open pages show what others do, as it happens.</summary>
public sealed class LiveTests(Site site) : LinuxTests(site)
{
    [Fact]
    public async Task Lists_and_pages_follow_what_others_do_without_a_reload()
    {
        await using var list = await Site.OpenAsync();
        await list.GoAsync("/");
        await list.Page.EvaluateAsync("() => { window.stayed = true; }");
        string name = Rest.NewName("live");
        var vm = await Site.Api.CreateVmAsync(new { name, memory = 256 << 20, engine = "soft" });
        var row = list.Page.Locator($"[data-vm={name}]");
        await Expect(row.Locator("[data-state=off]")).ToBeVisibleAsync();
        await using var page = await Site.OpenAsync();
        await page.GoAsync($"/vms/{vm["id"]}/activity");
        await page.Page.EvaluateAsync("() => { window.stayed = true; }");

        await Site.Api.SendAsync(HttpMethod.Put, $"/api/v1/vms/{vm["id"]}/power?wait=60", new { action = "on" });
        await Expect(row.Locator("[data-state=running]")).ToBeVisibleAsync();
        await Expect(page.Page.Locator("[data-state=running]")).ToBeVisibleAsync();
        await Expect(page.Page.GetByText($"{name} is running")).ToBeVisibleAsync();
        await Expect(page.Page.GetByText("Change power to running")).ToBeVisibleAsync();

        await Site.Api.SendAsync(HttpMethod.Patch, $"/api/v1/vms/{vm["id"]}", new { name = name + "-renamed" });
        await Expect(page.Heading(name + "-renamed")).ToBeVisibleAsync();
        await Site.Api.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{vm["id"]}?force=true&wait=60");
        await Expect(page.Page.GetByText("No such machine")).ToBeVisibleAsync();
        await Expect(list.Page.Locator($"[data-vm={name}-renamed]")).ToHaveCountAsync(0);
        Assert.True(await list.Page.EvaluateAsync<bool>("() => window.stayed"));
        Assert.True(await page.Page.EvaluateAsync<bool>("() => window.stayed"));
    }

    [Fact]
    public async Task Serial_output_is_shown_once_across_broken_connections_and_a_restart_of_the_service()
    {
        await using var window = await Site.OpenAsync();
        IWebSocketRoute? link = null;
        await window.Page.RouteWebSocketAsync("**/hubs/console*", socket =>
        {
            link = socket;
            socket.ConnectToServer();
        });
        await window.GoAsync($"/vms/{Machine.Id}/serial");
        await Expect(window.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();
        string mark = Rest.NewName("line");
        await window.Page.Locator("#terminal textarea").FocusAsync();
        await window.Page.Keyboard.TypeAsync($"i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo {mark}.$i; sleep 0.05; done\n");
        for (int cut = 1; cut <= 2; cut++)
        {
            await UntilShownAsync(window, $"{mark}.{cut * 15}\n");
            var before = link;
            await link!.CloseAsync(new() { Code = 1001 });
            await ConsoleWindow.UntilAsync(() => Task.FromResult(link != before), "the terminal does not connect again");
        }

        string expected = string.Join('\n', Enumerable.Range(1, 60).Select(i => $"{mark}.{i}"));
        await UntilShownAsync(window, $"{mark}.60\n");
        Assert.Equal(expected, await LinesAsync(window, mark));

        await window.LoadedAnewAsync(Site.RestartAsync);
        await UntilShownAsync(window, $"{mark}.60\n");
        Assert.Equal(expected, await LinesAsync(window, mark));
    }

    private static Task<string> ShownAsync(Window window) =>
        window.Page.EvaluateAsync<string>("() => document.getElementById('terminal').terminal.text() + '\\n'");

    private static Task UntilShownAsync(Window window, string text) =>
        ConsoleWindow.UntilAsync(
            async () => (await ShownAsync(window)).Contains(text, StringComparison.Ordinal), $"the terminal does not show {text}");

    /// <summary>The numbered lines, in the order in which they stand.</summary>
    private static async Task<string> LinesAsync(Window window, string mark) =>
        string.Join('\n', (await ShownAsync(window)).Split('\n').Where(line => line.StartsWith(mark + ".", StringComparison.Ordinal)));
}
