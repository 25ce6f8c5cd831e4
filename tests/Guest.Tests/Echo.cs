using WebVm.Vmm.Control;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>A guest that says what is typed into COM1 (<see cref="MultibootSample.Echo"/>), led by a client.</summary>
internal static class Echo
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(3);

    public static async Task CheckAsync(ControlClient client, string text)
    {
        long from = (await client.StatusAsync().WaitAsync(s_limit)).SerialEnd;
        for (int written = 0; written < text.Length;)
        {
            int taken = await client.WriteSerialAsync([.. text[written..].Select(letter => (byte)letter)]).WaitAsync(s_limit);
            written += taken;
            await Task.Delay(taken > 0 ? 0 : 5);
        }

        string heard = "";
        var deadline = DateTime.UtcNow + s_limit;
        while (heard != text)
        {
            Assert.True(DateTime.UtcNow < deadline, $"'{heard}' came back.");
            await Task.Delay(5);
            heard = string.Concat((await client.ReadSerialAsync(from).WaitAsync(s_limit)).Data.Select(letter => (char)letter));
        }
    }
}
