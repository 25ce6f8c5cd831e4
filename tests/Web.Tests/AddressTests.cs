using System.Reflection;
using Microsoft.AspNetCore.Components;
using Microsoft.Playwright;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>What a page shows is in its address: reloaded, gone back to or opened by another, it shows the same.</summary>
public sealed class AddressTests(Site site)
{
    [Fact]
    public async Task Search_state_label_and_view_of_the_machines_live_in_the_address()
    {
        string name = Rest.NewName("address");
        await site.Api.CreateVmAsync(new { name, labels = new Dictionary<string, string> { [name] = "" } });
        await site.Api.CreateVmAsync(new { name = name + "-other" });
        await using var window = await site.OpenAsync();
        await window.GoAsync("/");
        await window.Page.GetByLabel("Search machines").FillAsync(name);
        await Expect(window.Page.Locator("[data-vm]")).ToHaveCountAsync(2);
        await window.Page.GetByRole(AriaRole.Combobox, new() { Name = "Label" }).SelectOptionAsync(name);
        await Expect(window.Page.Locator("[data-vm]")).ToHaveCountAsync(1);
        await window.Page.GetByRole(AriaRole.Button, new() { Name = "Off" }).First.ClickAsync();
        await window.Button("Tiles").ClickAsync();
        await Expect(window.Page.Locator(".machines.tiles")).ToBeVisibleAsync();
        await ConsoleWindow.UntilAsync(
            () => Task.FromResult(Has(window, $"q={name}", $"label={name}", "state=off", "view=tiles")), "the address does not tell");

        await window.Page.Locator($"[data-vm={name}] .machine-name a").ClickAsync();
        await Expect(window.Heading(name)).ToBeVisibleAsync();
        await window.Page.GoBackAsync();
        await ShowsAsync();
        await window.Page.ReloadAsync();
        await window.InteractiveAsync();
        await ShowsAsync();
        await window.Page.Locator($"[data-vm={name}] .machine-name a").ClickAsync();
        await window.Page.Locator("a.back").ClickAsync();
        await ShowsAsync();
        Assert.Empty(window.Errors);

        async Task ShowsAsync()
        {
            await Expect(window.Page.Locator(".machines.tiles [data-vm]")).ToHaveCountAsync(1);
            await Expect(window.Page.GetByLabel("Search machines")).ToHaveValueAsync(name);
            await Expect(window.Page.GetByRole(AriaRole.Combobox, new() { Name = "Label" })).ToHaveValueAsync(name);
        }
    }

    [Fact]
    public async Task The_order_of_the_machines_lives_in_the_address()
    {
        string name = Rest.NewName("order");
        await site.Api.CreateVmAsync(new { name = name + "-a" });
        await site.Api.CreateVmAsync(new { name = name + "-b" });
        await using var window = await site.OpenAsync();
        await window.GoAsync($"/?q={name}");
        await Expect(window.Page.Locator("[data-vm]").First).ToHaveAttributeAsync("data-vm", name + "-a");
        await window.Page.GetByRole(AriaRole.Combobox, new() { Name = "Order" }).SelectOptionAsync("-createdAt");
        await Expect(window.Page.Locator("[data-vm]").First).ToHaveAttributeAsync("data-vm", name + "-b");
        await ConsoleWindow.UntilAsync(() => Task.FromResult(Has(window, "sort=-createdAt")), "the address does not tell");
        await window.Page.ReloadAsync();
        await window.InteractiveAsync();
        await Expect(window.Page.Locator("[data-vm]").First).ToHaveAttributeAsync("data-vm", name + "-b");
        await Expect(window.Page.GetByRole(AriaRole.Combobox, new() { Name = "Order" })).ToHaveValueAsync("-createdAt");
        Assert.Empty(window.Errors);
    }

    [Fact]
    public async Task The_place_in_a_long_list_is_found_again()
    {
        string prefix = Rest.NewName("place");
        await Task.WhenAll(Enumerable.Range(0, 90).Select(i => site.Api.CreateVmAsync(new { name = $"{prefix}-{i:00}" })));
        try
        {
            await using var window = await site.OpenAsync();
            await window.GoAsync($"/?q={prefix}");
            await Expect(window.Page.Locator("[data-vm]")).ToHaveCountAsync(60);
            await window.Page.EvaluateAsync("() => scrollTo(0, document.body.scrollHeight)");
            await Expect(window.Page.Locator("[data-vm]")).ToHaveCountAsync(90);
            var item = window.Page.Locator($"[data-vm={prefix}-80]");
            await item.EvaluateAsync("element => scrollTo(0, scrollY + element.getBoundingClientRect().top - 80)");
            await item.Locator(".machine-name a").ClickAsync();
            await Expect(window.Heading($"{prefix}-80")).ToBeVisibleAsync();
            await window.Page.GoBackAsync();
            await Expect(item).ToBeInViewportAsync();
            Assert.True(Has(window, $"at={prefix}-80", "shown=90"), window.Page.Url);
            await window.Page.ReloadAsync();
            await window.InteractiveAsync();
            await Expect(item).ToBeInViewportAsync();
            await item.Locator(".machine-name a").ClickAsync();
            await window.Page.Locator("a.back").ClickAsync();
            await Expect(item).ToBeInViewportAsync();

            // Another search begins at the top.
            await window.Page.GetByLabel("Search machines").FillAsync($"{prefix}-1");
            await Expect(window.Page.Locator("[data-vm]")).ToHaveCountAsync(10);
            await ConsoleWindow.UntilAsync(
                () => Task.FromResult(!window.Page.Url.Contains("at=", StringComparison.Ordinal)), "the address still tells the old place");
            Assert.Equal(0, await window.Page.EvaluateAsync<double>("() => scrollY"));
        }
        finally
        {
            // Others look for theirs on the first page.
            await Task.WhenAll(
                (await site.Api.SendAsync(HttpMethod.Get, $"/api/v1/vms?q={prefix}&limit=100")).Body!["items"]!.AsArray()
                    .Select(vm => site.Api.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{vm!["id"]}?wait=60")));
        }
    }

    /// <summary>What the first rendering handed over is set once more, when parameters come for the second time.</summary>
    [Fact]
    public async Task What_came_since_a_page_was_loaded_stays_when_its_address_changes()
    {
        string name = Rest.NewName("since");
        await site.Api.CreateVmAsync(new { name });
        await using var window = await site.OpenAsync();
        await window.GoAsync($"/?q={name}");
        await Expect(window.Page.Locator("[data-vm]")).ToHaveCountAsync(1);
        await site.Api.CreateVmAsync(new { name = name + "-2" });
        await Expect(window.Page.Locator("[data-vm]")).ToHaveCountAsync(2);
        foreach (string view in (string[])["Tiles", "Rows", "Tiles"])
        {
            await window.Button(view).ClickAsync();
            await ConsoleWindow.UntilAsync(
                () => Task.FromResult(Has(window, "view=tiles") == (view == "Tiles")), "the address does not tell the view");
        }

        await Expect(window.Page.Locator(".tiles [data-vm]")).ToHaveCountAsync(2);
    }

    [Fact]
    public void What_a_page_shows_is_never_what_it_hands_over()
    {
        var handed =
            typeof(WebVm.Web.Live.LivePage).Assembly.GetTypes().SelectMany(type => type.GetProperties())
                .Where(property => property.IsDefined(typeof(PersistentStateAttribute), false)).ToList();
        Assert.NotEmpty(handed);
        Assert.All(
            handed, property => Assert.NotNull(
                property.DeclaringType!.GetProperty(property.Name["First".Length..], BindingFlags.Instance | BindingFlags.NonPublic)));
    }

    [Fact]
    public async Task Whose_records_the_audit_shows_is_in_its_address()
    {
        await using var window = await site.OpenAsync();
        await window.GoAsync("/audit");
        await window.Page.GetByLabel("User", new() { Exact = true }).FillAsync("nobody-at-all");
        await window.Page.GetByLabel("User", new() { Exact = true }).BlurAsync();
        await Expect(window.Heading("Nothing recorded")).ToBeVisibleAsync();
        await window.Page.ReloadAsync();
        await window.InteractiveAsync();
        await Expect(window.Heading("Nothing recorded")).ToBeVisibleAsync();
        await Expect(window.Page.GetByLabel("User", new() { Exact = true })).ToHaveValueAsync("nobody-at-all");
    }

    [Fact]
    public async Task A_picture_of_a_screen_is_fetched_once_when_a_page_is_loaded()
    {
        string name = Rest.NewName("pictured");
        var vm = await site.Api.CreateVmAsync(IdleGuest.Settings(await IdleGuest.UploadAsync(site.Api), name));
        await site.Api.SendAsync(HttpMethod.Put, $"/api/v1/vms/{vm["id"]}/power?wait=60", new { action = "on" });
        await using var window = await site.OpenAsync();
        await window.GoAsync($"/?q={name}");
        await ConsoleWindow.UntilAsync(async () => (await FetchedAsync()).Length >= 3, "no pictures are fetched");
        double[] times = await FetchedAsync();
        // From the first on, one in three seconds: what is scheduled is never early, however late it may be.
        Assert.All(times.Zip(times.Skip(1)), pair => Assert.True(pair.Second - pair.First > 2900, $"{pair.First} and {pair.Second} ms"));
        await site.Api.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{vm["id"]}?force=true&wait=60");

        Task<double[]> FetchedAsync() =>
            window.Page.EvaluateAsync<double[]>(
                "() => performance.getEntriesByType('resource').filter(entry => entry.name.includes('/screenshot')).map(entry => "
                + "entry.startTime)");
    }

    private static bool Has(Window window, params string[] parts) =>
        parts.All(part => new Uri(window.Page.Url).Query.TrimStart('?').Split('&').Contains(part));
}
