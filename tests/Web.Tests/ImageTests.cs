using System.Net;
using System.Security.Cryptography;
using Microsoft.Playwright;
using Xunit;
using static Microsoft.Playwright.Assertions;

namespace WebVm.Web.Tests;

/// <summary>How images come in by the browser.</summary>
public sealed class ImageTests(Site site)
{
    [Fact]
    public async Task An_upload_is_paused_resumed_and_outlives_a_broken_connection()
    {
        string name = Rest.NewName("kernel");
        byte[] content = RandomNumberGenerator.GetBytes(20 << 20);
        var folder = Directory.CreateTempSubdirectory("webvm-upload-");
        string file = Path.Combine(folder.FullName, name);
        string other = Path.Combine(folder.FullName, "other");
        await File.WriteAllBytesAsync(file, content, Rest.Cancellation);
        await File.WriteAllBytesAsync(other, content[..^1], Rest.Cancellation);
        await using var window = await site.OpenAsync();
        int sent = 0;
        var paused = new TaskCompletionSource();
        await window.Page.RouteAsync("**/api/v1/images/*/content", async route =>
        {
            int piece = route.Request.Method == "PATCH" ? ++sent : 0;
            if (piece == 2)
            {
                await paused.Task;
            }

            // The second piece is given up by the pause, the fourth meets a broken connection.
            await (piece is 2 or 4 ? route.AbortAsync() : route.ContinueAsync());
        });
        await window.GoAsync("/images");
        await window.Button("Upload").ClickAsync();
        var dialog = window.Page.GetByRole(AriaRole.Dialog);
        await ChooseAsync(dialog, file);
        await dialog.GetByLabel("SHA-256").FillAsync(Convert.ToHexStringLower(SHA256.HashData(content)));
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Upload" }).ClickAsync();

        var row = window.Page.Locator($"[data-image={name}]");
        await Expect(row.GetByRole(AriaRole.Progressbar)).ToHaveAttributeAsync("value", "40");
        await Expect(row).ToContainTextAsync("8 MiB of 20 MiB");
        await row.GetByRole(AriaRole.Button, new() { Name = "Pause" }).ClickAsync();
        await Expect(row).ToContainTextAsync("Upload stands at 8 MiB of 20 MiB");
        paused.SetResult();

        await row.GetByRole(AriaRole.Button, new() { Name = "Resume…" }).ClickAsync();
        await ChooseAsync(dialog, other);
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Upload" }).ClickAsync();
        await Expect(dialog.GetByText("Another file")).ToBeVisibleAsync();
        await ChooseAsync(dialog, file);
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Upload" }).ClickAsync();
        await Expect(row.GetByRole(AriaRole.Progressbar)).ToHaveCountAsync(0);
        await Expect(row).ToContainTextAsync("20 MiB");
        await Expect(row).ToContainTextAsync("not used");
        // Of three pieces, one was given up and one broke.
        Assert.Equal(5, sent);
        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task An_unfinished_upload_can_be_thrown_away()
    {
        string name = Rest.NewName("unfinished");
        await site.Api.SendAsync(HttpMethod.Post, "/api/v1/images", new { name, kind = "disk", bytes = 1 << 20 });
        await using var window = await site.OpenAsync();
        await window.GoAsync("/images");
        var row = window.Page.Locator($"[data-image={name}]");
        await row.GetByRole(AriaRole.Button, new() { Name = $"Delete {name}" }).ClickAsync();
        await window.Page.GetByRole(AriaRole.Dialog).GetByRole(AriaRole.Button, new() { Name = "Delete" }).ClickAsync();
        await Expect(row).ToHaveCountAsync(0);
    }

    [Fact]
    public async Task An_import_by_URL_is_followed_to_its_end_and_says_why_it_failed()
    {
        string name = Rest.NewName("import");
        byte[] content = RandomNumberGenerator.GetBytes(100_000);
        using var server = Serve($"{name}.img", content, out string address);
        await using var window = await site.OpenAsync();
        await window.GoAsync("/images");
        await ImportAsync(window, $"{address}{name}.img", content);
        var row = window.Page.Locator($"[data-image='{name}.img']");
        // The message goes after a while, the row stays.
        await Expect(window.Page.GetByText($"{name}.img was imported")).ToBeVisibleAsync();
        await Expect(row).ToContainTextAsync("97.7 KiB");

        await ImportAsync(window, $"{address}{name}-missing.iso", content);
        await Expect(window.Page.Locator($"[data-image='{name}-missing.iso']")).ToContainTextAsync("The server answered 404");
    }

    private static async Task ImportAsync(Window window, string url, byte[] content)
    {
        await window.Button("Import by URL").ClickAsync();
        var dialog = window.Page.GetByRole(AriaRole.Dialog);
        await dialog.GetByLabel("URL").FillAsync(url);
        await dialog.GetByLabel("Kind").SelectOptionAsync("Initrd");
        await dialog.GetByLabel("SHA-256").FillAsync(Convert.ToHexStringLower(SHA256.HashData(content)));
        await Expect(dialog.GetByLabel("Name")).ToHaveValueAsync(url[(url.LastIndexOf('/') + 1)..]);
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Import" }).ClickAsync();
        await Expect(dialog).ToHaveCountAsync(0);
    }

    private static Task ChooseAsync(ILocator dialog, string file) =>
        dialog.GetByLabel("File", new() { Exact = true }).SetInputFilesAsync(file);

    private static HttpListener Serve(string name, byte[] content, out string address)
    {
        address = $"http://127.0.0.1:{TestPorts.Next()}/";
        var server = new HttpListener { Prefixes = { address } };
        server.Start();
        _ = AnswerAsync(server, name, content);
        return server;
    }

    private static async Task AnswerAsync(HttpListener server, string name, byte[] content)
    {
        try
        {
            while (true)
            {
                var exchange = await server.GetContextAsync();
                bool known = exchange.Request.Url!.AbsolutePath == "/" + name;
                exchange.Response.StatusCode = known ? 200 : 404;
                exchange.Response.ContentLength64 = known ? content.Length : 0;
                await exchange.Response.OutputStream.WriteAsync(known ? content : []);
                exchange.Response.Close();
            }
        }
        catch (Exception failure) when (failure is ObjectDisposedException or HttpListenerException)
        {
            // The test is over.
        }
    }
}
