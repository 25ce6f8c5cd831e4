using System.Buffers.Binary;
using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Tmds.Linux;
using WebVm.Vmm.Control;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Machine.Consoles;
using Xunit;

namespace WebVm.Vmm.Tests.Control;

/// <summary>
/// A machine's process that was taken over says what it likes, hands over what it likes, and reads when it likes: its client has to outlive
/// that.
/// </summary>
public sealed class HostileMonitorTests : IDisposable
{
    private const uint HugePages = 4; // MFD_HUGETLB
    private const ulong HugePage = 2 << 20;
    private const string Metrics = """{"vcpus":[?],"unclaimedPorts":0,"unclaimedMmio":0}""";
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(1);

    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-hostile").FullName;
    private readonly FileDescriptor _listener;

    public HostileMonitorTests() => _listener = UnixSocket.Listen(Socket);

    private string Socket => Path.Combine(_folder, "control");

    public void Dispose()
    {
        _listener.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task One_that_reads_nothing_holds_up_no_thread_and_is_given_up()
    {
        using var socket = await GreetAsync();
        using var client = await _connecting!;
        client.Patience = TimeSpan.FromSeconds(2);
        // A caller that waits for the answer goes on elsewhere meanwhile: fifty do not take fifty threads, nor the one that asks.
        var (calls, took) = await Task.Run(() =>
        {
            long start = Stopwatch.GetTimestamp();
            return (Enumerable.Range(0, 50).Select(_ => client.WriteSerialAsync(new byte[60_000]))
                .ToArray(), Stopwatch.GetElapsedTime(start));
        }).WaitAsync(s_limit);
        Assert.True(took < TimeSpan.FromSeconds(1), $"Asking took {took}.");
        foreach (var call in calls)
        {
            await Assert.ThrowsAnyAsync<IOException>(() => call.WaitAsync(s_limit));
        }
    }

    [Fact]
    public async Task One_that_never_stops_talking_is_not_listened_to_all_the_time()
    {
        using var socket = await GreetAsync();
        using var client = await _connecting!;
        int heard = 0;
        client.Event += (_, _) => heard++;
        client.Start();
        long start = Stopwatch.GetTimestamp();
        var flood = Task.Factory.StartNew(
            () =>
            {
                while (Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(5))
                {
                    Send(socket, "{\"event\":\"state\"}");
                }
            },
            TaskCreationOptions.LongRunning);
        await flood.WaitAsync(s_limit);
        // Eight thousand at once, and as many a second.
        Assert.InRange(heard, 1000, 60_000);
    }

    [Fact]
    public async Task What_a_listener_fails_at_ends_the_connection_and_not_the_program()
    {
        using var socket = await GreetAsync();
        using var client = await _connecting!;
        client.Event += (_, _) => throw new ArgumentOutOfRangeException(nameof(client));
        client.Start();
        Send(socket, """{"event":"state","data":{"state":"running"}}""");
        await client.Closed.WaitAsync(s_limit);
    }

    [Theory]
    [InlineData("""{"written":-1}""")]
    [InlineData("""{"written":4}""")]
    public async Task It_takes_no_less_than_nothing_and_no_more_than_it_was_given(string written) =>
        await AssertRefusedAsync(written, client => client.WriteSerialAsync(new byte[3]));

    [Theory]
    [InlineData(-1)]
    [InlineData(2)]
    public async Task So_it_does_with_keys(int taken) =>
        await AssertRefusedAsync($$"""{"taken":{{taken}}}""", client => client.SendKeysAsync("a"));

    [Theory]
    [InlineData("null")]
    [InlineData("""{"index":1,"portExits":0,"mmioExits":0,"haltExits":0,"interruptsInjected":0,"assists":0,"otherExits":0,"instructions":0}""")]
    [InlineData("""{"index":0,"portExits":0,"mmioExits":0,"haltExits":0,"interruptsInjected":0,"assists":0,"otherExits":0,"instructions":-1}""")]
    public async Task Counters_are_of_vcpus_that_there_are(string vcpus) =>
        await AssertRefusedAsync(Metrics.Replace("?", vcpus, StringComparison.Ordinal), client => client.MetricsAsync());

    [Fact]
    public async Task There_are_no_more_vcpus_than_a_machine_has() => await AssertRefusedAsync(
        Metrics.Replace(
            "?", string.Join(
                ',', Enumerable.Range(0, 5000)
                    .Select(index =>
                        $$"""{"index":{{index}},"portExits":0,"mmioExits":0,"haltExits":0,"interruptsInjected":0,"assists":0,"otherExits":0,"instructions":0}""")),
            StringComparison.Ordinal),
        client => client.MetricsAsync());

    [Fact]
    public async Task Lists_have_no_holes()
    {
        await AssertRefusedAsync("""{"items":[null]}""", client => client.EnlightenmentsAsync());
        await AssertRefusedAsync("""{"items":[null]}""", client => client.DevicesAsync());
    }

    [Fact]
    public async Task What_it_says_of_a_failure_is_a_line_that_can_be_kept()
    {
        using var client = await ServeAsync(
            "\"error\":{\"code\":\"failed\",\"message\":\"one\\u0000two\\nthree" + new string('x', 100_000) + "\"}");
        var refused = await Assert.ThrowsAsync<ControlException>(() => client.PauseAsync().WaitAsync(s_limit));
        Assert.StartsWith("one two threex", refused.Message, StringComparison.Ordinal);
        Assert.InRange(refused.Message.Length, 1000, 1001);
    }

    [Theory]
    [InlineData("of huge pages", 16UL << 20, HugePage)]
    [InlineData("without room for its header", 16UL << 20, 60)]
    [InlineData("for more than any screen", 1UL << 40, 4096)]
    [InlineData("that cannot be mapped", 1UL << 62, 4096)]
    [InlineData("with a map for more than any screen", 16UL << 20, 1UL << 40)]
    public async Task No_display_is_looked_at(string which, ulong framebuffer, ulong map)
    {
        using var pixels = Memory(framebuffer, 0);
        using var state = Memory(map, map == HugePage ? HugePages : 0);
        Assert.SkipWhen(state is null, "This kernel has no huge pages.");
        using var client = await ServeAsync($$""" "result":{"framebufferSize":{{framebuffer}},"mapSize":{{map}}}""", pixels!, state);
        var refused = await Assert.ThrowsAsync<ControlProtocolException>(() => client.AttachDisplayAsync().WaitAsync(s_limit));
        Assert.NotEqual("", which + refused.Message);
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(1599, false)]
    [InlineData(1600, true)]
    public async Task A_screen_has_lines_of_its_width(int stride, bool shown)
    {
        const ulong size = 4 << 20;
        using var pixels = Memory(size, 0)!;
        using var state = Memory(8192, 0)!;
        byte[] header = new byte[DisplayMap.PagesOffset];
        foreach (var (offset, value) in new[]
        {
            (DisplayMap.MagicOffset, (int)DisplayMap.Magic), (DisplayMap.VersionOffset, (int)DisplayMap.Version),
            (DisplayMap.WidthOffset, 400), (DisplayMap.HeightOffset, 300),
            (DisplayMap.BitsPerPixelOffset, 32), (DisplayMap.StrideOffset, stride),
        })
        {
            BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(offset), value);
        }

        SparseFile.Write(state, 0, header);
        using var client = await ServeAsync($$""" "result":{"framebufferSize":{{size}},"mapSize":8192}""", pixels, state);
        using var view = await client.AttachDisplayAsync().WaitAsync(s_limit);
        Assert.Equal(shown, view.Mode is not null);
    }

    private Task<ControlClient>? _connecting;

    private static FileDescriptor? Memory(ulong size, uint flags)
    {
        int number = MemoryCalls.CreateMemoryFile("hostile", LibC.MFD_CLOEXEC | LibC.MFD_ALLOW_SEALING | flags);
        if (number < 0)
        {
            return null;
        }

        var file = new FileDescriptor(number);
        SparseFile.SetLength(file, (long)size);
        Assert.Equal(0, LibC.fcntl(number, LibC.F_ADD_SEALS, LibC.F_SEAL_SHRINK | LibC.F_SEAL_GROW));
        return file;
    }

    private async Task AssertRefusedAsync(string result, Func<ControlClient, Task> call)
    {
        using var client = await ServeAsync($"\"result\":{result}");
        await Assert.ThrowsAsync<ControlProtocolException>(() => call(client).WaitAsync(s_limit));
    }

    /// <summary>Answers one request.</summary>
    private async Task<ControlClient> ServeAsync(string answer, params FileDescriptor[] handed)
    {
        var socket = await GreetAsync();
        _ = Task.Factory.StartNew(
            () =>
            {
                using var stream = new DescriptorStream(socket);
                var header = new byte[4];
                stream.ReadExactly(header);
                var body = new byte[BinaryPrimitives.ReadInt32LittleEndian(header)];
                stream.ReadExactly(body);
                using var request = JsonDocument.Parse(body);
                Send(socket, $$"""{"id":{{request.RootElement.GetProperty("id")}},{{answer}},"descriptors":{{handed.Length}}}""", handed);
                stream.ReadExactly(header); // until the client has gone
            },
            TaskCreationOptions.LongRunning);
        return (await _connecting!).Start();
    }

    private async Task<FileDescriptor> GreetAsync()
    {
        _connecting = ControlClient.ConnectAsync(Socket).WaitAsync(s_limit);
        var socket = await Task.Run(() => UnixSocket.Accept(_listener)).WaitAsync(s_limit);
        Send(socket, """{"protocol":"webvm-control","version":2,"machine":"vm","processId":1}""");
        return socket;
    }

    private static void Send(FileDescriptor socket, string json, params FileDescriptor[] handed)
    {
        byte[] body = Encoding.UTF8.GetBytes(json);
        var frame = new byte[4 + body.Length];
        BinaryPrimitives.WriteInt32LittleEndian(frame, body.Length);
        body.CopyTo(frame, 4);
        DescriptorPassing.Send(socket, frame, handed);
    }
}
