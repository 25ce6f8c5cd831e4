using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Framework;

/// <summary>Stopping devices for which something outside of the monitor works.</summary>
public sealed class DrainTests : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_short = TimeSpan.FromMilliseconds(50);

    private readonly List<string> _log = [];
    private readonly List<DeviceFailure> _failures = [];
    private readonly DeviceTree _tree = new() { Deadline = s_short };

    public DrainTests() => _tree.DeviceFailed += _failures.Add;

    public void Dispose() => _tree.Dispose();

    [Fact]
    public async Task What_depends_on_a_device_is_at_rest_before_it_is_stopped_and_others_drain_together()
    {
        var bus = Add("bus");
        var left = Add("left", "bus");
        var right = Add("right", "bus");
        Start();
        left.Hold();
        right.Hold();

        var stop = _tree.StopAsync(s_limit);
        Assert.Equal(["right stop", "right drain", "left stop", "left drain"], Taken());
        right.Finish();
        left.Finish();
        var outcome = await stop.WaitAsync(s_limit);
        Assert.True(outcome.AtRest);
        Assert.Equal(["bus stop", "bus drain", "bus rests"], Taken()[2..]);
        Assert.False(_tree.Find(bus.Name)!.IsStarted);
    }

    [Fact]
    public async Task A_device_that_does_not_come_to_rest_is_named_and_lost_nothing()
    {
        Add("bus");
        var disk = Add("disk", "bus");
        Start();
        disk.Hold();
        var outcome = await _tree.StopAsync(s_short).WaitAsync(s_limit);
        Assert.Equal("device 'disk' did not come to rest within 0.05 s", outcome.ToString());
        Assert.DoesNotContain("bus stop", Taken());

        _tree.Start();
        Assert.Equal(["disk start"], Taken());
        Assert.Empty(_failures);
        Assert.True(_tree.Find("disk")!.IsStarted);
        disk.Finish();
        Assert.True((await _tree.StopAsync(s_limit).WaitAsync(s_limit)).AtRest);
    }

    [Fact]
    public async Task A_drain_that_was_left_is_waited_for_before_the_next_one_is_asked_for()
    {
        var disk = Add("disk", stubborn: true);
        Start();
        disk.Hold();
        Assert.False((await _tree.StopAsync(s_short).WaitAsync(s_limit)).AtRest);
        _tree.Start();
        Taken();
        var again = _tree.StopAsync(s_limit);
        Assert.Equal(["disk stop"], Taken());
        disk.Finish();
        Assert.True((await again.WaitAsync(s_limit)).AtRest);
        Assert.Equal(["disk rests", "disk drain", "disk rests"], Taken());
    }

    [Fact]
    public async Task The_end_of_patience_can_come_from_elsewhere()
    {
        var disk = Add("disk");
        Start();
        disk.Hold();
        using var hurry = new CancellationTokenSource();
        var stop = _tree.StopAsync(s_limit, hurry.Token);
        Assert.False(stop.IsCompleted);
        await hurry.CancelAsync();
        Assert.False((await stop.WaitAsync(s_limit)).AtRest);
    }

    [Fact]
    public async Task For_good_a_device_that_does_not_come_to_rest_is_given_up_and_the_others_have_their_time()
    {
        Add("bus");
        Add("disk", "bus", stubborn: true).Hold();
        Start();
        await _tree.StopForGoodAsync(s_short).WaitAsync(s_limit);
        Assert.Equal("device 'disk' failed while Running: it did not come to rest within 0.05 s.", Assert.Single(_failures).ToString());
        Assert.Equal(["bus stop", "bus drain", "bus rests"], Taken()[^3..]);
        _tree.Reset();
        _tree.Start();
        Assert.Null(_tree.Find("disk")!.Failure);
        Assert.True(_tree.Find("disk")!.IsStarted);
    }

    [Fact]
    public async Task A_drain_that_throws_costs_the_device_and_holds_up_nothing()
    {
        Add("bus");
        Add("disk", "bus").DrainFailure = new InvalidOperationException("planted");
        Start();
        Assert.True((await _tree.StopAsync(s_limit).WaitAsync(s_limit)).AtRest);
        Assert.Equal("disk", Assert.Single(_failures).Device);
        Assert.Contains("bus rests", Taken());
    }

    private DrainingDevice Add(string name, string? on = null, bool stubborn = false)
    {
        var device = new DrainingDevice(name, _log) { Stubborn = stubborn };
        _tree.Add(device, on is null ? [] : [on]);
        return device;
    }

    private void Start()
    {
        _tree.PowerUp();
        _tree.Start();
        Taken();
    }

    private string[] Taken()
    {
        lock (_log)
        {
            string[] taken = [.. _log];
            _log.Clear();
            return taken;
        }
    }
}
