using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Devices.Pci;

/// <summary>INTx#, messages, and the requests of the device itself.</summary>
public sealed partial class PciFunction
{
    private MsiCapability? _msi;
    private MsiXCapability? _msix;
    private bool _interruptPending;
    private InterruptLine.Source? _line;

    /// <summary>Memory accesses of the device itself (DMA) and its messages are allowed.</summary>
    public bool BusMaster
    {
        get
        {
            lock (_lock)
            {
                if (!MayMaster)
                {
                    return false;
                }
            }

            return _bus?.MayMaster != false;
        }
    }

    public bool MsiXEnabled
    {
        get
        {
            lock (_lock)
            {
                return _msix is { Enabled: true };
            }
        }
    }

    /// <param name="vectors">1 to 32, a power of two.</param>
    public void AddMsi(int vectors) => _msi = Add(new MsiCapability(vectors));

    /// <summary>Adds MSI-X with its table and pending bits in a BAR of their own.</summary>
    public void AddMsiX(int vectors, int bar)
    {
        _msix = Add(new MsiXCapability(vectors, bar, SendPending));
        AddBar(bar, PciBar.ForRegisters(_msix.BarSize, _msix));
    }

    /// <summary>Drives INTA#, for functions that have the pin and while no message signalled interrupts are enabled.</summary>
    public void SetInterrupt(bool asserted)
    {
        lock (_lock)
        {
            _interruptPending = asserted;
            UpdateLine();
        }
    }

    /// <summary>Sends the message of a vector, or keeps it pending while it is masked.</summary>
    public void Signal(int vector)
    {
        MsiMessage? message;
        lock (_lock)
        {
            message = _msix is { Enabled: true } ? _msix.Raise(vector, hold: _asleep) : _msi?.Raise(vector, hold: _asleep);
        }

        Send(message);
    }

    /// <summary>The device is started again: all of it is reached, unless the guest has put it to sleep once more.</summary>
    internal void Wake()
    {
        lock (_lock)
        {
            if (!_asleep || LevelInRegister == PowerLevel.Asleep)
            {
                return;
            }

            _asleep = false;
            UpdateLine();
        }

        UpdateMappings();
        SendPending();
    }

    private bool MayMaster => !_asleep && HasCommand(PciCommand.BusMaster);

    private void UpdateLine()
    {
        var status = (PciStatus)_config.Get16(PciRegister.Status) & ~PciStatus.Interrupt;
        _config.Set16(PciRegister.Status, (ushort)(status | (_interruptPending ? PciStatus.Interrupt : 0)));
        bool messages = _msi is { Enabled: true } || _msix is { Enabled: true };
        _line?.Set(_interruptPending && !_asleep && !messages && !HasCommand(PciCommand.InterruptDisable));
    }

    private void SendPending()
    {
        while (true)
        {
            MsiMessage? message;
            lock (_lock)
            {
                bool msix = _msix is { Enabled: true };
                int vector = !MayMaster ? -1 : msix ? _msix!.TakePending() : _msi?.TakePending() ?? -1;
                if (vector < 0)
                {
                    return;
                }

                message = msix ? _msix!.Raise(vector, hold: false) : _msi!.Raise(vector, hold: false);
            }

            Send(message);
        }
    }

    private void Send(MsiMessage? message)
    {
        // A message is a memory write of the function: it needs bus mastering, and only the interrupt window is answered by interrupt
        // controllers.
        if (message is { } send && (send.Address & ~0xfffffUL) == PlatformMap.LocalApic && BusMaster)
        {
            _bus?.Wiring.Router.SendMsi(send with { Requester = Requester });
        }
    }
}
