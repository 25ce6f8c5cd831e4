using System.Net;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Console;
using WebVm.Api.Identity;
using WebVm.Api.Tests.Console;
using Xunit;

namespace WebVm.Api.Tests.Identity;

/// <summary>Nobody takes the streams of others, by however many tokens.</summary>
public sealed class StreamLimitTests(SharedService shared)
{
    private ServiceProcess Service => shared.Service;

    [Theory]
    [InlineData("/api/v1/events")]
    [InlineData("/api/v1/vms/{vm}/serial?follow=true")]
    public async Task One_stream_too_many_is_refused_until_another_is_closed_and_others_have_their_own(string path)
    {
        string vm = (string)(await shared.Client.CreateVmAsync(new { name = Rest.NewName() }))["id"]!;
        path = path.Replace("{vm}", vm, StringComparison.Ordinal);
        using var browser = await Service.SignInAsync((await Service.AddUserAsync("viewer")).Name);
        var (token, _) = await Service.WithTokenAsync(browser);
        using var other = await Service.SignInAsync((await Service.AddUserAsync("viewer")).Name);
        var open = new List<HttpResponseMessage>();
        for (int i = 0; i < StreamLimits.MostOfOneUser; i++)
        {
            open.Add(await OpenAsync(i % 2 == 0 ? browser : token, path));
        }

        Assert.All(open, answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
        using (var refused = await OpenAsync(token, path))
        {
            Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);
            Assert.NotNull(refused.Headers.RetryAfter);
        }

        using (var others = await OpenAsync(other, path))
        {
            Assert.Equal(HttpStatusCode.OK, others.StatusCode);
        }

        // What is not a stream is not counted.
        Assert.Equal(HttpStatusCode.OK, (await token.SendAsync(HttpMethod.Get, $"/api/v1/vms/{vm}/serial")).Status);
        open[0].Dispose();
        await RunningMachine.EventuallyAsync(Service, async () =>
        {
            using var again = await OpenAsync(token, path);
            return again.StatusCode == HttpStatusCode.OK;
        });
        open.ForEach(answer => answer.Dispose());
    }

    [Fact]
    public async Task Consoles_of_one_user_are_bounded()
    {
        string vm = (string)(await shared.Client.CreateVmAsync(new { name = Rest.NewName() }))["id"]!;
        using var browser = await Service.SignInAsync((await Service.AddUserAsync("viewer")).Name);
        string token = (string)(await Service.WithTokenAsync(browser)).Token["token"]!;
        var open = new List<HubClient>();
        for (int i = 0; i <= StreamLimits.MostOfOneUser; i++)
        {
            open.Add(await HubClient.ConnectAsync(Service.Address, token));
            string? complaint = await open[i].InvokeAsync(nameof(ConsoleHub.OpenSerial), vm, 0L);
            Assert.Equal(i == StreamLimits.MostOfOneUser, complaint is not null);
        }

        foreach (var client in open)
        {
            await client.DisposeAsync();
        }
    }

    [Fact]
    public async Task Streams_that_replay_from_different_points_all_see_every_event_once_and_in_order()
    {
        await using var service = await ServiceProcess.StartAsync();
        await using var database = Databases.Of(service).CreateDbContext();
        // More than is kept in memory, and more than a page; what comes before the service has read it to its end, and after.
        await AddAsync(database, 6000);
        long first = await database.Events.MinAsync(e => e.Id, Rest.Cancellation);
        long last = await database.Events.MaxAsync(e => e.Id, Rest.Cancellation);
        var readers = new[] { first - 1, first + 777, last - 4000, last - 10, last }.Select(from => ReadAsync(service, from, last + 1000))
            .ToArray();
        await AddAsync(database, 1000);
        long[] all = await database.Events.OrderBy(e => e.Id).Select(e => e.Id).ToArrayAsync(Rest.Cancellation);
        foreach (var reader in readers)
        {
            var (from, ids) = await reader;
            Assert.Equal(all.Where(id => id > from), ids);
        }
    }

    private static async Task AddAsync(DbContext database, int count) => await database.Database.ExecuteSqlAsync(
        $"INSERT INTO events (type, subject, data, at) SELECT 'test.happened', '/test', '{{}}'::jsonb, now() FROM generate_series(1, {count})",
        Rest.Cancellation);

    private static async Task<(long From, List<long> Ids)> ReadAsync(ServiceProcess service, long from, long to)
    {
        using var answer = await service.Client.GetAsync(
            $"/api/v1/events?after={from}", HttpCompletionOption.ResponseHeadersRead, Rest.Cancellation);
        using var reader = new StreamReader(await answer.Content.ReadAsStreamAsync(Rest.Cancellation));
        var ids = new List<long>();
        while (ids.LastOrDefault() < to && await reader.ReadLineAsync(Rest.Cancellation) is { } line)
        {
            if (line.StartsWith("id: ", StringComparison.Ordinal))
            {
                ids.Add(long.Parse(line[4..], null));
            }
        }

        return (from, ids);
    }

    private static Task<HttpResponseMessage> OpenAsync(HttpClient client, string path) =>
        client.GetAsync(path, HttpCompletionOption.ResponseHeadersRead, Rest.Cancellation);
}
