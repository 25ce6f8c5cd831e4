using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Framework;

/// <summary>
/// The life of one device: the only place that knows and changes its state (SYSTEMS.md 003-2, 002-10). The device itself supplies
/// callbacks. Driven by <see cref="DeviceTree"/>, one operation at a time.
/// </summary>
/// <remarks>
/// Off → Initializing → PoweringUp → (LoadingState →) Running → (SavingState → Running →) PoweringDown → Off → TearingDown.
/// A callback that throws takes the device to <see cref="Failure"/>: from then on only power-down reaches it. Saving alone costs nothing.
/// </remarks>
public sealed class DeviceNode
{
    private readonly IReadOnlyList<IDeviceConnector> _connectors;
    private readonly Action<DeviceFailure> _failed;
    private volatile DeviceLifecycle _state;
    private DeviceFailure? _failure;
    private readonly InputGate? _input;
    private bool _connected;
    private bool _poweredUp;

    /// <summary>The machine runs, as far as this device is concerned; it may sleep all the same.</summary>
    private bool _running;
    private bool _started;
    private PowerLevel _level;
    private int _levelNoted;
    private int _resetNoted;

    /// <summary>Nothing of the device is in progress since it was stopped, or nobody waits for it any more.</summary>
    private bool _atRest = true;
    private Task _drain = Task.CompletedTask;

    internal DeviceNode(
        IDevice device, IReadOnlyList<string> dependsOn, IReadOnlyList<IDeviceConnector> connectors, Action<DeviceFailure> failed)
    {
        Device = device;
        DependsOn = dependsOn;
        _connectors = connectors;
        _failed = failed;
        _input = (device as IHostInput)?.Input;
    }

    public IDevice Device { get; }

    public string Name => Device.Name;

    /// <summary>Names of the devices that must be up before this one.</summary>
    public IReadOnlyList<string> DependsOn { get; }

    public DeviceLifecycle State => _state;

    /// <summary>Why the device is lost, or null while it is well. It becomes well again by being powered down and up.</summary>
    public DeviceFailure? Failure => Volatile.Read(ref _failure);

    /// <summary>The device's timers and workers may run: <see cref="DeviceLifecycle.Running"/>, not paused and not asleep.</summary>
    public bool IsStarted => _started;

    /// <summary>The device has been stopped, and something of it is still in progress.</summary>
    public bool IsRestless => !_started && !_atRest;

    /// <summary>Off to ready: resources acquired, registers at their power-on values; the guest does not see it yet.</summary>
    internal void PowerUp()
    {
        if (_state != DeviceLifecycle.Off)
        {
            return;
        }

        Volatile.Write(ref _failure, null);
        _level = PowerLevel.Full;
        _drain = Task.CompletedTask;
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

    /// <summary>
    /// The guest may use the device from here on; also the way out of a pause. One that the guest has put to sleep sleeps on.
    /// </summary>
    internal void Start()
    {
        if (_running || _state is not (DeviceLifecycle.PoweringUp or DeviceLifecycle.LoadingState or DeviceLifecycle.Running))
        {
            return;
        }

        _running = true;
        ResetIfDue();
        Attempt(() =>
        {
            if (Device is IPowerLevels { WantedLevel: PowerLevel.Asleep } levels)
            {
                EnterLevel(levels, PowerLevel.Asleep);
                Connect();
            }
            else
            {
                Wake();
            }
        });
        _state = DeviceLifecycle.Running;
    }

    /// <summary>
    /// Quiesces a running device; it keeps its place on the bus, as the caller has stopped all vCPUs. What is in progress outside is not
    /// waited for.
    /// </summary>
    internal void Stop()
    {
        _running = false;
        StopDevice();
    }

    /// <summary>Quiesces a running device and waits until nothing of it is in progress.</summary>
    /// <returns>False if something still is.</returns>
    internal async Task<bool> StopAsync(DrainLimit limit)
    {
        Stop();
        return await DrainAsync(limit);
    }

    /// <summary>Waits until nothing of the (stopped) device is in progress.</summary>
    /// <returns>False if something still is.</returns>
    internal async Task<bool> DrainAsync(DrainLimit limit)
    {
        if (_atRest || Device is not IDrainable drainable)
        {
            return true;
        }

        try
        {
            // One from before the device was started again may not have ended; callbacks come one at a time.
            await _drain.WaitAsync(limit.Left)
                .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
            limit.Left.ThrowIfCancellationRequested();
            if (_started || _atRest)
            {
                return _atRest;
            }

            _drain = drainable.DrainAsync(limit.GiveUp);
            await _drain.WaitAsync(limit.Left);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
        catch (Exception exception)
        {
            Fail(exception.Message, exception);
        }

        _atRest = !_started;
        return _atRest;
    }

    /// <summary>The device is lost, and what is still in progress of it does not hold up the machine any more.</summary>
    internal void GiveUp(string reason)
    {
        Fail(reason, null);
        _atRest = true;
    }

    /// <summary>Notes, from any thread, that the guest wants another power level.</summary>
    /// <returns>False if that is noted already, and not yet followed: a guest that plays with it queues nothing.</returns>
    internal bool NoteLevel() => Interlocked.Exchange(ref _levelNoted, 1) == 0;

    /// <summary>Brings a device to the power level that its guest wants, if the machine runs.</summary>
    internal async Task FollowLevelAsync(DrainLimit limit)
    {
        Interlocked.Exchange(ref _levelNoted, 0);
        if (Device is not IPowerLevels levels || !_running || IsResetDue || Failure is not null)
        {
            return;
        }

        if (levels.WantedLevel == PowerLevel.Full)
        {
            Attempt(Wake);
        }
        else if (_started)
        {
            Attempt(() => ForEachConnector(connector => connector.Sleep(Device)));
            StopDevice();
            // What takes longer than the limit holds nothing up here: the guest waits for it, or wakes the device.
            if (await DrainAsync(limit) && _running && !_started && levels.WantedLevel == PowerLevel.Asleep)
            {
                Attempt(() => EnterLevel(levels, PowerLevel.Asleep));
            }
        }
    }

    /// <summary>As <see cref="NoteLevel"/>, for a reset by the bus.</summary>
    internal bool NoteReset() => Interlocked.Exchange(ref _resetNoted, 1) == 0;

    /// <summary>The bus has reset the device, which has not followed yet.</summary>
    internal bool IsResetDue => Device is IResetByBus { ResetDue: true };

    /// <summary>
    /// Resets a device whose bus has reset it, if the machine runs; otherwise it is reset before it starts again, or tells its state.
    /// </summary>
    internal async Task FollowResetAsync(DrainLimit limit)
    {
        Interlocked.Exchange(ref _resetNoted, 0);
        if (!IsResetDue || !_running || Failure is not null)
        {
            return;
        }

        Attempt(() => ForEachConnector(connector => connector.Sleep(Device)));
        StopDevice();
        bool atRest = await DrainAsync(limit);
        if (!_running || _started || Failure is not null)
        {
            return;
        }

        if (atRest)
        {
            ResetIfDue();
            Attempt(Wake);
        }
        else
        {
            // As one that does not come to rest for a system reset.
            GiveUp("it did not come to rest in time to be reset by its bus.");
            PowerDown();
            PowerUp();
            Start();
        }
    }

    /// <summary>System reset of a quiesced device. One that was lost is powered down and up instead, which may bring it back.</summary>
    internal void Reset()
    {
        if (_running || !_atRest || _state == DeviceLifecycle.Off)
        {
            return;
        }

        if (Failure is null)
        {
            _level = PowerLevel.Full;
            Attempt(Device.Reset);
        }
        else
        {
            PowerDown();
            PowerUp();
        }
    }

    /// <summary>The state of a quiesced device, or null if it has none. A lost device tells too: restored, it is well again.</summary>
    /// <exception cref="InvalidOperationException">The device cannot tell, this time; it is as it was.</exception>
    internal StateSection? Save()
    {
        if (_state == DeviceLifecycle.Off || Device is not ISavedState saved)
        {
            return null;
        }

        ResetIfDue();
        if (_running || !_atRest)
        {
            throw new InvalidOperationException($"The state of device '{Name}' cannot be saved: it is not at rest.");
        }

        var before = _state;
        _state = DeviceLifecycle.SavingState;
        try
        {
            return saved.Schema.WriteRecord(StateUnits.Device(Name), saved.SaveState());
        }
        catch (Exception exception)
        {
            throw new InvalidOperationException($"The state of device '{Name}' cannot be saved: {exception.Message}", exception);
        }
        finally
        {
            _state = before;
        }
    }

    /// <summary>Puts a quiesced device into the saved state.</summary>
    /// <exception cref="InvalidDataException">The state contradicts itself; the device is as it was.</exception>
    internal void Load(object state)
    {
        if (_running || _state == DeviceLifecycle.Off || Failure is not null)
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

    /// <summary>The guest reaches the device no more, and no access to it is in progress.</summary>
    internal void TakeAway() => AttemptAlways(Disconnect);

    internal void PowerDown()
    {
        if (_state is DeviceLifecycle.Off or DeviceLifecycle.TearingDown)
        {
            return;
        }

        _state = DeviceLifecycle.PoweringDown;
        TakeAway();
        Stop();
        _atRest = true;
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

    /// <summary>The guest decides whether the device goes.</summary>
    internal bool IsAskedFor => Device is IEjectable || Slot is not null;

    private IHotPlugController? Slot => _connectors.OfType<IHotPlugController>().FirstOrDefault(controller => controller.Governs(Device));

    internal void Ask(Action<RemovalAnswer> answer) => AttemptAlways(() =>
    {
        if (Device is IEjectable ejectable)
        {
            ejectable.AskToEject(answer);
        }
        else
        {
            Slot?.AskToEject(Device, answer);
        }
    });

    /// <summary>Frees the device's place; after it has been torn down.</summary>
    internal void Leave() => AttemptAlways(() => ForEachConnector(connector => connector.Remove(Device)));

    /// <summary>The last word to a device that the guest has let go.</summary>
    internal void Eject()
    {
        if (Device is IEjectable ejectable)
        {
            Attempt(ejectable.Eject);
        }
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

    private void ResetIfDue()
    {
        if (IsResetDue && !_started && _atRest)
        {
            _level = PowerLevel.Full;
            Attempt(Device.Reset);
        }
    }

    private void Wake()
    {
        if (Device is IPowerLevels levels)
        {
            EnterLevel(levels, PowerLevel.Full);
        }

        if (!_started)
        {
            _started = true;
            _atRest = Device is not IDrainable;
            _input?.Open();
            Device.Start();
        }

        Connect();
        ForEachConnector(connector => connector.Wake(Device));
    }

    /// <summary>Also a failed device is told: a worker of it may still run.</summary>
    private void StopDevice()
    {
        if (_started)
        {
            _started = false;
            _input?.Close();
            AttemptAlways(Device.Stop);
        }
    }

    private void EnterLevel(IPowerLevels levels, PowerLevel level)
    {
        if (_level != level)
        {
            _level = level;
            levels.EnterLevel(level);
        }
    }

    private void Connect()
    {
        if (!_connected)
        {
            _connected = true;
            ForEachConnector(connector => connector.Connect(Device));
        }
    }

    private void Disconnect()
    {
        if (_connected)
        {
            _connected = false;
            ForEachConnector(connector => connector.Disconnect(Device));
        }
    }

    private void ForEachConnector(Action<IDeviceConnector> tell)
    {
        foreach (var connector in _connectors)
        {
            tell(connector);
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
