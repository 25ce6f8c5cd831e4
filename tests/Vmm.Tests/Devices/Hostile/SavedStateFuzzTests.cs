using System.Text.Json;
using System.Text.Json.Nodes;
using WebVm.Vmm.State;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Hostile;

public sealed class SavedStateFuzzTests
{
    [Fact]
    public void A_mutated_state_is_refused_or_taken_but_never_breaks_a_device() => Fuzz(Environment.TickCount, 1500);

    [Fact(Explicit = true)]
    public void A_mutated_state_is_refused_or_taken_but_never_breaks_a_device_for_long() => Fuzz(Environment.TickCount, 200_000);

    [Fact]
    public void The_state_of_all_devices_survives_a_round_trip_unchanged()
    {
        using var platform = new WholePlatform();
        var guest = new RandomGuest(platform, 4711);
        for (int i = 0; i < 20_000; i++)
        {
            guest.Act();
        }

        platform.Clock.Stop();
        platform.Tree.Stop();
        string before = JsonSerializer.Serialize(platform.Tree.Save(), StateJson.Options);
        platform.Tree.Reset();
        platform.Tree.Load(JsonSerializer.Deserialize<StateSection[]>(before, StateJson.Options)!);
        Assert.Equal(before, JsonSerializer.Serialize(platform.Tree.Save(), StateJson.Options));
    }

    private static void Fuzz(int seed, int rounds)
    {
        var random = new Random(seed);
        using var platform = new WholePlatform();
        var guest = new RandomGuest(platform, seed);
        for (int i = 0; i < 5000; i++)
        {
            guest.Act();
        }

        platform.Clock.Stop();
        platform.Tree.Stop();
        string good = JsonSerializer.Serialize(platform.Tree.Save(), StateJson.Options);
        int refused = 0, taken = 0;
        for (int round = 0; round < rounds; round++)
        {
            var document = JsonNode.Parse(good)!.AsArray();
            for (int mutations = random.Next(1, 4); mutations > 0; mutations--)
            {
                Mutate(document[random.Next(document.Count)]!, random);
            }

            string mutated = document.ToJsonString();
            try
            {
                platform.Tree.Load(JsonSerializer.Deserialize<StateSection[]>(mutated, StateJson.Options)!);
                taken++;
            }
            catch (Exception exception) when (exception is InvalidDataException or JsonException)
            {
                refused++;
            }

            Assert.True(platform.Faults.Count == 0, $"seed {seed}, round {round}: {platform.Faults.FirstOrDefault()}");
            platform.Tree.Start();
            for (int i = 0; i < 100; i++)
            {
                guest.Act();
            }

            platform.Tree.Stop();
            Assert.True(platform.Faults.Count == 0, $"seed {seed}, round {round}: {platform.Faults.FirstOrDefault()}");
        }

        Assert.True(refused > rounds / 10 && taken > rounds / 10, $"seed {seed}: {refused} refused and {taken} taken is no variety");
        platform.Tree.Load(JsonSerializer.Deserialize<StateSection[]>(good, StateJson.Options)!);
    }

    /// <summary>Changes one thing somewhere below.</summary>
    private static void Mutate(JsonNode node, Random random)
    {
        while (true)
        {
            switch (node)
            {
                case JsonObject { Count: > 0 } parent:
                    string name = parent.ContainsKey("body") && random.Next(16) != 0
                        ? "body"
                        : parent.ElementAt(random.Next(parent.Count)).Key;
                    if (parent[name] is JsonObject or JsonArray { Count: > 0 } && random.Next(8) != 0)
                    {
                        node = parent[name]!;
                        continue;
                    }

                    switch (random.Next(24))
                    {
                        case 0:
                            parent.Remove(name);
                            break;
                        case 1:
                            parent["surplus"] = 1;
                            break;
                        default:
                            parent[name] = Change(parent[name], random);
                            break;
                    }

                    return;
                case JsonArray { Count: > 0 } parent:
                    int index = random.Next(parent.Count);
                    if (parent[index] is JsonObject && random.Next(8) != 0)
                    {
                        node = parent[index]!;
                        continue;
                    }

                    switch (random.Next(12))
                    {
                        case 0:
                            parent.RemoveAt(index);
                            break;
                        case 1:
                            parent.Add(parent[index]?.DeepClone());
                            break;
                        default:
                            parent[index] = Change(parent[index], random);
                            break;
                    }

                    return;
                default:
                    return;
            }
        }
    }

    private static JsonNode? Change(JsonNode? value, Random random) => (value, random.Next(16)) switch
    {
        (_, 0) => random.Next(5) switch { 0 => null, 1 => "text", 2 => new JsonObject(), 3 => new JsonArray(), _ => true },
        (JsonValue number, _) when number.GetValueKind() == JsonValueKind.Number => random.Next(6) switch
        {
            0 => -1,
            1 => 0,
            2 => 255,
            3 => long.MaxValue,
            4 => random.Next(65536),
            _ => random.Next(256),
        },
        (JsonValue flag, _) when flag.GetValueKind() is JsonValueKind.True or JsonValueKind.False => random.Next(2) == 0,
        (JsonValue text, _) when text.GetValueKind() == JsonValueKind.String => ChangeBytes((string)text!, random),
        _ => random.Next(256),
    };

    /// <summary>Flips bytes of binary data and, rarely, changes its length; other text becomes different text.</summary>
    private static string ChangeBytes(string text, Random random)
    {
        byte[] data = new byte[text.Length];
        if (!Convert.TryFromBase64String(text, data, out int length))
        {
            return text + "x";
        }

        data = data[..length];
        for (int i = 0; i < data.Length; i += 1 + random.Next(64))
        {
            data[i] = (byte)random.Next(256);
        }

        return Convert.ToBase64String(random.Next(8) == 0 ? new byte[random.Next(5) * 1000] : data);
    }
}
