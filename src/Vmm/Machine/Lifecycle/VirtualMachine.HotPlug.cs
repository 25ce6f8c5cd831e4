using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Machine.Lifecycle;

/// <content>Devices that come and go while the machine runs.</content>
public sealed partial class VirtualMachine
{
    /// <summary>Plugs a device into a slot. The guest hears of it as of a card that is put in.</summary>
    /// <returns>The device with its place and every setting, as <see cref="Spec"/> has it from now on.</returns>
    /// <exception cref="Settings.InvalidSpecException">It cannot be had, or not there.</exception>
    /// <exception cref="HotPlugException">It cannot be made here.</exception>
    /// <exception cref="MachineStateException">The machine does not run.</exception>
    public Task<DeviceSpec> AddDevice(DeviceEntry entry) => Run(_ =>
    {
        Demand(MachineState.Running);
        var device = HotPlug.Add(entry);
        _platform.DeviceList = [.. _platform.DeviceList, device];
        return Task.FromResult(device);
    });

    /// <summary>Asks the guest to let a device go, and takes it out of its slot when it has.</summary>
    /// <param name="patience">
    /// How long the guest may think about it. One that agrees later lets the device go then (<see cref="MachineEventKind.DeviceGone"/>).
    /// </param>
    /// <exception cref="HotPlugException">There is no such device, or it cannot go.</exception>
    /// <exception cref="MachineStateException">The machine does not run, or has ended meanwhile.</exception>
    public async Task<UnplugOutcome> RemoveDevice(string id, TimeSpan patience)
    {
        using var ending = new CancellationTokenSource();
        var removal = await _thread.Run(() =>
        {
            Demand(MachineState.Running);
            return HotPlug.RemoveAsync(id, patience, ending.Token);
        }).ConfigureAwait(false);
        if (await Task.WhenAny(removal, Completion).ConfigureAwait(false) != removal)
        {
            await ending.CancelAsync().ConfigureAwait(false);
        }

        try
        {
            return await removal.ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            throw new MachineStateException("the machine has ended");
        }
    }

    private HotPlug HotPlug => _platform.HotPlug ?? throw new HotPlugException("the machine takes no devices while it runs");

    private void DeviceIsGone(string id)
    {
        _platform.DeviceList = [.. _platform.DeviceList.Where(device => device.Id != id)];
        Raise(MachineEventKind.DeviceGone, $"device '{id}' is gone");
    }
}
