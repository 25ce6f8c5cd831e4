using WebVm.Vmm.Memory;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Framework;

/// <summary>
/// All devices of a machine, in the order that their dependencies demand. Going up (power, start, reset, load) it visits a
/// device after those it depends on; going down (stop, power-down) before them.
/// </summary>
/// <remarks>
/// Losing a device is contained: it is reported by <see cref="DeviceFailed"/>, those that depend on it are lost too when they would be
/// powered up or started, and all others go on. The machine stops all vCPUs before <see cref="Stop"/>, <see cref="Reset"/> and
/// <see cref="Load"/>; <see cref="Plug"/> and <see cref="UnplugAsync"/> work while the guest runs. All but <see cref="UnplugAsync"/> and
/// <see cref="ReportFault"/> are called by what drives the tree (<see cref="DriveBy"/>), one at a time.
/// </remarks>
public sealed class DeviceTree(params IReadOnlyList<IDeviceConnector> connectors) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly List<DeviceNode> _nodes = [];
    private DeviceNode[]? _ordered;
    private IDeviceThread _thread = new CallersThread();

    /// <summary>A device was lost. Raised on the thread that lost it, which may be a vCPU's.</summary>
    public event Action<DeviceFailure>? DeviceFailed;

    /// <summary>A device was unplugged and is torn down; the name is free.</summary>
    public event Action<string>? DeviceGone;

    /// <summary>The devices in dependency order.</summary>
    /// <exception cref="InvalidOperationException">A dependency is missing, or there is a cycle; the message names it.</exception>
    public IReadOnlyList<DeviceNode> Nodes
    {
        get
        {
            lock (_lock)
            {
                return _ordered ??= DependencyOrder.Sort(_nodes);
            }
        }
    }

    /// <summary>
    /// What a device gets to come to rest that goes, or that its guest puts to sleep, while the machine runs on: as much as one has when
    /// the machine pauses, which would wait for it meanwhile.
    /// </summary>
    public TimeSpan Deadline { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Memory regions owned by devices.</summary>
    public IEnumerable<GuestMemoryRegion> MemoryRegions => All<IDeviceMemory>().SelectMany(device => device.MemoryRegions);

    /// <summary>Adds a device; it stays off until <see cref="PowerUp"/> or <see cref="Plug"/>.</summary>
    public DeviceNode Add(IDevice device, params IReadOnlyList<string> dependsOn) => Add(device, dependsOn, []);

    /// <param name="more">What connects this device, beside what connects all.</param>
    public DeviceNode Add(IDevice device, IReadOnlyList<string> dependsOn, IReadOnlyList<IDeviceConnector> more)
    {
        lock (_lock)
        {
            if (_nodes.Any(other => other.Name == device.Name))
            {
                throw new ArgumentException($"There is a device '{device.Name}' already.", nameof(device));
            }

            var node = new DeviceNode(device, dependsOn, [.. connectors, .. more], failure => DeviceFailed?.Invoke(failure));
            _nodes.Add(node);
            _ordered = null;
            if (device is IPowerLevels levels)
            {
                levels.LevelWanted += () => FollowLevel(node);
            }

            if (device is IResetByBus reset)
            {
                reset.ResetWanted += () => FollowReset(node);
            }

            return node;
        }
    }

    /// <summary>Hands the tree to what drives it; until then it is whoever calls.</summary>
    public void DriveBy(IDeviceThread thread) => _thread = thread;

    public DeviceNode? Find(string name) => Nodes.FirstOrDefault(node => node.Name == name);

    /// <summary>The devices that can do what <typeparamref name="T"/> says, in dependency order.</summary>
    public IEnumerable<T> All<T>() => Nodes.Select(node => node.Device).OfType<T>();

    /// <summary>Powers up what is off.</summary>
    public void PowerUp()
    {
        foreach (var node in Nodes)
        {
            PowerUp(node);
        }
    }

    /// <summary>Starts or, after <see cref="Stop"/>, resumes all devices.</summary>
    public void Start()
    {
        foreach (var node in Nodes)
        {
            Start(node);
            if (node.IsResetDue)
            {
                // It was not at rest: a pause that was given up.
                FollowReset(node);
            }
        }
    }

    /// <summary>
    /// Quiesces all devices. When it returns none of them begins anything; what is in progress outside is not waited for.
    /// </summary>
    public void Stop()
    {
        foreach (var node in Nodes.Reverse())
        {
            node.Stop();
        }
    }

    /// <summary>
    /// Quiesces all devices and waits until nothing of them is in progress: for each after those that depend on it, and for those that do
    /// not depend on each other together. After one that does not come to rest <see cref="Start"/> lets all go on as before.
    /// </summary>
    /// <param name="cancellation">Time is up already.</param>
    public async Task<StopOutcome> StopAsync(TimeSpan deadline, CancellationToken cancellation = default)
    {
        var nodes = Nodes;
        if (nodes.Any(node => node.Device is IDrainable))
        {
            using var limit = new DrainLimit();
            var stops = new Dictionary<string, Task<bool>>();
            foreach (var node in nodes.Reverse())
            {
                stops.Add(
                    node.Name, StopAfter(
                        [.. nodes.Where(other => other.DependsOn.Contains(node.Name)).Select(other => stops[other.Name])], node, limit));
            }

            await limit.Wait(Task.WhenAll(stops.Values), deadline, cancellation);
        }
        else
        {
            Stop();
        }

        return new StopOutcome([.. nodes.Where(node => node.IsRestless)], deadline);
    }

    /// <summary>Quiesces all devices for good. One that does not come to rest is lost; the others then get their time.</summary>
    /// <param name="cancellation">Time is up already.</param>
    public async Task StopForGoodAsync(TimeSpan deadline, CancellationToken cancellation = default)
    {
        while (await StopAsync(deadline, cancellation) is { AtRest: false } outcome)
        {
            foreach (var node in outcome.Restless)
            {
                node.GiveUp($"it did not come to rest within {deadline.TotalSeconds:0.###} s.");
            }
        }
    }

    /// <summary>System reset of all (stopped) devices.</summary>
    public void Reset()
    {
        foreach (var node in Nodes)
        {
            node.Reset();
            FailWithDependencies(node);
        }
    }

    /// <summary>The state of all (stopped) devices that have some.</summary>
    /// <exception cref="InvalidOperationException">A device could not save its state; nothing is lost by going on, and it may be tried
    /// again.</exception>
    public IReadOnlyList<StateSection> Save() => [.. Nodes.Select(node => node.Save()).OfType<StateSection>()];

    /// <summary>
    /// Puts the (powered up, not started) devices into the saved state. Everything is checked before the first device is changed.
    /// </summary>
    /// <exception cref="InvalidDataException">The states are not those of these devices, or one contradicts itself. Each fault is
    /// named.</exception>
    public void Load(IReadOnlyList<StateSection> states)
    {
        var faults = new List<string>();
        var records = Read(states, faults);
        if (faults.Count > 0)
        {
            throw new InvalidDataException(string.Join(Environment.NewLine, faults));
        }

        Load(records);
    }

    /// <summary>The records of all devices that have state, by their names. Nothing is changed.</summary>
    /// <param name="faults">Gets what is wrong.</param>
    public IReadOnlyDictionary<string, object> Read(IReadOnlyList<StateSection> states, List<string> faults)
    {
        var wanted = Nodes.Where(node => node.Device is ISavedState)
            .ToDictionary(node => node.Name, node => ((ISavedState)node.Device).Schema);
        var records = new Dictionary<string, object>();
        foreach (var state in states)
        {
            if (StateUnits.DeviceOf(state.Unit) is not { } name || !wanted.TryGetValue(name, out var schema))
            {
                faults.Add($"There is no device for '{state.Unit}' in this machine to take the saved state, "
                    + $"which follows version {state.Version} of schema '{state.Schema}'.");
                continue;
            }

            try
            {
                if (!records.TryAdd(name, schema.ReadRecord(state)))
                {
                    faults.Add($"There is more than one saved state of '{state.Unit}'.");
                }
            }
            catch (InvalidDataException fault)
            {
                faults.Add(fault.Message);
            }
        }

        faults.AddRange(
            wanted.Keys.Select(StateUnits.Device).Except(states.Select(state => state.Unit))
                .Select(unit => $"There is no saved state of '{unit}'."));
        return records;
    }

    /// <param name="records">As <see cref="Read"/> gave them.</param>
    /// <exception cref="InvalidDataException">One contradicts itself.</exception>
    public void Load(IReadOnlyDictionary<string, object> records)
    {
        foreach (var node in Nodes)
        {
            if (records.TryGetValue(node.Name, out object? record))
            {
                node.Load(record);
            }
        }
    }

    public void PowerDown()
    {
        foreach (var node in Nodes.Reverse())
        {
            node.PowerDown();
        }
    }

    /// <summary>Brings a device that was added to a running machine into use.</summary>
    public void Plug(DeviceNode node)
    {
        PowerUp(node);
        Start(node);
    }

    /// <summary>Takes a device out at once, which its guest has not got to know: one that was added and is of no use.</summary>
    public void Discard(DeviceNode node)
    {
        node.TearDown();
        node.Leave();
        lock (_lock)
        {
            _nodes.Remove(node);
            _ordered = null;
        }
    }

    /// <summary>
    /// Takes a device out of a running machine for good, if its guest lets it. Callable from any thread; nothing else waits for the guest.
    /// </summary>
    /// <param name="patience">How long the guest may think about it.</param>
    /// <exception cref="InvalidOperationException">Another device depends on it.</exception>
    /// <exception cref="OperationCanceledException">The guest had not answered by then: as
    /// <see cref="UnplugOutcome.Unanswered"/>.</exception>
    public async Task<UnplugOutcome> UnplugAsync(DeviceNode node, TimeSpan patience, CancellationToken cancellation = default)
    {
        DemandNoDependent(node);
        if (node.IsAskedFor)
        {
            var answer = new TaskCompletionSource<RemovalAnswer>(TaskCreationOptions.RunContinuationsAsynchronously);
            _thread.Post(() => node.Ask(said => answer.TrySetResult(said)));
            try
            {
                if (await answer.Task.WaitAsync(patience, cancellation) == RemovalAnswer.Refused)
                {
                    return UnplugOutcome.Refused;
                }
            }
            catch (TimeoutException)
            {
                _ = RemoveWhenAgreed(node, answer.Task);
                // Somebody else may have asked after this, and got the answer.
                return Has(node) ? UnplugOutcome.Unanswered : UnplugOutcome.Gone;
            }
            catch (OperationCanceledException)
            {
                _ = RemoveWhenAgreed(node, answer.Task);
                throw;
            }
        }

        await _thread.RunTransition(_ => RemoveAsync(node));
        return UnplugOutcome.Gone;
    }

    /// <summary>Marks a device as lost, from any thread; unknown names are ignored.</summary>
    public void ReportFault(string device, Exception cause)
    {
        DeviceNode? node;
        lock (_lock)
        {
            node = _nodes.Find(other => other.Name == device);
        }

        node?.Fail(cause.Message, cause);
    }

    public void Dispose()
    {
        DeviceNode[] nodes;
        lock (_lock)
        {
            nodes = [.. _ordered ?? [.. _nodes]];
            _nodes.Clear();
            _ordered = null;
        }

        foreach (var node in nodes.Reverse())
        {
            node.TearDown();
        }
    }

    private static async Task<bool> StopAfter(Task<bool>[] dependents, DeviceNode node, DrainLimit limit)
    {
        foreach (var dependent in dependents)
        {
            if (!await dependent)
            {
                return false;
            }
        }

        return await node.StopAsync(limit);
    }

    private void FollowLevel(DeviceNode node)
    {
        if (node.NoteLevel())
        {
            _thread.Post(() => _ = FollowLevelAsync(node));
        }
    }

    private async Task FollowLevelAsync(DeviceNode node)
    {
        using var limit = new DrainLimit();
        await limit.Wait(node.FollowLevelAsync(limit), Deadline, CancellationToken.None);
    }

    private void FollowReset(DeviceNode node)
    {
        if (node.NoteReset())
        {
            _thread.Post(() => _ = FollowResetAsync(node));
        }
    }

    private async Task FollowResetAsync(DeviceNode node)
    {
        using var limit = new DrainLimit();
        await limit.Wait(node.FollowResetAsync(limit), Deadline, CancellationToken.None);
    }

    private async Task RemoveWhenAgreed(DeviceNode node, Task<RemovalAnswer> answer)
    {
        if (await answer == RemovalAnswer.Agreed)
        {
            await _thread.RunTransition(_ => RemoveAsync(node));
        }
    }

    private async Task RemoveAsync(DeviceNode node)
    {
        if (!Has(node))
        {
            return;
        }

        DemandNoDependent(node);
        node.TakeAway();
        using (var limit = new DrainLimit())
        {
            await limit.Wait(node.StopAsync(limit), Deadline, CancellationToken.None);
        }

        if (node.IsRestless)
        {
            node.GiveUp($"it did not come to rest within {Deadline.TotalSeconds:0.###} s.");
        }

        node.Eject();
        Discard(node);
        DeviceGone?.Invoke(node.Name);
    }

    private bool Has(DeviceNode node)
    {
        lock (_lock)
        {
            return _nodes.Contains(node);
        }
    }

    private void DemandNoDependent(DeviceNode node)
    {
        lock (_lock)
        {
            if (_nodes.FirstOrDefault(other => other.DependsOn.Contains(node.Name)) is { } dependent)
            {
                throw new InvalidOperationException($"Device '{dependent.Name}' depends on device '{node.Name}'.");
            }
        }
    }

    private void PowerUp(DeviceNode node)
    {
        node.PowerUp();
        FailWithDependencies(node);
    }

    private void Start(DeviceNode node)
    {
        FailWithDependencies(node);
        if (node.Failure is null)
        {
            node.Start();
        }
    }

    private void FailWithDependencies(DeviceNode node)
    {
        if (node.Failure is null && node.DependsOn.Select(Find).FirstOrDefault(other => other?.Failure is not null) is { } lost)
        {
            node.Fail($"it depends on device '{lost.Name}', which failed.", null);
        }
    }

    /// <summary>No thread of its own: work is done where it is asked for, one after the other.</summary>
    private sealed class CallersThread : IDeviceThread
    {
        private readonly Lock _turn = new();

        public void Post(Action work)
        {
            lock (_turn)
            {
                work();
            }
        }

        public Task RunTransition(Func<CancellationToken, Task> transition) => transition(CancellationToken.None);
    }
}
