using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Framework;

/// <summary>
/// The life of one device: the only place that knows and changes its state (SYSTEMS.md 003-2, 002-10). The device itself supplies
/// callbacks. Driven by <see cref="DeviceTree"/>, one operation at a time.
/// </summary>
/// <remarks>
/// Off → Initializing → PoweringUp → (LoadingState →) Running → (SavingState → Running →) PoweringDown → Off → TearingDown.
/// A callback that throws takes the device to <see cref="Failure"/>: from then on only power-down reaches it.
/// </remarks>
public sealed class DeviceNode
{
    private readonly IReadOnlyList<IDeviceConnector> _connectors;
    private readonly Action<DeviceFailure> _failed;
    private volatile DeviceLifecycle _state;
    private DeviceFailure? _failure;
    private bool _connected;
    private bool _poweredUp;
    private bool _started;

    internal DeviceNode(IDevice device, IReadOnlyList<string> dependsOn, IReadOnlyList<IDeviceConnector> connectors, Action<DeviceFailure> failed)
    {
        Device = device;
        DependsOn = dependsOn;
        _connectors = connectors;
        _failed = failed;
    }

    public IDevice Device { get; }

    public string Name => Device.Name;

    /// <summary>Names of the devices that must be up before this one.</summary>
    public IReadOnlyList<string> DependsOn { get; }

    public DeviceLifecycle State => _state;

    /// <summary>Why the device is lost, or null while it is well. It becomes well again by being powered down and up.</summary>
    public DeviceFailure? Failure => Volatile.Read(ref _failure);

    /// <summary>The device's timers and workers may run: <see cref="DeviceLifecycle.Running"/> and not paused.</summary>
    public bool IsStarted => _started;

    /// <summary>Off to ready: resources acquired, registers at their power-on values; the guest does not see it yet.</summary>
    internal void PowerUp()
    {
        if (_state != DeviceLifecycle.Off)
        {
            return;
        }

        Volatile.Write(ref _failure, null);
        _state = DeviceLifecycle.Initializing;
        if (Device is IPowerable powerable)
        {
            Attempt(() =>
            {
                _state = DeviceLifecycle.PoweringUp;
                _poweredUp = true;
                powerable.PowerUp();
            });
        }

        _state = DeviceLifecycle.PoweringUp;
        Attempt(Device.Reset);
    }

    /// <summary>The guest may use the device from here on; also the way out of a pause.</summary>
    internal void Start()
    {
        if (_started || _state is not (DeviceLifecycle.PoweringUp or DeviceLifecycle.LoadingState or DeviceLifecycle.Running))
        {
            return;
        }

        Attempt(() =>
        {
            _started = true;
            Device.Start();
            Connect();
        });
        _state = DeviceLifecycle.Running;
    }

    /// <summary>Quiesces a running device; it keeps its place on the bus, as the caller has stopped all vCPUs.</summary>
    internal void Stop()
    {
        if (_started)
        {
            // Also a failed device is told: a worker of it may still run.
            _started = false;
            AttemptAlways(Device.Stop);
        }
    }

    /// <summary>System reset of a quiesced device. One that was lost is powered down and up instead, which may bring it back.</summary>
    internal void Reset()
    {
        if (_started || _state == DeviceLifecycle.Off)
        {
            return;
        }

        if (Failure is null)
        {
            Attempt(Device.Reset);
        }
        else
        {
            PowerDown();
            PowerUp();
        }
    }

    /// <summary>The state of a quiesced device, or null if it has none or cannot tell. A lost device tells too: restored, it is well again.</summary>
    internal StateSection? Save()
    {
        if (_started || _state == DeviceLifecycle.Off || Device is not ISavedState saved)
        {
            return null;
        }

        StateSection? state = null;
        var before = _state;
        _state = DeviceLifecycle.SavingState;
        AttemptAlways(() => state = saved.Schema.WriteRecord(StateUnits.Device(Name), saved.SaveState()));
        _state = before;
        return state;
    }

    /// <summary>Puts a quiesced device into the saved state.</summary>
    /// <exception cref="InvalidDataException">The state contradicts itself; the device is as it was.</exception>
    internal void Load(object state)
    {
        if (_started || _state == DeviceLifecycle.Off || Failure is not null)
        {
            return;
        }

        var before = _state;
        _state = DeviceLifecycle.LoadingState;
        try
        {
            ((ISavedState)Device).LoadState(state);
        }
        catch (InvalidDataException)
        {
            _state = before;
            throw;
        }
        catch (Exception exception)
        {
            Fail(exception.Message, exception);
            throw new InvalidDataException($"Device '{Name}' could not take its saved state.", exception);
        }
    }

    internal void PowerDown()
    {
        if (_state is DeviceLifecycle.Off or DeviceLifecycle.TearingDown)
        {
            return;
        }

        _state = DeviceLifecycle.PoweringDown;
        AttemptAlways(Disconnect);
        Stop();
        if (_poweredUp)
        {
            _poweredUp = false;
            AttemptAlways(((IPowerable)Device).PowerDown);
        }

        _state = DeviceLifecycle.Off;
    }

    /// <summary>The end: the device never comes back.</summary>
    internal void TearDown()
    {
        if (_state == DeviceLifecycle.TearingDown)
        {
            return;
        }

        PowerDown();
        _state = DeviceLifecycle.TearingDown;
        if (Device is IDisposable disposable)
        {
            AttemptAlways(disposable.Dispose);
        }
    }

    /// <summary>The guest agreed to let the device go.</summary>
    internal void Eject()
    {
        if (Device is IEjectable ejectable)
        {
            Attempt(ejectable.Eject);
        }

        PowerDown();
    }

    /// <summary>Marks the device as lost. Callable from any thread; the first reason stands.</summary>
    internal void Fail(string reason, Exception? cause)
    {
        var failure = new DeviceFailure(Name, _state, reason, cause);
        if (Interlocked.CompareExchange(ref _failure, failure, null) is null)
        {
            _failed(failure);
        }
    }

    private void Connect()
    {
        if (!_connected)
        {
            _connected = true;
            foreach (var connector in _connectors)
            {
                connector.Connect(Device);
            }
        }
    }

    private void Disconnect()
    {
        if (_connected)
        {
            _connected = false;
            foreach (var connector in _connectors)
            {
                connector.Disconnect(Device);
            }
        }
    }

    private void Attempt(Action callback)
    {
        if (Failure is null)
        {
            AttemptAlways(callback);
        }
    }

    private void AttemptAlways(Action callback)
    {
        try
        {
            callback();
        }
        catch (Exception exception)
        {
            Fail(exception.Message, exception);
        }
    }
}
