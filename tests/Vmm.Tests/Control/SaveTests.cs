using System.Collections.Concurrent;
using WebVm.Vmm.Control;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Vmm.Tests.Control;

/// <summary>Saving over the control socket: how far it is, and giving it up.</summary>
public sealed class SaveTests : IDisposable
{
    private const ulong Size = 64 << 20;
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(2);

    private readonly ControlBench _bench = new(Size);

    public void Dispose() => _bench.Dispose();

    [Fact]
    public async Task Who_saves_is_told_how_far_it_is_and_nobody_else()
    {
        await StartAsync();
        var told = new ConcurrentQueue<string>();
        var others = new ConcurrentQueue<string>();
        using var other = await _bench.Connect((name, _) => others.Enqueue(name));
        using var client = await _bench.Connect((name, data) => told.Enqueue(name == ControlEvents.Saving ? data.GetRawText() : name));
        var result = await client.SaveAsync(Path.Combine(_bench.Folder, "state")).WaitAsync(s_limit);
        Assert.Equal((long)Size, result.MemoryBytes);
        Assert.Equal("""{"percent":100}""", told.Last());
        Assert.InRange(told.Count, 10, 100);
        Assert.Equal(MachineState.Running, (await other.StatusAsync().WaitAsync(s_limit)).State);
        Assert.DoesNotContain(ControlEvents.Saving, others);
    }

    [Fact]
    public async Task A_save_is_given_up_when_its_client_goes_and_leaves_nothing()
    {
        await StartAsync();
        using var hold = new ManualResetEventSlim();
        var held = _bench.Scripted.Machine.WhileStill((_, _) => Task.Run(() => hold.Wait(s_limit)));
        using var status = await _bench.Connect();
        var client = await _bench.Connect();
        var save = client.SaveAsync(Path.Combine(_bench.Folder, "state"));
        // Answered behind the save, had it come first: so the save is queued when the client goes.
        var resumed = client.ResumeAsync();
        await Task.Delay(100, TestContext.Current.CancellationToken);
        client.Dispose();
        await Assert.ThrowsAsync<IOException>(() => save.WaitAsync(s_limit));
        await Assert.ThrowsAsync<IOException>(() => resumed.WaitAsync(s_limit));
        hold.Set();
        Assert.True(await held);
        await status.PauseAsync().WaitAsync(s_limit);
        Assert.Equal(["control"], Directory.EnumerateFileSystemEntries(_bench.Folder).Select(Path.GetFileName));
    }

    [Fact]
    public async Task A_save_that_is_cancelled_leaves_nothing_and_the_machine_runs_on()
    {
        await StartAsync();
        using var enough = new CancellationTokenSource();
        string state = Path.Combine(_bench.Folder, "state");
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => StateSaver.Save(_bench.Scripted.Machine, state, _ => enough.Cancel(), enough.Token));
        Assert.Equal(["control"], Directory.EnumerateFileSystemEntries(_bench.Folder).Select(Path.GetFileName));
        Assert.Equal("Running", _bench.Scripted.Machine.State.ToString());
    }

    [Fact]
    public async Task A_request_that_is_not_answered_in_time_fails_and_the_connection_stays()
    {
        await StartAsync();
        using var hold = new ManualResetEventSlim();
        var held = _bench.Scripted.Machine.WhileStill((_, _) => Task.Run(() => hold.Wait(s_limit)));
        using var client = await _bench.Connect();
        client.Patience = TimeSpan.FromMilliseconds(50);
        await Assert.ThrowsAsync<ControlTimeoutException>(() => client.PauseAsync().WaitAsync(s_limit));
        hold.Set();
        Assert.True(await held);
        client.Patience = s_limit;
        Assert.Equal(MachineState.Paused, (await client.StatusAsync()).State);
    }

    private async Task StartAsync()
    {
        var content = new byte[Size];
        content.AsSpan().Fill(0x5a);
        Assert.True(_bench.Scripted.Machine.Platform.Memory.TryWrite(new GuestPhysicalAddress(0), content));
        await _bench.Scripted.Machine.Start().WaitAsync(s_limit);
    }
}
