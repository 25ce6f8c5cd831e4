using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using WebVm.Vmm.Control;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Tests.Machine;
using Xunit;

namespace WebVm.Vmm.Tests.Control;

public sealed class ControlTests : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(2);

    private readonly ControlBench _bench = new();

    public void Dispose() => _bench.Dispose();

    [Fact]
    public async Task Status_tells_what_the_machine_is_and_does()
    {
        using var client = await _bench.Connect();
        Assert.Equal("scripted", client.Hello.Machine);
        Assert.Equal(MachineState.Created, (await client.StatusAsync().WaitAsync(s_limit)).State);
        await _bench.Scripted.Machine.Start().WaitAsync(s_limit);
        var status = await client.StatusAsync().WaitAsync(s_limit);
        Assert.Equal((MachineState.Running, "scripted", 2), (status.State, status.Engine, status.Cpus));
        Assert.Equal(2, (await client.MetricsAsync().WaitAsync(s_limit)).Vcpus.Count);
        Assert.Equal(2, (int?)(await client.SpecAsync().WaitAsync(s_limit))["cpus"]);
    }

    [Fact]
    public async Task Transitions_are_replied_to_when_done_and_told_to_every_client()
    {
        var seen = new BlockingCollection<string>();
        using var watcher = await _bench.Connect((name, data) => seen.Add($"{name} {data.GetRawText()}"));
        using var client = await _bench.Connect();
        await _bench.Scripted.Machine.Start().WaitAsync(s_limit);
        await client.PauseAsync().WaitAsync(s_limit);
        Assert.Equal(MachineState.Paused, (await client.StatusAsync().WaitAsync(s_limit)).State);
        await client.ResumeAsync().WaitAsync(s_limit);
        await client.ResetAsync().WaitAsync(s_limit);
        await client.PressPowerButtonAsync().WaitAsync(s_limit);
        Assert.Equal(1, _bench.Scripted.PowerButtonPresses);
        await client.StopAsync().WaitAsync(s_limit);
        string[] expected =
        [
            """state {"state":"running"}""", """state {"state":"paused"}""", """state {"state":"running"}""",
            """reset {"text":"requested"}""",
            """state {"state":"stopped"}""", """exit {"kind":"stopped","code":0,"message":"stopped"}""",
        ];
        foreach (string next in expected)
        {
            Assert.True(seen.TryTake(out string? told, s_limit), $"{next} was not told.");
            Assert.Equal(next, told);
        }
    }

    [Fact]
    public async Task What_the_state_does_not_allow_is_refused_with_a_code()
    {
        using var client = await _bench.Connect();
        var refused = await Assert.ThrowsAsync<ControlException>(() => client.PauseAsync().WaitAsync(s_limit));
        Assert.Equal(ControlErrorCode.InvalidState, refused.Code);
    }

    [Fact]
    public async Task Enlightenments_tell_what_was_offered_and_which_vcpus_took_it_and_the_machine_runs_on()
    {
        using var client = await _bench.Connect();
        var refused = await Assert.ThrowsAsync<ControlException>(() => client.EnlightenmentsAsync().WaitAsync(s_limit));
        Assert.Equal(ControlErrorCode.InvalidState, refused.Code);
        _bench.Scripted.Engine.ParavirtualFeatures = (1 << 3) | (1 << 5) | (1 << 7);
        await _bench.Scripted.Machine.Start().WaitAsync(s_limit);
        _bench.Scripted.Engine.Cpus[0].State.Msr.KvmSystemTime = 0x1001;
        _bench.Scripted.Engine.Cpus[1].State.Msr.KvmSystemTime = 0x2001;
        _bench.Scripted.Engine.Cpus[1].State.Msr.KvmPvEoi = 0x3001;
        for (int round = 0; round < 3; round++)
        {
            var items = (await client.EnlightenmentsAsync().WaitAsync(s_limit)).Items.ToDictionary(item => item.Name);
            Assert.All(items.Values, item => Assert.NotEmpty(item.Description));
            Assert.True(items["kvm-clock"].Offered);
            Assert.Equal([0, 1], items["kvm-clock"].Vcpus);
            Assert.True(items["steal-time"].Offered);
            Assert.Equal([], items["steal-time"].Vcpus);
            Assert.True(items["pv-unhalt"].Offered);
            Assert.Null(items["pv-unhalt"].Vcpus);
            Assert.False(items["pv-eoi"].Offered);
            Assert.Equal([1], items["pv-eoi"].Vcpus);
        }

        Assert.Equal(MachineState.Running, (await client.StatusAsync().WaitAsync(s_limit)).State);
        Assert.True(SpinWait.SpinUntil(() => _bench.Scripted.Engine.Cpus.All(cpu => cpu.Inside), s_limit));
        await client.PauseAsync().WaitAsync(s_limit);
        Assert.NotEmpty((await client.EnlightenmentsAsync().WaitAsync(s_limit)).Items);
        Assert.All(_bench.Scripted.Engine.Cpus, cpu => Assert.False(cpu.Inside));
    }

    [Fact]
    public async Task Serial_output_is_followed_from_any_offset_without_loss()
    {
        var received = new MemoryStream();
        long next = 0;
        using var enough = new ManualResetEventSlim();
        byte[] written = new byte[700_000];
        new Random(1).NextBytes(written);
        using var client = await _bench.Connect((name, data) =>
        {
            if (name == ControlEvents.SerialOutput)
            {
                var serial = data.Deserialize(ControlJson.Default.SerialData)!;
                Assert.Equal(next, serial.Offset);
                next += serial.Data.Length;
                received.Write(serial.Data);
                if (next == written.Length)
                {
                    enough.Set();
                }
            }
        });
        _bench.Scripted.Serial.Log.Append(written.AsSpan(0, 1000));
        await client.SubscribeSerialAsync(0).WaitAsync(s_limit);
        for (int at = 1000; at < written.Length; at += 999)
        {
            _bench.Scripted.Serial.Log.Append(written.AsSpan(at, Math.Min(999, written.Length - at)));
        }

        Assert.True(enough.Wait(s_limit));
        Assert.Equal(written, received.ToArray());
        var piece = await client.ReadSerialAsync(5000, 100).WaitAsync(s_limit);
        Assert.Equal(5000, piece.Offset);
        Assert.Equal(written[5000..5100], piece.Data);
    }

    [Fact]
    public async Task A_reader_behind_the_log_is_told_where_it_goes_on()
    {
        using var client = await _bench.Connect();
        _bench.Scripted.Serial.Log.Append(new byte[Vmm.Machine.Consoles.SerialLog.Capacity]);
        _bench.Scripted.Serial.Log.Append("tail"u8);
        Assert.Equal(4, (await client.ReadSerialAsync(0, 10).WaitAsync(s_limit)).Offset);
    }

    [Fact]
    public async Task Many_clients_at_once_each_get_their_own_replies()
    {
        var clients = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => _bench.Connect()));
        var calls = clients.SelectMany(client => Enumerable.Range(0, 50).Select(number => client.ReadSerialAsync(number)));
        await Task.WhenAll(calls).WaitAsync(s_limit);
        Array.ForEach(clients, client => client.Dispose());
    }

    [Fact]
    public async Task When_the_machine_goes_pending_and_further_requests_fail()
    {
        using var client = await _bench.Connect();
        _bench.Server.Dispose();
        await client.Closed.WaitAsync(s_limit);
        await Assert.ThrowsAnyAsync<IOException>(() => client.StatusAsync().WaitAsync(s_limit));
        Assert.False(File.Exists(_bench.SocketPath));
    }

    [Fact]
    public void A_socket_that_is_served_is_not_taken_over()
    {
        Assert.Throws<IOException>(() => new ControlServer(_bench.Scripted.Machine, _bench.SocketPath));
        string file = Path.Combine(_bench.Folder, "file");
        File.WriteAllText(file, "mine");
        Assert.Throws<IOException>(() => new ControlServer(_bench.Scripted.Machine, file));
        Assert.Equal("mine", File.ReadAllText(file));
    }

    [Theory]
    [InlineData("""{"id":1}""")]
    [InlineData("""{"id":1,"method":"no-such"}""")]
    [InlineData("""{"id":1,"method":"serial-read"}""")]
    [InlineData("""{"id":1,"method":"serial-read","parameters":[]}""")]
    [InlineData("""{"id":1,"method":"serial-read","parameters":{"offset":-1,"maximum":1}}""")]
    [InlineData("""{"id":1,"method":"serial-read","parameters":{"offset":0,"maximum":999999999}}""")]
    [InlineData("""{"id":1,"method":"serial-write","parameters":{"data":"not base64!"}}""")]
    [InlineData("""{"id":1,"method":"serial-write","parameters":{"data":null}}""")]
    public async Task A_bad_request_is_refused_or_ends_its_own_connection_only(string request)
    {
        using var bad = _bench.Raw();
        ControlBench.Send(bad, Encoding.UTF8.GetBytes(request));
        var buffer = new byte[4096];
        bad.ReceiveTimeout = (int)s_limit.TotalMilliseconds;
        while (bad.Receive(buffer) is > 0 and var count)
        {
            string text = Encoding.UTF8.GetString(buffer, 0, count);
            if (text.Contains("bad-request", StringComparison.Ordinal))
            {
                break;
            }
        }

        using var good = await _bench.Connect();
        await good.StatusAsync().WaitAsync(s_limit);
    }
}
