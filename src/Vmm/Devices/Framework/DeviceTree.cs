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
/// <see cref="Load"/>; <see cref="Plug"/> and <see cref="Unplug"/> work while the guest runs.
/// </remarks>
public sealed class DeviceTree(params IReadOnlyList<IDeviceConnector> connectors) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly List<DeviceNode> _nodes = [];
    private DeviceNode[]? _ordered;

    /// <summary>A device was lost. Raised on the thread that lost it, which may be a vCPU's.</summary>
    public event Action<DeviceFailure>? DeviceFailed;

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
            return node;
        }
    }

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
        }
    }

    /// <summary>Quiesces all devices. When it returns none of them acts by itself.</summary>
    public void Stop()
    {
        foreach (var node in Nodes.Reverse())
        {
            node.Stop();
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
    /// <exception cref="InvalidOperationException">A device could not save its state; nothing is lost by going on.</exception>
    public IReadOnlyList<StateSection> Save()
    {
        var states = new List<StateSection>();
        foreach (var node in Nodes)
        {
            if (node.Save() is { } state)
            {
                states.Add(state);
            }
            else if (node.Device is ISavedState)
            {
                throw new InvalidOperationException($"The state of device '{node.Name}' cannot be saved: {node.Failure?.Reason ?? "it is not stopped"}.", node.Failure?.Cause);
            }
        }

        return states;
    }

    /// <summary>Puts the (powered up, not started) devices into the saved state. Everything is checked before the first device is changed.</summary>
    /// <exception cref="InvalidDataException">The states are not those of these devices, or one contradicts itself. Each fault is named.</exception>
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
        var wanted = Nodes.Where(node => node.Device is ISavedState).ToDictionary(node => node.Name, node => ((ISavedState)node.Device).Schema);
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

        faults.AddRange(wanted.Keys.Select(StateUnits.Device).Except(states.Select(state => state.Unit)).Select(unit => $"There is no saved state of '{unit}'."));
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

    /// <summary>Takes a device out of a running machine for good.</summary>
    /// <exception cref="InvalidOperationException">Another device depends on it.</exception>
    public void Unplug(DeviceNode node)
    {
        lock (_lock)
        {
            if (_nodes.FirstOrDefault(other => other.DependsOn.Contains(node.Name)) is { } dependent)
            {
                throw new InvalidOperationException($"Device '{dependent.Name}' depends on device '{node.Name}'.");
            }

            _nodes.Remove(node);
            _ordered = null;
        }

        node.Eject();
        node.TearDown();
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
}
