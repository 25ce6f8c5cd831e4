using System.Net;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Persistence.Entities;
using Xunit;

namespace WebVm.Api.Tests.Events;

/// <summary>Clients that resume the stream of events after some of what they missed was deleted.</summary>
public sealed class ResumeTests
{
    [Fact]
    public async Task A_client_whose_next_event_is_not_kept_is_told_before_anything_else()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        await using var database = Databases.Of(service).CreateDbContext();
        for (int i = 0; i < 6; i++)
        {
            await service.Client.CreateVmAsync(new { name = Rest.NewName("resume") });
        }

        long first = await database.Events.MinAsync(e => e.Id, Rest.Cancellation) + 3;
        long last = await database.Events.MaxAsync(e => e.Id, Rest.Cancellation);
        await database.Events.Where(e => e.Id < first).ExecuteDeleteAsync(Rest.Cancellation);

        Assert.Equal(
            ($"id: {first - 1}", "event: gap", $$"""data: {"after":1,"next":{{first}}}""", $"id: {first}"),
            await FirstAsync(service, "", "1"));
        Assert.Equal($"id: {first}", (await FirstAsync(service, "", $"{first - 1}")).Item1);
        Assert.Equal($"id: {first}", (await FirstAsync(service, "?after=0", null)).Item1);
        // An id of another database, and one that is none.
        Assert.Equal(
            ($"id: {last}", "event: gap", $$"""data: {"after":{{last + 50}},"next":{{last + 1}}}"""),
            Three(await FirstAsync(service, "", $"{last + 50}", lines: 3)));
        Assert.Equal(
            ($"id: {last}", "event: gap", $$"""data: {"after":null,"next":{{last + 1}}}"""),
            Three(await FirstAsync(service, "", "x", lines: 3)));

        await database.Events.ExecuteDeleteAsync(Rest.Cancellation);
        Assert.Equal(
            ($"id: {last}", "event: gap", $$"""data: {"after":{{last - 1}},"next":{{last + 1}}}"""),
            Three(await FirstAsync(service, "", $"{last - 1}", lines: 3)));
        // Whoever has seen the last of them misses nothing.
        var reading = FirstAsync(service, "", $"{last}", lines: 3);
        await service.Client.CreateVmAsync(new { name = Rest.NewName("resume") });
        Assert.Equal($"id: {last + 1}", (await reading).Item1);
    }

    private static (string, string, string) Three((string, string, string, string) lines) => (lines.Item1, lines.Item2, lines.Item3);

    private static async Task<(string, string, string, string)> FirstAsync(
        ServiceProcess service, string query, string? lastEventId, int lines = 4)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(Rest.Cancellation);
        over.CancelAfter(Rest.Patience);
        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/v1/events" + query);
        if (lastEventId is not null)
        {
            request.Headers.TryAddWithoutValidation("Last-Event-ID", lastEventId);
        }

        using var answer = await service.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, over.Token);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        using var reader = new StreamReader(await answer.Content.ReadAsStreamAsync(over.Token));
        var found = new List<string>();
        while (found.Count < lines)
        {
            string line = await reader.ReadLineAsync(over.Token) ?? throw new IOException("The stream ended.");
            if (line.Length > 0 && line[0] != ':')
            {
                found.Add(line);
            }
        }

        return (found[0], found[1], found[2], found.ElementAtOrDefault(3) ?? "");
    }
}
