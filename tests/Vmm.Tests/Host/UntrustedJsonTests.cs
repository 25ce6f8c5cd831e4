using System.Text;
using System.Text.Json;
using WebVm.Vmm.Host;
using Xunit;

namespace WebVm.Vmm.Tests.Host;

/// <summary>JSON that is accepted holds no surprise for whoever reads its values later.</summary>
public sealed class UntrustedJsonTests
{
    [Theory]
    [InlineData("{\"a\": \"\\ud800\"}")]
    [InlineData("{\"\\udc00\": 1}")]
    [InlineData("{\"a\": [{\"b\": \"\\ud800x\"}]}")]
    [InlineData("{\"a\": 1, \"a\": 2}")]
    [InlineData("{\"a\": {\"b\": 1, \"\\u0062\": 2}}")]
    [InlineData("[[[[[[[[[]]]]]]]]]")]
    [InlineData("{\"a\": 1")]
    [InlineData("{} {}")]
    [InlineData("")]
    [InlineData("\"a")]
    public void Unsound_JSON_is_refused(string json) =>
        Assert.Throws<InvalidDataException>(() => UntrustedJson.Parse(Encoding.UTF8.GetBytes(json), 8));

    [Fact]
    public void Bytes_that_are_not_UTF8_are_refused_wherever_they_are()
    {
        byte[] sound = Encoding.UTF8.GetBytes("{\"name\": \"value\", \"other\": [\"x\"]}");
        UntrustedJson.Parse(sound, 8).Dispose();
        for (int at = 0; at < sound.Length; at++)
        {
            byte[] damaged = (byte[])sound.Clone();
            damaged[at] = 0xc3;
            Assert.Throws<InvalidDataException>(() => UntrustedJson.Parse(damaged, 8));
        }
    }

    /// <summary>The detector's own test: what is let through can be read as text throughout, whatever the bytes.</summary>
    [Fact]
    public void Every_string_of_what_is_accepted_can_be_had()
    {
        var random = new Random(20261128);
        byte[] sound = Encoding.UTF8.GetBytes("{\"n\": [\"\\u00e4\\ud83d\\ude00\", \"ä😀\", {\"\\u0061\": null}], \"m\": 1e400}");
        int accepted = 0;
        for (int round = 0; round < 20_000; round++)
        {
            byte[] mutated = (byte[])sound.Clone();
            mutated[random.Next(mutated.Length)] = (byte)random.Next(256);
            try
            {
                using var document = UntrustedJson.Parse(mutated, 8);
                ReadAll(document.RootElement);
                accepted++;
            }
            catch (InvalidDataException)
            {
                // As it should be.
            }
        }

        Assert.InRange(accepted, 100, 19_900);
    }

    private static void ReadAll(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.String:
                Assert.NotNull(element.GetString());
                break;
            case JsonValueKind.Array:
                foreach (var item in element.EnumerateArray())
                {
                    ReadAll(item);
                }

                break;
            case JsonValueKind.Object:
                foreach (var member in element.EnumerateObject())
                {
                    Assert.NotNull(member.Name);
                    ReadAll(member.Value);
                }

                break;
        }
    }
}
