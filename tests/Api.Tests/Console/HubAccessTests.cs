using System.Diagnostics;
using System.Net.WebSockets;
using System.Reflection;
using System.Text;
using WebVm.Api.Console;
using Xunit;

namespace WebVm.Api.Tests.Console;

public sealed class HubAccessTests(SharedService shared)
{
    // Every method of the hub with arguments as its client sends them. A new one is walked only once it is here.
    private static readonly Dictionary<string, object[]> s_methods = new()
    {
        [nameof(ConsoleHub.OpenDisplay)] = [Guid.Empty.ToString(), false],
        [nameof(ConsoleHub.OpenSerial)] = [Guid.Empty.ToString(), 0L],
        [nameof(ConsoleHub.Succeed)] = ["nobody"],
        [nameof(ConsoleHub.Acknowledge)] = [1L, 1],
        [nameof(ConsoleHub.Key)] = ["KeyA", true],
        [nameof(ConsoleHub.Pointer)] = [1, 1, 0, 1],
        [nameof(ConsoleHub.TakeControl)] = [],
        [nameof(ConsoleHub.Paste)] = ["paste", "us"],
        [nameof(ConsoleHub.WriteSerial)] = [Encoding.ASCII.GetBytes("serial")],
        [nameof(ConsoleHub.AttendSerial)] = [true],
        [nameof(ConsoleHub.AnswerSerial)] = [Encoding.ASCII.GetBytes("answer"), 0L],
        [nameof(ConsoleHub.Heard)] = [long.MaxValue],
    };

    [Fact]
    public void Every_method_is_walked() => Assert.Equal(
        typeof(ConsoleHub).GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly)
            .Where(method => !method.IsVirtual).Select(method => method.Name).Order(),
        s_methods.Keys.Order());

    [Theory]
    [InlineData("wvm_wrong", null)]
    [InlineData(ServiceProcess.AdminToken, "https://evil.example")]
    public async Task A_stranger_and_a_foreign_page_are_turned_away(string token, string? origin) =>
        await Assert.ThrowsAsync<WebSocketException>(() => HubClient.ConnectAsync(shared.Service.Address, token, origin: origin));

    [Fact]
    public async Task Only_our_protocol_is_spoken() =>
        await Assert.ThrowsAsync<WebSocketException>(
            () => HubClient.ConnectAsync(shared.Service.Address, ServiceProcess.AdminToken, "json"));

    [Fact]
    public async Task A_token_without_console_scope_is_turned_away()
    {
        string token = await TokenAsync("vms:read");
        await Assert.ThrowsAsync<WebSocketException>(() => HubClient.ConnectAsync(shared.Service.Address, token));
    }

    [Fact]
    public async Task Without_a_VM_no_method_does_anything()
    {
        await using var client = await HubClient.ConnectAsync(shared.Service.Address, ServiceProcess.AdminToken);
        foreach (var (method, arguments) in s_methods)
        {
            string? complaint = await client.InvokeAsync(method, arguments);
            Assert.True(complaint is null != method.StartsWith("Open", StringComparison.Ordinal), $"{method} answered: {complaint}");
        }
    }

    [Fact]
    public async Task Who_may_only_view_reaches_the_guest_by_no_method_and_who_may_control_does()
    {
        var vm = await shared.Client.CreateVmAsync(
            IdleGuest.Settings(await IdleGuest.UploadAsync(shared.Client, IdleImage.Echo()), Rest.NewName()));
        string id = (string)vm["id"]!;
        await shared.Client.SendAsync(HttpMethod.Put, $"/api/v1/vms/{id}/power?wait=60", new { action = "on" });

        string viewer = await TokenAsync("console:view");
        string ticket = (string)(await shared.Client.SendAsync(HttpMethod.Post, $"/api/v1/vms/{id}/console")).Body!["ticket"]!;
        await using (var display = await HubClient.ConnectAsync(shared.Service.Address, viewer))
        await using (var serial = await HubClient.ConnectAsync(shared.Service.Address, viewer))
        {
            Assert.Null(await display.InvokeAsync(nameof(ConsoleHub.OpenDisplay), id, false));
            Assert.Null(await serial.InvokeAsync(nameof(ConsoleHub.OpenSerial), id, 0L));
            foreach (var client in new[] { display, serial })
            {
                foreach (var (method, arguments) in s_methods.Where(method => !method.Key.StartsWith("Open", StringComparison.Ordinal)))
                {
                    await client.InvokeAsync(method, arguments);
                }
            }

            Assert.Equal("", await SerialAsync(id));
        }

        await using (var display = await HubClient.ConnectAsync(shared.Service.Address, ticket))
        {
            Assert.Null(await display.InvokeAsync(nameof(ConsoleHub.OpenDisplay), id, false));
            await display.InvokeAsync(nameof(ConsoleHub.Key), "KeyA", true);
            await AwaitSerialAsync(id, seen => seen.Length > 0);
        }

        await using (var serial = await HubClient.ConnectAsync(shared.Service.Address, ServiceProcess.AdminToken))
        {
            Assert.Null(await serial.InvokeAsync(nameof(ConsoleHub.OpenSerial), id, 0L));
            await serial.InvokeAsync(nameof(ConsoleHub.WriteSerial), Encoding.ASCII.GetBytes("serial"));
            await AwaitSerialAsync(id, seen => seen.EndsWith("serial", StringComparison.Ordinal));
        }

        await shared.Client.SendAsync(HttpMethod.Put, $"/api/v1/vms/{id}/power?wait=60", new { action = "off" });
    }

    [Fact]
    public async Task Input_that_was_held_up_on_its_way_is_not_carried_out()
    {
        var vm = await shared.Client.CreateVmAsync(
            IdleGuest.Settings(await IdleGuest.UploadAsync(shared.Client, IdleImage.Echo()), Rest.NewName()));
        string id = (string)vm["id"]!;
        await shared.Client.SendAsync(HttpMethod.Put, $"/api/v1/vms/{id}/power?wait=60", new { action = "on" });
        await using var serial = await HubClient.ConnectAsync(shared.Service.Address, ServiceProcess.AdminToken);
        Assert.Null(await serial.InvokeAsync(nameof(ConsoleHub.OpenSerial), id, 0L));
        await serial.AwaitAsync("pulse");
        await serial.InvokeAsync(nameof(ConsoleHub.WriteSerial), Encoding.ASCII.GetBytes("before;"));
        // The last pulse that came back before this is of long ago.
        await serial.InvokeAsync(nameof(ConsoleHub.Heard), 1L);
        await serial.InvokeAsync(nameof(ConsoleHub.WriteSerial), Encoding.ASCII.GetBytes("late;"));
        await serial.InvokeAsync(nameof(ConsoleHub.Heard), long.MaxValue);
        await serial.InvokeAsync(nameof(ConsoleHub.WriteSerial), Encoding.ASCII.GetBytes("after;"));
        await AwaitSerialAsync(id, seen => seen.EndsWith("after;", StringComparison.Ordinal));
        Assert.Equal("before;after;", await SerialAsync(id));
        await shared.Client.SendAsync(HttpMethod.Put, $"/api/v1/vms/{id}/power?wait=60", new { action = "off" });
    }

    [Fact]
    public async Task An_answer_is_taken_from_the_viewer_that_attended_last_and_only_to_output_since_then()
    {
        var vm = await shared.Client.CreateVmAsync(
            IdleGuest.Settings(await IdleGuest.UploadAsync(shared.Client, IdleImage.Echo()), Rest.NewName()));
        string id = (string)vm["id"]!;
        await shared.Client.SendAsync(HttpMethod.Put, $"/api/v1/vms/{id}/power?wait=60", new { action = "on" });
        await using var first = await HubClient.ConnectAsync(shared.Service.Address, ServiceProcess.AdminToken);
        await using var second = await HubClient.ConnectAsync(shared.Service.Address, ServiceProcess.AdminToken);
        foreach (var client in new[] { first, second })
        {
            Assert.Null(await client.InvokeAsync(nameof(ConsoleHub.OpenSerial), id, 0L));
        }

        await SayAsync(first, "nobody-attended;", 0);
        await first.InvokeAsync(nameof(ConsoleHub.WriteSerial), Encoding.ASCII.GetBytes("typed;"));
        await AwaitSerialAsync(id, seen => seen == "typed;");
        // The guest prints back what it reads: six bytes stand in the log.
        await second.InvokeAsync(nameof(ConsoleHub.AttendSerial), true);
        await SayAsync(first, "no-longer-attended;", 6);
        await SayAsync(second, "older;", 5);
        await SayAsync(second, "answer;", 6);
        await AwaitSerialAsync(id, seen => seen.EndsWith("answer;", StringComparison.Ordinal));
        await second.InvokeAsync(nameof(ConsoleHub.AttendSerial), false);
        await SayAsync(second, "turned-away;", 100);
        await first.InvokeAsync(nameof(ConsoleHub.WriteSerial), Encoding.ASCII.GetBytes("end"));
        await AwaitSerialAsync(id, seen => seen.EndsWith("end", StringComparison.Ordinal));
        Assert.Equal("typed;answer;end", await SerialAsync(id));
        await shared.Client.SendAsync(HttpMethod.Put, $"/api/v1/vms/{id}/power?wait=60", new { action = "off" });

        static Task SayAsync(HubClient client, string answer, long offset) =>
            client.InvokeAsync(nameof(ConsoleHub.AnswerSerial), Encoding.ASCII.GetBytes(answer), offset);
    }

    [Fact]
    public async Task A_ticket_opens_its_VM_alone_and_no_request()
    {
        string[] ids = [.. await Task.WhenAll(
            Enumerable.Range(0, 2).Select(async _ => (string)(await shared.Client.CreateVmAsync(new { name = Rest.NewName() }))["id"]!))];
        string ticket = (string)(await shared.Client.SendAsync(HttpMethod.Post, $"/api/v1/vms/{ids[0]}/console")).Body!["ticket"]!;
        await using var client = await HubClient.ConnectAsync(shared.Service.Address, ticket);
        Assert.NotNull(await client.InvokeAsync(nameof(ConsoleHub.OpenDisplay), ids[1], true));
        Assert.Null(await client.InvokeAsync(nameof(ConsoleHub.OpenDisplay), ids[0], true));
        using var request = new HttpClient { BaseAddress = shared.Service.Address };
        Assert.Equal(
            System.Net.HttpStatusCode.Unauthorized, (await request.SendAsync(
                HttpMethod.Get, "/api/v1/vms", headers: ("Authorization", "Bearer " + ticket))).Status);
    }

    private async Task<string> TokenAsync(params string[] scopes) =>
        (string)(await shared.Client.SendAsync(HttpMethod.Post, "/api/v1/tokens", new { name = Rest.NewName(), scopes })).Body!["token"]!;

    private Task<string> SerialAsync(string id) => shared.Client.GetStringAsync($"/api/v1/vms/{id}/serial", Rest.Cancellation);

    private async Task AwaitSerialAsync(string id, Func<string, bool> reached)
    {
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < Rest.Patience;)
        {
            if (reached(await SerialAsync(id)))
            {
                return;
            }

            await Task.Delay(100, Rest.Cancellation);
        }

        Assert.Fail("What the controller sent did not reach the guest.");
    }
}
