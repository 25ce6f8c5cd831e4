using System.Text.Json;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.State;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Framework;

/// <summary>A queue starts from a state and stops into a state, which holds the heads in flight.</summary>
public sealed class QueueTests : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_short = TimeSpan.FromMilliseconds(50);

    private readonly QueueMemory _memory = new();
    private readonly QueueBackend _backend = new();
    private readonly QueueDevice _device;
    private readonly DeviceTree _tree = new();

    public QueueTests()
    {
        _device = new QueueDevice(_memory, _backend);
        _tree.Add(_device);
        _tree.PowerUp();
        _tree.Start();
        Offer(10, 11, 12, 13);
        _backend.Complete(12);
    }

    public void Dispose() => _tree.Dispose();

    [Fact]
    public async Task A_queue_that_drains_stops_with_nothing_in_flight()
    {
        var stop = _tree.StopAsync(s_limit);
        _backend.Complete(13, 10);
        Assert.False(stop.IsCompleted);
        _backend.Complete(11);
        Assert.True((await stop.WaitAsync(s_limit)).AtRest);
        Assert.Empty(_device.Save().InFlight);
        Assert.Equal([12, 13, 10, 11], _memory.Used);

        _memory.Offered.Add(12);
        Assert.Empty(_backend.Heads);
        _tree.Start();
        Assert.Equal([12], _backend.Heads);
    }

    [Fact]
    public async Task A_queue_that_lets_go_of_its_back_end_keeps_what_is_in_flight_through_save_and_restore()
    {
        Assert.True((await _tree.StopAsync(s_short).WaitAsync(s_limit)).AtRest);
        string saved = JsonSerializer.Serialize(_tree.Save(), StateJson.Options);
        Assert.Contains("\"nextOffered\":4,\"inFlight\":[10,11,13]", saved, StringComparison.Ordinal);

        var memory = _memory.Copy();
        var backend = new QueueBackend();
        using var tree = new DeviceTree();
        tree.Add(new QueueDevice(memory, backend));
        tree.PowerUp();
        tree.Load(JsonSerializer.Deserialize<StateSection[]>(saved, StateJson.Options)!);
        Assert.Empty(backend.Heads);
        tree.Start();
        Assert.Equal([10, 11, 13], backend.Heads.Order());
        backend.Complete(13, 11, 10);
        Assert.Equal([10, 11, 12, 13], memory.Used.Order());
    }

    [Fact]
    public async Task What_a_back_end_completes_after_it_was_let_go_does_not_count()
    {
        Assert.True((await _tree.StopAsync(s_short).WaitAsync(s_limit)).AtRest);
        _backend.Complete(10, 11, 13);
        Assert.Equal([12], _memory.Used);
        _tree.Start();
        _backend.Complete(13, 11, 10);
        Assert.Equal([10, 11, 12, 13], _memory.Used.Order());
        Assert.True((await _tree.StopAsync(s_limit).WaitAsync(s_limit)).AtRest);
    }

    private void Offer(params int[] heads)
    {
        _memory.Offered.AddRange(heads);
        _device.Notify();
    }
}
