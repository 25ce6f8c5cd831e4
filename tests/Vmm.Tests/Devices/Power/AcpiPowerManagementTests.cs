using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Power.FixedHardware;
using WebVm.Vmm.Devices.Power.ResetRegister;
using WebVm.Vmm.Devices.Power.SystemControl;
using WebVm.Vmm.Devices.Wires;
using WebVm.Vmm.Tests.Devices.Doubles;
using WebVm.Vmm.Tests.Interrupts;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Power;

public sealed class AcpiPowerManagementTests : IDisposable
{
    private readonly RecordingRouter _router = new();
    private readonly RecordingSignals _signals = new();
    private readonly ManualTimers _timers = new();
    private readonly SystemBus _bus = new();
    private readonly AcpiPowerManagement _pm;

    public AcpiPowerManagementTests()
    {
        _pm = new AcpiPowerManagement(_timers, _router.Line(AcpiPorts.SciGsi), _signals);
        _pm.Input.Open();
        _pm.Reset();
        foreach (var window in _pm.PortWindows)
        {
            _bus.Add(window, _pm.Name);
        }
    }

    public void Dispose() => _pm.Dispose();

    [Fact]
    public void The_power_button_raises_the_SCI_once_the_guest_is_in_ACPI_mode_and_wants_it()
    {
        _pm.PressPowerButton();
        Assert.False(_router[9]);
        _bus.WritePort(AcpiPorts.Pm1Event + 2, 2, 0x0100);
        Assert.False(_router[9]);
        EnterAcpiMode();
        Assert.True(_pm.InAcpiMode);
        Assert.True(_router[9]);
        Assert.Equal(0x0100u, _bus.ReadPort(AcpiPorts.Pm1Event, 2));

        _bus.WritePort(AcpiPorts.Pm1Event, 2, 0x0100);
        Assert.Equal(0u, _bus.ReadPort(AcpiPorts.Pm1Event, 2));
        Assert.False(_router[9]);
    }

    [Fact]
    public void ACPI_mode_ends_by_the_SMI_command_only()
    {
        EnterAcpiMode();
        _bus.WritePort(AcpiPorts.Pm1Control, 2, 0);
        Assert.True(_pm.InAcpiMode);
        _bus.WritePort(AcpiPorts.SmiCommand, 1, AcpiPorts.AcpiDisable);
        Assert.False(_pm.InAcpiMode);
        Assert.Equal(0u, _bus.ReadPort(AcpiPorts.Pm1Control, 2) & 1);
    }

    [Theory]
    [InlineData(SleepTypes.S5, "power off")]
    [InlineData(SleepTypes.S3, "sleep S3")]
    [InlineData(SleepTypes.S4, "sleep S4")]
    public void A_sleep_type_with_SLP_EN_puts_the_machine_to_sleep(byte type, string expected)
    {
        _bus.WritePort(AcpiPorts.Pm1Control, 2, (uint)type << 10);
        Assert.Empty(_signals.Log);
        _bus.WritePort(AcpiPorts.Pm1Control, 2, ((uint)type << 10) | (1 << 13));
        Assert.Equal([expected], _signals.Log);
        Assert.Equal((uint)type << 10, _bus.ReadPort(AcpiPorts.Pm1Control, 2));
    }

    [Fact]
    public void Sleeping_works_with_byte_writes_too()
    {
        _bus.WritePort(AcpiPorts.Pm1Control + 1, 1, (SleepTypes.S5 << 2) | (1 << 5));
        Assert.Equal(["power off"], _signals.Log);
    }

    [Fact]
    public void The_timer_counts_at_3_579545_MHz()
    {
        _timers.Advance(1_000_000_000);
        Assert.Equal(3_579_545u, _bus.ReadPort(AcpiPorts.Timer, 4));
        _timers.Advance(3_600_000_000_000);
        Assert.Equal(unchecked((uint)(3_579_545L * 3601)), _bus.ReadPort(AcpiPorts.Timer, 4));
    }

    [Fact]
    public void The_timer_reports_every_change_of_its_top_bit()
    {
        EnterAcpiMode();
        _bus.WritePort(AcpiPorts.Pm1Event + 2, 2, 1);
        _timers.Advance(599_000_000_000);
        Assert.False(_router[9]);
        _timers.Advance(2_000_000_000);
        Assert.True(_router[9]);
        Assert.Equal(0x8000_0000u, _bus.ReadPort(AcpiPorts.Timer, 4) & 0x8000_0000);
        _bus.WritePort(AcpiPorts.Pm1Event, 2, 1);
        Assert.False(_router[9]);
        _timers.Advance(600_000_000_000);
        Assert.True(_router[9]);
    }

    [Fact]
    public void A_general_purpose_event_raises_the_SCI_when_enabled()
    {
        EnterAcpiMode();
        _pm.RaiseGpe(17);
        Assert.Equal(2u, _bus.ReadPort(AcpiPorts.Gpe0 + 2, 1));
        Assert.False(_router[9]);
        _bus.WritePort(AcpiPorts.Gpe0 + 8 + 2, 1, 2);
        Assert.True(_router[9]);
        _bus.WritePort(AcpiPorts.Gpe0 + 2, 1, 2);
        Assert.False(_router[9]);
    }

    [Fact]
    public void State_survives_save_and_load()
    {
        EnterAcpiMode();
        _bus.WritePort(AcpiPorts.Pm1Event + 2, 2, 0x0121);
        _bus.WritePort(AcpiPorts.Gpe0 + 8, 1, 0x55);
        _pm.PressPowerButton();
        _pm.RaiseGpe(3);
        var state = _pm.Save();

        var router = new RecordingRouter();
        using var other = new AcpiPowerManagement(_timers, router.Line(9), _signals);
        other.Load(state);
        Assert.Equal(state, other.Save());
        Assert.True(router[9]);
    }

    [Fact]
    public void Reset_ports_and_panics_and_exits_reach_the_machine()
    {
        var reset = new ResetControl(_signals);
        reset.WritePort(0, 1, 0x02);
        Assert.Empty(_signals.Log);
        reset.WritePort(0, 1, 0x06);
        Assert.Equal(2u, reset.ReadPort(0, 1));
        var a20 = new A20Gate();
        var port92 = new SystemControlPort(a20, _signals);
        port92.Reset();
        Assert.Equal(2u, port92.ReadPort(0, 1));
        port92.WritePort(0, 1, 0);
        Assert.False(a20.Enabled);
        port92.WritePort(0, 1, 3);
        port92.WritePort(0, 1, 3);
        var pvpanic = new WebVm.Vmm.Devices.Debugging.Panic.Pvpanic(_signals);
        Assert.Equal(3u, pvpanic.ReadPort(0, 1));
        pvpanic.WritePort(0, 1, 1);
        pvpanic.WritePort(0, 1, 2);
        pvpanic.WritePort(0, 1, 4);
        new WebVm.Vmm.Devices.Debugging.Exit.DebugExit(_signals).WritePort(0, 4, 21);
        Assert.Equal(["reset ResetControl", "reset SystemControlPort", "panic Panicked", "panic CrashLoaded", "exit 43"], _signals.Log);
    }

    private void EnterAcpiMode() => _bus.WritePort(AcpiPorts.SmiCommand, 1, AcpiPorts.AcpiEnable);
}
