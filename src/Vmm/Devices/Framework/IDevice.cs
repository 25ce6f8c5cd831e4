using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Framework;

/// <summary>
/// What every device supplies. The framework (DeviceNode) owns its life and calls these in order; a device never asks
/// which state it is in. What else it can do it declares by the capability interfaces in this folder.
/// </summary>
/// <remarks>
/// Callbacks come one at a time. Between <see cref="Start"/> and <see cref="Stop"/> I/O handlers may be called from any vCPU thread, also
/// concurrently; outside they are not called at all, and the host's input is not let in (<see cref="IHostInput"/>). A callback that throws
/// fails the device, not the machine; one that saves costs no more than that state.
/// </remarks>
public interface IDevice
{
    /// <summary>Unique within the machine and stable across save and restore, such as "uart0".</summary>
    string Name { get; }

    /// <summary>Sets every register to its power-on value. Also the way a system reset reaches the device.</summary>
    void Reset();

    /// <summary>From here on the guest may use the device; timers and workers may run.</summary>
    void Start()
    {
    }

    /// <summary>
    /// Quiesces: when it returns no timer or worker of the device runs and nothing begins. It does not wait for what is outside:
    /// <see cref="IDrainable"/>.
    /// </summary>
    void Stop()
    {
    }
}

/// <summary>A device whose backing resources are acquired when it is powered up and released when powered down.</summary>
public interface IPowerable
{
    void PowerUp();

    void PowerDown();
}

/// <summary>A device with state that survives save and restore. Non-generic view of <see cref="ISavedState{TState}"/>.</summary>
public interface ISavedState
{
    /// <summary>What the state is called, how it is written and read, and how that of earlier builds is brought to this one's.</summary>
    StateSchema Schema { get; }

    object SaveState();

    /// <exception cref="InvalidDataException">The state contradicts itself; the device is unchanged.</exception>
    void LoadState(object state);
}

/// <summary>Saved state as one immutable record that System.Text.Json can write and read.</summary>
public interface ISavedState<TState> : ISavedState
    where TState : class
{
    new StateSchema<TState> Schema { get; }

    StateSchema ISavedState.Schema => Schema;

    TState Save();

    void Load(TState state);

    object ISavedState.SaveState() => Save();

    void ISavedState.LoadState(object state) => Load((TState)state);
}
