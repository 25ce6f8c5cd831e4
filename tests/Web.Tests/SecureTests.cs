using System.Security.Cryptography;
using Microsoft.Playwright;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>The pages over TLS: of the service itself, and through nginx.</summary>
public sealed class SecureTests(Site site) : LinuxTests(site)
{
    private const string Client = "203.0.113.7";

    [Fact]
    public Task Signing_in_and_the_console_work_over_https() => UseAsync(Site.Service.SecureAddress, Task.CompletedTask);

    [Fact]
    public async Task Signing_in_and_the_console_work_through_a_reverse_proxy_that_closes_what_is_silent()
    {
        await using var nginx = await NginxProxy.StartAsync(Site.Service.Address, Site.Certificate);
        await UseAsync(nginx.Address, Task.Delay(TimeSpan.FromSeconds(NginxProxy.SilenceSeconds + 5), Rest.Cancellation));
    }

    [Fact]
    public async Task Events_and_serial_output_come_through_a_reverse_proxy_at_once_and_images_go()
    {
        await using var nginx = await NginxProxy.StartAsync(Site.Service.Address, Site.Certificate);
        using var handler = new HttpClientHandler
        {
            ServerCertificateCustomValidationCallback = HttpClientHandler.DangerousAcceptAnyServerCertificateValidator,
        };
        using var client = new HttpClient(handler) { BaseAddress = nginx.Address };
        client.DefaultRequestHeaders.Authorization = Site.Api.DefaultRequestHeaders.Authorization;
        await using var events = await client.GetStreamAsync("/api/v1/events", Rest.Cancellation);
        await using var serial = await client.GetStreamAsync($"/api/v1/vms/{Machine.Id}/serial?follow=true", Rest.Cancellation);

        var vm = await client.CreateVmAsync(new { name = Rest.NewName("proxied") });
        await UntilAsync(events, (string)vm["id"]!);
        string mark = Rest.NewName("mark");
        await Machine.RunAsync($"echo {mark}-$((6*7))");
        await UntilAsync(serial, $"{mark}-42");

        byte[] content = RandomNumberGenerator.GetBytes(3 << 20);
        var (_, image, _) = await client.SendAsync(
            HttpMethod.Post, "/api/v1/images", new { name = Rest.NewName("proxied"), kind = "disk", bytes = content.Length });
        using var piece = new HttpRequestMessage(
            HttpMethod.Patch, $"/api/v1/images/{image!["id"]}/content") { Content = new ByteArrayContent(content) };
        piece.Headers.TryAddWithoutValidation("Upload-Offset", "0");
        using var answer = await client.SendAsync(piece, Rest.Cancellation);
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync(Rest.Cancellation));
    }

    /// <summary>Signs in at an address, types in the console, and waits; the connections that there were then are there still.</summary>
    private async Task UseAsync(Uri address, Task wait)
    {
        string name = Rest.NewName("operator");
        await Site.Api.SendAsync(HttpMethod.Post, "/api/v1/users", new { name, role = "operator", password = Site.Password });
        await using var window = await Site.OpenAtAsync(address, Client);
        var sockets = new List<IWebSocket>();
        int closed = 0;
        window.Page.WebSocket += (_, socket) =>
        {
            sockets.Add(socket);
            socket.Close += (_, _) => Interlocked.Increment(ref closed);
        };
        await window.SignInAsync(name, Site.Password);
        await window.Heading("Machines").WaitForAsync();
        await window.GoAsync($"/vms/{Machine.Id}/console");
        await Expect(window.Page.Locator("[data-link=connected]")).ToBeVisibleAsync();
        await Expect(window.Page.Locator("[data-control=mine]")).ToBeAttachedAsync(new() { Timeout = 30_000 });
        (int opened, int ended) = (sockets.Count, closed);
        await wait;
        await window.Page.Locator("#screen").FocusAsync();
        string mark = Rest.NewName("secure");
        await window.TypeAsync($"echo {mark} > /dev/ttyS0\n");
        await Machine.UntilSerialAsync(text => text.Contains($"{mark}\r\n", StringComparison.Ordinal));
        Assert.Equal((opened, ended), (sockets.Count, closed));
        Assert.True(opened > 0);
        Assert.All(sockets.TakeLast(opened - ended), socket => Assert.StartsWith("wss://", socket.Url, StringComparison.Ordinal));

        Assert.All(await window.Page.Context.CookiesAsync(), cookie => Assert.True(cookie.Secure, cookie.Name));
        await window.GoAsync("/create");
        string made = Rest.NewName("made");
        await window.Page.GetByLabel("Name").FillAsync(made);
        await window.Page.GetByLabel("and start it").UncheckAsync();
        await window.Button("Create").ClickAsync();
        await Expect(window.Heading(made)).ToBeVisibleAsync();
        var (_, audit, _) = await Site.Api.SendAsync(HttpMethod.Get, $"/api/v1/audit?actor={name}");
        Assert.All(audit!["items"]!.AsArray(), entry => Assert.Equal(Client, (string)entry!["address"]!));
        Assert.Contains(audit["items"]!.AsArray(), entry => (string)entry!["target"]! == "/api/v1/vms");
        Assert.Empty(window.Errors);
    }

    private static async Task UntilAsync(Stream stream, string expected)
    {
        using var reader = new StreamReader(stream, leaveOpen: true);
        string? line;
        do
        {
            line = await reader.ReadLineAsync(Rest.Cancellation).AsTask().WaitAsync(TimeSpan.FromSeconds(60), Rest.Cancellation);
        }
        while (line is not null && !line.Contains(expected, StringComparison.Ordinal));
        Assert.NotNull(line);
    }
}
