using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Machine.Assembly;
using WebVm.Vmm.Machine.Consoles;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;
using Xunit;

namespace WebVm.Vmm.Tests.Machine;

/// <summary>A virtual machine around a <see cref="ScriptedEngine"/>, with one device that writes down what happens to it.</summary>
internal sealed class ScriptedMachine : IDisposable
{
    public const ulong EntryPoint = 0x1234;

    /// <param name="deadline">What devices get to come to rest.</param>
    public ScriptedMachine(int cpus = 1, ulong size = 4 << 20, TimeSpan? deadline = null, params IReadOnlyList<IDevice> more)
    {
        var bus = new SystemBus();
        var memory = new GuestMemory();
        var region = memory.CreateRegion("ram", GuestMemoryKind.Ram, size);
        Assert.True(memory.TryMap(region, new GuestPhysicalAddress(0)));
        var clock = new VirtualClock();
        var devices = new DeviceTree(new BusConnector(bus));
        devices.Add(Device);
        foreach (var device in more)
        {
            devices.Add(device);
        }

        Signals = new MachineSignals();
        Machine = new VirtualMachine(new Platform
        {
            Spec = new MachineSpec { Cpus = cpus, Memory = size, Name = "scripted" },
            Memory = memory,
            Clock = clock,
            Timers = new TimerService(clock),
            Bus = bus,
            Devices = devices,
            Engine = Engine,
            Signals = Signals,
            Serial = Serial,
            PowerOn = states =>
            {
                PowerOns++;
                if (PowerOnFailure is { } failure)
                {
                    throw failure;
                }

                SetEntry(states);
            },
            PowerButton = () => PowerButtonPresses++,
        })
        {
            PauseDeadline = deadline ?? TimeSpan.FromMinutes(1),
            EndDeadline = deadline ?? TimeSpan.FromMinutes(1),
        };
        Machine.Event += happened =>
        {
            lock (Events)
            {
                Events.Add(happened);
            }
        };
    }

    public ScriptedEngine Engine { get; } = new();

    public SerialConsole Serial { get; } = new();

    public MachineSignals Signals { get; }

    public NotingDevice Device { get; } = new();

    public VirtualMachine Machine { get; }

    public List<MachineEvent> Events { get; } = [];

    public int PowerOns { get; private set; }

    /// <summary>What power-on and reset fail with.</summary>
    public Exception? PowerOnFailure { get; set; }

    public int PowerButtonPresses { get; private set; }

    public void Dispose() => Machine.Dispose();

    private static unsafe void SetEntry(CpuStateBuffer states) => states[0]->Rip = EntryPoint;

    /// <summary>Waits until the event has been raised.</summary>
    public async Task Until(MachineEventKind kind)
    {
        for (int i = 0; i < 2000; i++)
        {
            lock (Events)
            {
                if (Events.Any(happened => happened.Kind == kind))
                {
                    return;
                }
            }

            await Task.Delay(5);
        }

        Assert.Fail($"{kind} did not happen.");
    }
}

internal sealed class NotingDevice : IDevice
{
    private readonly List<string> _notes = [];

    public string Name => "noting";

    public IReadOnlyList<string> Notes
    {
        get
        {
            lock (_notes)
            {
                return [.. _notes];
            }
        }
    }

    public void Reset() => Note("reset");

    public void Start() => Note("start");

    public void Stop() => Note("stop");

    private void Note(string note)
    {
        lock (_notes)
        {
            _notes.Add(note);
        }
    }
}
