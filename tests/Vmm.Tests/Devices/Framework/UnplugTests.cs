using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Framework;

/// <summary>Taking devices away: asked, agreed and gone, or refused, or not answered.</summary>
public sealed class UnplugTests : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_short = TimeSpan.FromMilliseconds(50);

    private readonly List<string> _log = [];
    private readonly List<string> _gone = [];
    private readonly DeviceTree _tree = new(new NotingConnector()) { Deadline = s_short };
    private readonly AskedDevice _device;
    private readonly DeviceNode _node;

    public UnplugTests()
    {
        _tree.DeviceGone += name =>
        {
            lock (_gone)
            {
                _gone.Add(name);
            }
        };
        _device = new AskedDevice(_log);
        _node = _tree.Add(_device);
        _tree.PowerUp();
        _tree.Start();
        _log.Clear();
    }

    public void Dispose() => _tree.Dispose();

    [Fact]
    public async Task A_guest_that_agrees_loses_the_device_in_order()
    {
        var unplug = _tree.UnplugAsync(_node, s_limit);
        Assert.False(unplug.IsCompleted);
        Assert.Equal(DeviceLifecycle.Running, _node.State);
        _device.Say(RemovalAnswer.Agreed);
        Assert.Equal(UnplugOutcome.Gone, await unplug.WaitAsync(s_limit));
        Assert.Equal(["asked", "disconnected", "stop", "drain", "eject", "power down", "dispose"], _log);
        Assert.Null(_tree.Find("asked"));
        Assert.Equal(["asked"], _gone);
    }

    [Fact]
    public async Task A_guest_that_refuses_keeps_it()
    {
        var unplug = _tree.UnplugAsync(_node, s_limit);
        _device.Say(RemovalAnswer.Refused);
        Assert.Equal(UnplugOutcome.Refused, await unplug.WaitAsync(s_limit));
        Assert.True(_node.IsStarted);
        Assert.Empty(_gone);
    }

    [Fact]
    public async Task A_guest_that_does_not_answer_keeps_it_and_may_agree_later()
    {
        Assert.Equal(UnplugOutcome.Unanswered, await _tree.UnplugAsync(_node, s_short).WaitAsync(s_limit));
        Assert.True(_node.IsStarted);
        Assert.Null(_node.Failure);
        Assert.Same(_node, _tree.Find("asked"));

        _device.Say(RemovalAnswer.Agreed);
        Assert.True(SpinWait.SpinUntil(() => IsGone, s_limit));
        Assert.Equal(DeviceLifecycle.TearingDown, _node.State);
    }

    [Fact]
    public async Task It_can_be_asked_again_and_goes_once()
    {
        Assert.Equal(UnplugOutcome.Unanswered, await _tree.UnplugAsync(_node, s_short).WaitAsync(s_limit));
        var first = _device.Answer;
        using var hurry = new CancellationTokenSource();
        var second = _tree.UnplugAsync(_node, s_limit, hurry.Token);
        await hurry.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second.WaitAsync(s_limit));
        var third = _tree.UnplugAsync(_node, s_limit);
        _device.Say(RemovalAnswer.Agreed);
        Assert.Equal(UnplugOutcome.Gone, await third.WaitAsync(s_limit));
        first!(RemovalAnswer.Agreed);
        await Task.Delay(20, TestContext.Current.CancellationToken);
        Assert.Equal(["asked"], _gone);
        Assert.Single(_log, "eject");
    }

    [Fact]
    public async Task A_device_that_does_not_come_to_rest_is_given_up_and_goes()
    {
        var failures = new List<string>();
        _tree.DeviceFailed += failure => failures.Add(failure.Reason);
        _device.Hangs = true;
        var unplug = _tree.UnplugAsync(_node, s_limit);
        _device.Say(RemovalAnswer.Agreed);
        Assert.Equal(UnplugOutcome.Gone, await unplug.WaitAsync(s_limit));
        Assert.Equal(["it did not come to rest within 0.05 s."], failures);
        Assert.Contains("power down", _log);
    }

    [Fact]
    public async Task A_device_that_another_one_came_to_depend_on_stays()
    {
        var unplug = _tree.UnplugAsync(_node, s_limit);
        _tree.Plug(_tree.Add(new DrainingDevice("late", _log), "asked"));
        _device.Say(RemovalAnswer.Agreed);
        await Assert.ThrowsAsync<InvalidOperationException>(() => unplug.WaitAsync(s_limit));
        Assert.True(_node.IsStarted);
    }

    private bool IsGone
    {
        get
        {
            lock (_gone)
            {
                return _gone.Count == 1;
            }
        }
    }

    private sealed class NotingConnector : IDeviceConnector
    {
        public void Connect(IDevice device)
        {
        }

        public void Disconnect(IDevice device) => (device as AskedDevice)?.Log.Add("disconnected");
    }

    private sealed class AskedDevice(List<string> log) : IDevice, IEjectable, IDrainable, IPowerable, IDisposable
    {
        public List<string> Log => log;

        public string Name => "asked";

        public bool Hangs { get; set; }

        public Action<RemovalAnswer>? Answer { get; private set; }

        public void Say(RemovalAnswer answer) => Answer!(answer);

        public void Reset() => Answer = null;

        public void Stop() => log.Add("stop");

        public Task DrainAsync(CancellationToken giveUp)
        {
            log.Add("drain");
            return Hangs ? Task.Delay(Timeout.Infinite, CancellationToken.None) : Task.CompletedTask;
        }

        public void AskToEject(Action<RemovalAnswer> answer)
        {
            log.Add("asked");
            Answer = answer;
        }

        public void Eject() => log.Add("eject");

        public void PowerUp() => log.Add("power up");

        public void PowerDown() => log.Add("power down");

        public void Dispose() => log.Add("dispose");
    }
}
