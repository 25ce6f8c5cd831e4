using WebVm.Vmm.Devices.Debugging.Exit;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Machine.Lifecycle;

/// <summary>
/// Hands what the guest asks of its machine to the machine's thread. Made before the devices, which hold it, and the machine, which hears
/// it.
/// </summary>
internal sealed class MachineSignals : IMachineSignals
{
    private volatile VirtualMachine? _machine;

    public void ConnectTo(VirtualMachine machine) => _machine = machine;

    public void PowerOff() => _machine?.GuestEnded(MachineExit.PowerOff);

    public void Reset(ResetKind kind) => _machine?.GuestReset(kind.ToString());

    // Suspend to RAM is not offered by the tables; a guest that hibernated has saved itself and is off.
    public void Sleep(SleepState state)
    {
        if (state == SleepState.S4)
        {
            _machine?.GuestEnded(MachineExit.PowerOff);
        }
    }

    public void GuestPanicked(PanicKind kind) => _machine?.GuestPanicked(kind);

    public void DebugExit(int code) => _machine?.GuestEnded(MachineExit.DebugExit(code));
}
