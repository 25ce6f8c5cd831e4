using Microsoft.Playwright;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>Users and tokens through the pages.</summary>
public sealed class AccountTests(Site site)
{
    [Fact]
    public async Task A_user_who_is_added_may_sign_in_with_the_role_until_removed()
    {
        string name = Rest.NewName("person");
        await using var admin = await site.OpenAsync();
        await admin.GoAsync("/users");
        await admin.Button("Add user").ClickAsync();
        var dialog = admin.Page.GetByRole(AriaRole.Dialog);
        await dialog.GetByLabel("Name").FillAsync(name);
        await dialog.GetByLabel("Role").SelectOptionAsync("Viewer");
        await dialog.GetByLabel("Password").FillAsync("short");
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Add" }).ClickAsync();
        await Expect(dialog.GetByRole(AriaRole.Alert)).ToContainTextAsync("12");
        await dialog.GetByLabel("Password").FillAsync(Site.Password);
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Add" }).ClickAsync();
        var row = admin.Page.GetByRole(AriaRole.Row).Filter(new() { HasText = name });
        await Expect(row).ToContainTextAsync("Viewer");

        await using var person = await site.OpenAnonymousAsync();
        await person.SignInAsync(name, Site.Password);
        await Expect(person.Heading("Machines")).ToBeVisibleAsync();
        await Expect(person.Page.GetByRole(AriaRole.Link, new() { Name = "New machine" })).ToHaveCountAsync(0);

        await admin.Button($"Remove {name}").ClickAsync();
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Remove" }).ClickAsync();
        await Expect(row).ToHaveCountAsync(0);
        // In a window of its own: the open page may be on its way to the sign-in by itself.
        await using var again = await site.OpenAnonymousAsync();
        await again.SignInAsync(name, Site.Password);
        await Expect(again.Page.GetByText("The name or the password is wrong.")).ToBeVisibleAsync();
    }

    [Fact]
    public async Task A_token_is_shown_once_and_works_until_it_is_revoked()
    {
        await using var window = await site.OpenAsync();
        await window.GoAsync("/tokens");
        string name = Rest.NewName("token");
        await window.Button("New token").ClickAsync();
        await window.Page.GetByLabel("Name").FillAsync(name);
        await window.Button("Make token").ClickAsync();
        string secret = await window.Page.Locator("[data-secret] code").First.InnerTextAsync();
        using var client = new HttpClient { BaseAddress = site.Service.Address };
        client.DefaultRequestHeaders.Authorization = new("Bearer", secret);
        Assert.True((await client.GetAsync("/api/v1/vms", Rest.Cancellation)).IsSuccessStatusCode);
        await window.GoAsync("/tokens");
        var row = window.Page.GetByRole(AriaRole.Row).Filter(new() { HasText = name });
        await Expect(row).ToBeVisibleAsync();
        await Expect(window.Page.GetByText(secret)).ToHaveCountAsync(0);
        await row.GetByRole(AriaRole.Button, new() { Name = "Revoke" }).ClickAsync();
        await window.Page.GetByRole(AriaRole.Dialog).GetByRole(AriaRole.Button, new() { Name = "Revoke" }).ClickAsync();
        await Expect(row).ToHaveCountAsync(0);
        Assert.Equal(System.Net.HttpStatusCode.Unauthorized, (await client.GetAsync("/api/v1/vms", Rest.Cancellation)).StatusCode);
    }

    [Fact]
    public async Task A_user_changes_the_password_and_is_signed_out_everywhere_else()
    {
        const string newPassword = "another horse, another staple";
        await using var window = await site.OpenAsAsync("viewer");
        string name = await window.Page.Locator(".session-name strong").InnerTextAsync();
        await using var other = await site.OpenAnonymousAsync();
        await other.SignInAsync(name, Site.Password);
        await Expect(other.Heading("Machines")).ToBeVisibleAsync();
        await other.InteractiveAsync();
        await window.GoAsync("/account");
        await Expect(window.Page.Locator("[data-session]")).ToHaveCountAsync(2);
        await window.Page.GetByLabel("Password so far").FillAsync("wrong");
        await window.Page.GetByLabel("New password").FillAsync(newPassword);
        await window.Button("Change password").ClickAsync();
        await Expect(window.Page.GetByText("is not the password")).ToBeVisibleAsync();
        await window.Page.GetByLabel("Password so far").FillAsync(Site.Password);
        await window.Button("Change password").ClickAsync();
        await Expect(window.Page.GetByText("The password was changed")).ToBeVisibleAsync();
        await Expect(window.Page.Locator("[data-session]")).ToHaveCountAsync(1);
        // The page that was open elsewhere asks to sign in, without anybody touching it.
        await Expect(other.Heading("Sign in")).ToBeVisibleAsync();
        await other.SignInAsync(name, newPassword);
        await Expect(other.Heading("Machines")).ToBeVisibleAsync();
    }

    [Fact]
    public async Task A_session_is_ended_from_another()
    {
        await using var window = await site.OpenAsAsync("viewer");
        string name = await window.Page.Locator(".session-name strong").InnerTextAsync();
        await using var other = await site.OpenAnonymousAsync();
        await other.SignInAsync(name, Site.Password);
        await Expect(other.Heading("Machines")).ToBeVisibleAsync();
        await other.InteractiveAsync();
        await window.GoAsync("/account");
        await window.Page.Locator("[data-session=other]").GetByRole(AriaRole.Button, new() { Name = "Sign out" }).ClickAsync();
        await Expect(window.Page.Locator("[data-session]")).ToHaveCountAsync(1);
        await Expect(other.Heading("Sign in")).ToBeVisibleAsync();
    }
}
