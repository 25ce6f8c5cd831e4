using Microsoft.Playwright;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>
/// How a page's connection comes back. The page's clock is stopped, so that its pauses are counted instead of waited for.
/// </summary>
public sealed class LinkTests(Site site)
{
    private const int ShortestPause = 250;
    private const int LongestPause = 10_000;

    private const string Open = """
        async script => {
          window.reasons = [];
          window.attempts = 0;
          const fetch = window.fetch;
          window.fetch = (address, options) => {
            window.attempts += String(address).includes('/hubs/console/negotiate') ? 1 : 0;
            return fetch(address, options);
          };
          const element = document.createElement('section');
          element.className = 'serial';
          element.innerHTML = '<div data-link-notice><p data-reason></p></div><div></div>';
          document.body.append(element);
          const reason = element.querySelector('[data-reason]');
          new MutationObserver(() => { if (reason.textContent) window.reasons.push(reason.textContent); }).observe(reason, { childList: true });
          const { openSerial } = await import(script);
          window.opened = openSerial(element.lastElementChild, '00000000-0000-0000-0000-000000000000', false);
        }
        """;

    [Fact]
    public async Task A_service_that_refuses_is_asked_ever_more_rarely_and_its_reason_is_told()
    {
        await using var window = await site.OpenAsync();
        await window.GoAsync("/");
        await window.Page.Clock.InstallAsync();
        await window.Page.Clock.PauseAtAsync(DateTime.UtcNow.AddMinutes(1));
        await window.Page.EvaluateAsync(Open, "/js/serial.js");
        int pause = ShortestPause;
        for (int attempt = 1; attempt <= 9; attempt++)
        {
            await UntilAsync(window, "reasons.length", attempt);
            Assert.Equal("There is no such VM.", await window.Page.EvaluateAsync<string>("() => window.reasons.at(-1)"));
            // A pause is shortened by half at most.
            await window.Page.Clock.RunForAsync(pause / 2 - 1);
            Assert.Equal(attempt, await window.Page.EvaluateAsync<int>("() => window.attempts"));
            await window.Page.Clock.RunForAsync(pause - pause / 2 + 1);
            await UntilAsync(window, "attempts", attempt + 1);
            pause = Math.Min(pause * 2, LongestPause);
        }

        Assert.Equal(LongestPause, pause);
        await window.Page.EvaluateAsync("() => window.opened.dispose()");
    }

    [Fact]
    public async Task A_page_whose_service_is_away_says_so()
    {
        var vm = await site.Api.CreateVmAsync(new { name = Rest.NewName("away") });
        await using var window = await site.OpenAsync();
        await window.GoAsync($"/vms/{vm["id"]}/serial");
        await Expect(window.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();
        await window.Page.RouteAsync("**/hubs/console/negotiate*", route => route.AbortAsync());
        await window.Page.ReloadAsync();
        await Expect(window.Page.Locator("[data-reason]")).ToHaveTextAsync("The service does not answer.");
        await window.Page.UnrouteAsync("**/hubs/console/negotiate*");
        await Expect(window.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();
        await Expect(window.Page.Locator("[data-link-notice]")).ToBeHiddenAsync();
    }

    private static Task UntilAsync(Window window, string count, int reached) =>
        ConsoleWindow.UntilAsync(
            async () => await window.Page.EvaluateAsync<int>($"() => window.{count}") >= reached,
            $"there are fewer than {reached} {count}");
}
