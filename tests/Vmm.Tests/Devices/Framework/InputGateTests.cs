using System.Reflection;
using System.Text.Json;
using WebVm.Vmm.Devices.Chipset.Clock;
using WebVm.Vmm.Devices.Display;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Input;
using WebVm.Vmm.Devices.Serial;
using WebVm.Vmm.Keys;
using WebVm.Vmm.Memory;
using WebVm.Vmm.State;
using WebVm.Vmm.Tests.Architecture;
using WebVm.Vmm.Tests.Devices.Doubles;
using WebVm.Vmm.Tests.Devices.Hostile;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Framework;

public sealed class InputGateTests
{
    private static readonly Type[] s_types = typeof(GuestMemory).Assembly.GetTypes();

    [Fact]
    public void A_gate_is_closed_until_it_is_opened()
    {
        var gate = new InputGate();
        Assert.False(Enters(gate));
        gate.Open();
        Assert.True(Enters(gate));
        gate.Open();
        gate.Close();
        Assert.False(Enters(gate));
        gate.Close();
        gate.Open();
        Assert.True(Enters(gate));
    }

    [Fact]
    public void Closing_waits_for_those_inside_and_lets_nobody_in()
    {
        var gate = new InputGate();
        gate.Open();
        using var inside = new ManualResetEventSlim();
        using var leave = new ManualResetEventSlim();
        var visitor = new Thread(() =>
        {
            using var entry = gate.Enter();
            inside.Set();
            leave.Wait();
        });
        visitor.Start();
        inside.Wait(TestContext.Current.CancellationToken);
        var closing = new Thread(gate.Close);
        closing.Start();
        Assert.True(SpinWait.SpinUntil(() => !Enters(gate), TimeSpan.FromMinutes(1)));
        Assert.False(closing.Join(50));
        leave.Set();
        Assert.True(closing.Join(TimeSpan.FromMinutes(1)));
        visitor.Join();
    }

    [Fact]
    public void Entering_allocates_nothing()
    {
        var gate = new InputGate();
        gate.Open();
        Enters(gate);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 10_000; i++)
        {
            Enters(gate);
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void Nobody_is_inside_a_gate_that_is_closed_however_many_come()
    {
        var gate = new InputGate();
        int inside = 0;
        bool done = false;
        var visitors = Enumerable.Range(0, 3).Select(_ => new Thread(() =>
        {
            while (!Volatile.Read(ref done))
            {
                using var entry = gate.Enter();
                if (entry.Granted)
                {
                    Interlocked.Increment(ref inside);
                    Interlocked.Decrement(ref inside);
                }
            }
        })).ToArray();
        Array.ForEach(visitors, visitor => visitor.Start());
        for (int i = 0; i < 2000; i++)
        {
            gate.Open();
            gate.Close();
            Assert.Equal(0, Volatile.Read(ref inside));
        }

        Volatile.Write(ref done, true);
        Array.ForEach(visitors, visitor => visitor.Join());
    }

    [Fact]
    public void Nothing_from_the_host_changes_a_device_that_is_stopped()
    {
        using var platform = new WholePlatform();
        platform.Clock.Stop();
        platform.Tree.Stop();
        string before = State(platform);
        var unknown = platform.Tree.All<IHostInput>().Where(device => !Provoke(device)).ToArray();
        Assert.True(unknown.Length == 0, $"This test knows no input of {string.Join(", ", unknown.AsEnumerable())}.");
        Assert.Equal(before, State(platform));

        platform.Tree.Start();
        foreach (var device in platform.Tree.All<IHostInput>())
        {
            Provoke(device);
        }

        platform.Tree.Stop();
        Assert.NotEqual(before, State(platform));
        Assert.Empty(platform.Faults);
    }

    [Fact]
    public void A_device_keeps_no_note_of_whether_it_runs()
    {
        string[] notes = ["started", "running", "stopped", "paused", "isstarted", "isrunning", "isstopped", "ispaused"];
        foreach (var type in DeviceTypes)
        {
            var fields = type.GetFields(BindingFlags.Instance | BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.Public)
                .Select(field => field.Name);
            Assert.DoesNotContain(fields, field => notes.Contains(field.Trim('_').ToLowerInvariant()));
        }
    }

    [Fact]
    public void Only_the_framework_opens_and_closes_gates()
    {
        foreach (var type in s_types.Where(type => type != typeof(DeviceNode) && type.DeclaringType != typeof(DeviceNode)))
        {
            Assert.DoesNotContain(
                TypeUses.CallsOf(type), call => call.DeclaringType == typeof(InputGate)
                    && call.Name is nameof(InputGate.Open) or nameof(InputGate.Close));
        }
    }

    private static IEnumerable<Type> DeviceTypes =>
        s_types.Where(type => type.Namespace?.StartsWith("WebVm.Vmm.Devices", StringComparison.Ordinal) == true
        && type.Namespace != typeof(DeviceNode).Namespace);

    private static bool Enters(InputGate gate)
    {
        using var entry = gate.Enter();
        return entry.Granted;
    }

    /// <summary>Of all but the clock with a battery, which goes on while the machine stands still.</summary>
    private static string State(WholePlatform platform)
    {
        string clock = platform.Tree.All<RealTimeClock>().Single().Name;
        return JsonSerializer.Serialize(platform.Tree.Save().Where(section => section.Unit != StateUnits.Device(clock)), StateJson.Options);
    }

    /// <summary>All that the host can do to a device; false if there is nothing that is known here.</summary>
    private static bool Provoke(IHostInput device)
    {
        bool known = false;
        if (device is IKeyboardInput keyboard)
        {
            known = true;
            keyboard.SendKey(KeyCode.KeyA, pressed: true);
            keyboard.ReleaseAllKeys();
        }

        if (device is IPointerInput pointer)
        {
            known = true;
            pointer.SendPointer(1, 2, 1, PointerButtons.Left);
        }

        if (device is ISerialPort serial)
        {
            known = true;
            serial.Deliver([1, 2, 3]);
            serial.SendBreak();
            serial.SetCarrier(false);
            serial.OutputReady();
        }

        if (device is IDisplay display)
        {
            known = true;
            display.SetPreferredMode(800, 600);
        }

        if (device is IPowerButton button)
        {
            known = true;
            button.PressPowerButton();
        }

        return known;
    }
}
