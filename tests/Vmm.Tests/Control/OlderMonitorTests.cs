using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using WebVm.Vmm.Control;
using WebVm.Vmm.Host;
using Xunit;

namespace WebVm.Vmm.Tests.Control;

/// <summary>Monitors outlive the service that started them: a newer client leads one that speaks the version before.</summary>
public sealed class OlderMonitorTests : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(2);

    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-older").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_monitor_of_version_1_is_told_the_directory_to_save_to()
    {
        var asked = ServeAsync(version: 1, """{"memoryBytes":7}""");
        using var client = (await ControlClient.ConnectAsync(Socket).WaitAsync(s_limit)).Start();
        string state = Path.Combine(_folder, "state");
        Assert.Equal(7, (await client.SaveAsync(state).WaitAsync(s_limit)).MemoryBytes);
        using var request = await asked;
        Assert.Equal("save", request.RootElement.GetProperty("method").GetString());
        Assert.Equal(state, request.RootElement.GetProperty("parameters").GetProperty("directory").GetString());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public async Task A_monitor_of_another_version_is_refused(int version)
    {
        var asked = ServeAsync(version, "{}");
        var refused = await Assert.ThrowsAsync<ControlProtocolException>(() => ControlClient.ConnectAsync(Socket).WaitAsync(s_limit));
        Assert.Contains($"version {version}", refused.Message, StringComparison.Ordinal);
        await Assert.ThrowsAnyAsync<Exception>(() => asked);
    }

    private string Socket => Path.Combine(_folder, "control");

    /// <summary>Greets one client, and answers its first request.</summary>
    private Task<JsonDocument> ServeAsync(int version, string result)
    {
        var listener = UnixSocket.Listen(Socket);
        return Task.Factory.StartNew(
            () =>
            {
                using (listener)
                {
                    using var stream = new DescriptorStream(UnixSocket.Accept(listener));
                    Send(stream, $$"""{"protocol":"webvm-control","version":{{version}},"machine":"vm","processId":1}""");
                    var header = new byte[4];
                    stream.ReadExactly(header);
                    var body = new byte[BinaryPrimitives.ReadInt32LittleEndian(header)];
                    stream.ReadExactly(body);
                    var request = JsonDocument.Parse(body);
                    Send(stream, $$"""{"id":{{request.RootElement.GetProperty("id")}},"result":{{result}},"descriptors":0}""");
                    return request;
                }
            },
            TaskCreationOptions.LongRunning);
    }

    private static void Send(DescriptorStream stream, string json)
    {
        byte[] body = Encoding.UTF8.GetBytes(json);
        var frame = new byte[4 + body.Length];
        BinaryPrimitives.WriteInt32LittleEndian(frame, body.Length);
        body.CopyTo(frame, 4);
        stream.Write(frame);
    }
}
