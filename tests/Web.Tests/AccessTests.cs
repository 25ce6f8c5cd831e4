using Microsoft.Playwright;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>Getting in, getting out, and seeing only what one may.</summary>
public sealed class AccessTests(Site site)
{
    [Fact]
    public async Task A_page_asks_strangers_to_sign_in_and_then_shows_itself()
    {
        string name = Rest.NewName("operator");
        await site.Api.SendAsync(HttpMethod.Post, "/api/v1/users", new { name, role = "operator", password = Site.Password });
        await using var window = await site.OpenAnonymousAsync();
        await window.Page.GotoAsync("/images");
        await Expect(window.Heading("Sign in")).ToBeVisibleAsync();
        await window.Page.GetByLabel("Name").FillAsync(name);
        await window.Page.GetByLabel("Password").FillAsync(Site.Password);
        await window.Button("Sign in").ClickAsync();
        await Expect(window.Heading("Images")).ToBeVisibleAsync();
        Assert.EndsWith("/images", window.Page.Url, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_wrong_password_is_told_and_a_used_link_explained()
    {
        await using var window = await site.OpenAnonymousAsync();
        await window.SignInAsync("admin", "not the password");
        await Expect(window.Page.GetByText("The name or the password is wrong.")).ToBeVisibleAsync();
        await window.Page.GotoAsync("/sign-in/link?code=used");
        await Expect(window.Page.GetByText("This link does not work any more")).ToBeVisibleAsync();
    }

    [Fact]
    public async Task Signing_out_ends_the_session()
    {
        await using var window = await site.OpenAsAsync("viewer");
        await window.InteractiveAsync();
        await window.Button("Sign out").ClickAsync();
        await Expect(window.Heading("Sign in")).ToBeVisibleAsync();
        await window.Page.GotoAsync("/");
        await Expect(window.Heading("Sign in")).ToBeVisibleAsync();
    }

    [Fact]
    public async Task A_viewer_sees_machines_but_no_way_to_change_them()
    {
        string name = Rest.NewName();
        var vm = await site.Api.CreateVmAsync(new { name });
        await using var window = await site.OpenAsAsync("viewer");
        await window.InteractiveAsync();
        await window.Page.GetByLabel("Search machines").FillAsync(name);
        await Expect(window.Page.Locator($"[data-vm={name}]")).ToBeVisibleAsync();
        await Expect(window.Page.GetByText("New machine")).ToHaveCountAsync(0);
        await Expect(window.Page.Locator("[data-power]")).ToHaveCountAsync(0);
        await window.GoAsync($"/vms/{vm["id"]}/settings");
        await Expect(window.Page.Locator("#vm-name")).ToBeDisabledAsync();
        await Expect(window.Page.GetByText("Your role does not include changes of machines.")).ToBeVisibleAsync();
        foreach (string tab in new[] { "console", "overview", "snapshots", "activity", "settings" })
        {
            await window.GoAsync($"/vms/{vm["id"]}/{tab}");
            await Expect(window.Heading(name)).ToBeVisibleAsync();
            foreach (string forbidden in new[] { "Start", "Take snapshot", "Save changes", "Clone", "Delete" })
            {
                await Expect(window.Button(forbidden)).ToHaveCountAsync(0);
            }
        }

        await window.GoAsync("/images");
        await Expect(window.Heading("Images")).ToBeVisibleAsync();
        await Expect(window.Button("Upload")).ToHaveCountAsync(0);
        await window.Page.GotoAsync("/users");
        await Expect(window.Page.GetByText("There is no such page").Or(window.Page.GetByText("Not for this account"))).ToBeVisibleAsync();
    }
}
