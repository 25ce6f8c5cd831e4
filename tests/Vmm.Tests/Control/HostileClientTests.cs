using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using WebVm.Vmm.Machine.Lifecycle;
using Xunit;

namespace WebVm.Vmm.Tests.Control;

/// <summary>Clients that mean harm: whatever they send, the machine and the other clients do not notice.</summary>
public sealed class HostileClientTests : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(2);

    /// <summary>Every method with parameters that it takes, but those that end the machine or write files.</summary>
    private static readonly string[] s_requests =
    [
        """{"id":1,"method":"status"}""",
        """{"id":2,"method":"spec"}""",
        """{"id":3,"method":"metrics","parameters":{}}""",
        """{"id":4,"method":"pause"}""",
        """{"id":5,"method":"resume"}""",
        """{"id":6,"method":"reset"}""",
        """{"id":7,"method":"power-button"}""",
        """{"id":8,"method":"save"}""",
        """{"id":22,"method":"save-files"}""",
        """{"id":23,"method":"save-to","parameters":{"files":["machine.json"]},"descriptors":0}""",
        """{"id":24,"method":"save-to","parameters":{"files":["machine.json","machine.json"]},"descriptors":2}""",
        """{"id":9,"method":"serial-read","parameters":{"offset":0,"maximum":100}}""",
        """{"id":10,"method":"serial-write","parameters":{"data":"aGVsbG8="}}""",
        """{"id":11,"method":"serial-subscribe","parameters":{"offset":0}}""",
        """{"id":12,"method":"serial-unsubscribe"}""",
        """{"id":13,"method":"send-keys","parameters":{"keys":["a","ctrl-alt-delete"]}}""",
        """{"id":14,"method":"send-text","parameters":{"text":"hello"}}""",
        """{"id":15,"method":"key-events","parameters":{"events":[{"code":"KeyA","pressed":true}]}}""",
        """{"id":16,"method":"release-keys"}""",
        """{"id":17,"method":"pointer","parameters":{"deltaX":1,"deltaY":-1,"wheel":0,"buttons":1}}""",
        """{"id":18,"method":"screenshot"}""",
        """{"id":19,"method":"display-attach"}""",
        """{"id":20,"method":"display-detach"}""",
        """{"id":21,"method":"display-prefer","parameters":{"width":800,"height":600}}""",
    ];

    private readonly ControlBench _bench = new();

    public void Dispose() => _bench.Dispose();

    [Fact]
    public Task Noise_on_the_socket_harms_nobody_else() => Attack(seed: 77, rounds: 400);

    [Fact(Explicit = true)]
    public Task Noise_on_the_socket_harms_nobody_else_for_long() => Attack(Environment.TickCount, rounds: 50_000);

    [Fact]
    public async Task A_client_that_asks_and_does_not_read_waits_and_then_gets_every_reply()
    {
        const int requests = 5000;
        using var client = _bench.Raw();
        var asking = Task.Run(() =>
        {
            for (int i = 0; i < requests; i++)
            {
                ControlBench.Send(client, Encoding.UTF8.GetBytes($$"""{"id":{{i}},"method":"spec"}"""));
            }
        });
        using (var other = await _bench.Connect())
        {
            await other.StatusAsync().WaitAsync(s_limit);
        }

        await Task.WhenAny(asking, Task.Delay(1000));
        client.ReceiveTimeout = (int)s_limit.TotalMilliseconds;
        Assert.Equal(requests, Replies(client).Take(requests).Count());
        await asking.WaitAsync(s_limit);
    }

    private async Task Attack(int seed, int rounds)
    {
        var random = new Random(seed);
        await _bench.Scripted.Machine.Start().WaitAsync(s_limit);
        for (int round = 0; round < rounds; round++)
        {
            using var client = _bench.Raw();
            try
            {
                for (int messages = random.Next(1, 6); messages > 0; messages--)
                {
                    byte[] noise = Noise(random);
                    if (random.Next(8) == 0)
                    {
                        client.Send(noise);
                    }
                    else
                    {
                        ControlBench.Send(client, noise);
                    }
                }
            }
            catch (SocketException)
            {
                // Cut off already.
            }

            if (round % 100 == 99)
            {
                using var good = await _bench.Connect();
                var status = await good.StatusAsync().WaitAsync(s_limit);
                Assert.True(
                    status.State is MachineState.Running or MachineState.Paused,
                    $"seed {seed}, round {round}: {status.State}, {status.Exit}");
            }
        }
    }

    private static byte[] Noise(Random random)
    {
        if (random.Next(6) == 0)
        {
            byte[] noise = new byte[random.Next(1, 300)];
            random.NextBytes(noise);
            return noise;
        }

        string request = s_requests[random.Next(s_requests.Length)];
        if (random.Next(3) == 0)
        {
            byte[] damaged = Encoding.UTF8.GetBytes(request);
            damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            return damaged;
        }

        // Well-formed, with parameters of the wrong kind, size or range.
        var document = JsonNode.Parse(request)!.AsObject();
        if (document["parameters"] is JsonObject { Count: > 0 } parameters)
        {
            string name = parameters.ElementAt(random.Next(parameters.Count)).Key;
            parameters[name] = Strange(random);
        }
        else
        {
            document["parameters"] = Strange(random);
        }

        return Encoding.UTF8.GetBytes(document.ToJsonString());
    }

    private static JsonNode? Strange(Random random) => random.Next(10) switch
    {
        0 => null,
        1 => "",
        2 => new string('a', random.Next(20_000)),
        3 => long.MaxValue,
        4 => long.MinValue,
        5 => -1,
        6 => 1e300,
        7 => new JsonArray(null, "a", 1, new JsonObject()),
        8 => new JsonArray([.. Enumerable.Range(0, random.Next(2000)).Select(number => (JsonNode)$"{number}")]),
        _ => new JsonObject { ["code"] = null },
    };

    /// <summary>Replies as they arrive; ends when the connection does.</summary>
    private static IEnumerable<byte[]> Replies(Socket client)
    {
        // The greeting comes first.
        _ = Frame(client);
        while (Frame(client) is { } reply)
        {
            yield return reply;
        }
    }

    private static byte[]? Frame(Socket client) =>
        Exactly(client, 4) is { } header ? Exactly(client, BitConverter.ToInt32(header)) : null;

    private static byte[]? Exactly(Socket client, int length)
    {
        byte[] bytes = new byte[length];
        for (int filled = 0; filled < length;)
        {
            int count = client.Receive(bytes, filled, length - filled, SocketFlags.None);
            if (count == 0)
            {
                return null;
            }

            filled += count;
        }

        return bytes;
    }
}
