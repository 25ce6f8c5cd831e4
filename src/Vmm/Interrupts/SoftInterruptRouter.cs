using WebVm.Vmm.Time;

namespace WebVm.Vmm.Interrupts;

/// <summary>
/// The interrupt controllers of the soft engine and the wires between them: what KVM has in the kernel. Devices' lines go to
/// the 8259A pair and the I/O APIC, messages to the local APICs; the PIT belongs to it, as it does in KVM.
/// </summary>
public sealed class SoftInterruptRouter : IInterruptRouter, IDisposable
{
    /// <summary>ISA interrupt 0 arrives at pin 2 of the I/O APIC, as the MADT's override tells the guest (ACPI 6.5 §5.2.12.5).</summary>
    private const int TimerPin = 2;

    /// <summary>The address range that the chipset decodes as interrupt messages (SDM Vol. 3A §11.11.1).</summary>
    private const ulong MessageWindow = 0xfee0_0000;
    private const ulong MessageWindowMask = ~0xf_ffffUL;

    public SoftInterruptRouter(ITimerService timers)
    {
        IoApic = new IoApic(message => Apics.Send(message));
        Pics = new PicPair(Apics.SetExternalInterruptLine);
        Pit = new Pit(timers, asserted => SetLine(0, asserted));
        Apics.LevelInterruptEnded = IoApic.EndOfInterrupt;
        Apics.AcknowledgeExternal = Pics.Acknowledge;
        Pit.Reset();
    }

    /// <summary>Where the vCPUs' local APICs are attached.</summary>
    public ApicBus Apics { get; } = new();

    public IoApic IoApic { get; }

    public PicPair Pics { get; }

    public Pit Pit { get; }

    /// <summary>GSI 0 and 2 are the same wire: interrupt 0 of the 8259A pair and pin 2 of the I/O APIC.</summary>
    public void SetLine(int gsi, bool asserted)
    {
        if (gsi < 16)
        {
            Pics.SetLine(gsi == TimerPin ? 0 : gsi, asserted);
        }

        IoApic.SetLine(gsi == 0 ? TimerPin : gsi, asserted);
    }

    public void SendMsi(MsiMessage message)
    {
        // The end of a level (trigger mode level, not asserted) is no interrupt.
        const uint LevelAndAssert = (1 << 15) | (1 << 14);
        bool ends = (message.Data & LevelAndAssert) == 1 << 15;
        if ((message.Address & MessageWindowMask) == MessageWindow && !ends)
        {
            Apics.Send(ApicMessage.FromMsi(message));
        }
    }

    /// <summary>Power-on state of all controllers, local APICs included. Only while no vCPU runs.</summary>
    public void Reset()
    {
        Pit.Reset();
        Pics.Reset();
        IoApic.Reset();
        foreach (var apic in Apics.LocalApics)
        {
            apic.Reset();
        }
    }

    /// <summary>Only while no vCPU runs.</summary>
    public InterruptControllerState Save()
    {
        var (primary, secondary) = Pics.Save();
        return new InterruptControllerState
        {
            PrimaryPic = primary,
            SecondaryPic = secondary,
            IoApic = IoApic.Save(),
            Pit = Pit.Save(),
            LocalApics = [.. Apics.LocalApics.Select(apic => apic.Save())],
        };
    }

    /// <summary>Only while no vCPU runs.</summary>
    /// <exception cref="InvalidDataException">The state is not of such controllers, or of another number of vCPUs.</exception>
    public void Load(InterruptControllerState state)
    {
        if (state.LocalApics.Count != Apics.LocalApics.Count)
        {
            throw new InvalidDataException(
                $"The saved state has {state.LocalApics.Count} local APICs, the machine {Apics.LocalApics.Count}.");
        }

        for (int i = 0; i < state.LocalApics.Count; i++)
        {
            Apics.LocalApics[i].Load(state.LocalApics[i]);
        }

        // The I/O APIC's state does not tell asserted edge pins; the 8259A pair shares their lines and remembers.
        uint levels = state.PrimaryPic.LastLevels | ((uint)state.SecondaryPic.LastLevels << 8);
        levels = (levels & ~((1u << TimerPin) | 1u)) | ((levels & 1) << TimerPin);
        Pics.Load(state.PrimaryPic, state.SecondaryPic);
        IoApic.Load(state.IoApic, levels);
        Pit.Load(state.Pit);
    }

    public void Dispose() => Pit.Dispose();
}
