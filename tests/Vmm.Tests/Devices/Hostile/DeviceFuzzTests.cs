using WebVm.Vmm.Devices.Display;
using WebVm.Vmm.Devices.Display.Bochs;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Input;
using WebVm.Vmm.Devices.Input.Ps2;
using WebVm.Vmm.Devices.Pci.RootPort;
using WebVm.Vmm.Devices.Power.FixedHardware;
using Xunit;
using WebVm.Vmm.Keys;

namespace WebVm.Vmm.Tests.Devices.Hostile;

public sealed class DeviceFuzzTests
{
    /// <summary>Hanging for this long is a failure; one access takes microseconds.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(120);

    [Theory]
    [InlineData("generic", 150_000)]
    [InlineData("q35", 50_000)]
    public void Nothing_that_a_guest_does_to_its_devices_makes_one_throw_or_hang(string chipset, int accesses) =>
        Fuzz(Environment.TickCount, accesses, chipset);

    [Theory(Explicit = true)]
    [InlineData("generic", 20_000_000)]
    [InlineData("q35", 2_000_000)]
    public void Nothing_that_a_guest_does_to_its_devices_makes_one_throw_or_hang_for_long(string chipset, int accesses) =>
        Fuzz(Environment.TickCount, accesses, chipset);

    [Fact]
    public void The_detector_sees_a_device_that_throws()
    {
        using var platform = new WholePlatform();
        platform.Bus.Add(new PortWindow(0x1234, 1, new Broken()), "broken");
        platform.Bus.ReadPort(0x1234, 1);
        Assert.Contains("planted", Assert.Single(platform.Faults), StringComparison.Ordinal);
    }

    private static void Fuzz(int seed, int accesses, string chipset)
    {
        using var platform = new WholePlatform(chipset);
        using var framebuffer = new Framebuffer(platform.Memory, platform.Device<BochsDisplay>());
        var errors = new List<Exception>();
        bool done = false;
        var guests = Enumerable.Range(0, 3).Select(number => Run(errors, () =>
        {
            var guest = new RandomGuest(platform, seed + number);
            for (int i = 0; i < accesses; i++)
            {
                guest.Act();
            }
        })).ToArray();
        var host = Run(errors, () =>
        {
            var random = new Random(seed - 1);
            while (!Volatile.Read(ref done))
            {
                ActAsHost(platform, framebuffer, random);
                Thread.Yield();
            }
        });

        bool ended = Array.TrueForAll(guests, thread => thread.Join(s_patience));
        Volatile.Write(ref done, true);
        ended &= host.Join(s_patience);
        Assert.True(ended, $"seed {seed}: a thread hangs");
        Assert.True(errors.Count == 0, $"seed {seed}: {errors.FirstOrDefault()}");
        Assert.True(platform.Faults.Count == 0, $"seed {seed}: {platform.Faults.FirstOrDefault()}");

        // Whatever state that led to can be saved, loaded and reset.
        platform.Tree.Stop();
        platform.Tree.Load(platform.Tree.Save());
        platform.Tree.Reset();
        platform.Tree.Start();
        Assert.True(platform.Faults.Count == 0, $"seed {seed}: {platform.Faults.FirstOrDefault()}");
        Assert.Equal(0x60u, platform.Bus.ReadPort(0x3fd, 1) & 0x60);
    }

    private static void ActAsHost(WholePlatform platform, Framebuffer framebuffer, Random random)
    {
        switch (random.Next(9))
        {
            case 7:
                // A slot that is empty, and one that is not.
                foreach (var port in platform.Tree.All<PcieRootPort>())
                {
                    port.AskToEject(port, _ => { });
                }

                break;
            case 0:
                platform.Device<I8042>().SendKey((KeyCode)random.Next(256), random.Next(2) == 0);
                break;
            case 1:
                platform.Device<I8042>()
                    .SendPointer(random.Next(-9999, 9999), random.Next(-9999, 9999), random.Next(-9, 9), (PointerButtons)random.Next(256));
                break;
            case 2:
                platform.Serial.Write(new byte[random.Next(64)]);
                break;
            case 3:
                platform.Device<AcpiPowerManagement>().PressPowerButton();
                platform.Device<AcpiPowerManagement>().RaiseGpe(random.Next(64));
                break;
            case 4:
                foreach (var function in platform.Bridge.RootBus.AllFunctions)
                {
                    function.SetInterrupt(random.Next(2) == 0);
                    function.Signal(random.Next(-1, 9));
                }

                break;
            case 5 when framebuffer.Mode is { } mode:
                framebuffer.Line(mode, random.Next(mode.Height)).ToArray();
                break;
            case 6:
                using (var watch = framebuffer.Watch())
                {
                    watch.Collect(new ulong[watch.Words]);
                }

                break;
            default:
                foreach (var node in platform.Tree.Nodes)
                {
                    // Metrics and state of a running device may be read at any time.
                    _ = (node.Device as ISavedState)?.SaveState();
                }

                break;
        }
    }

    private static Thread Run(List<Exception> errors, Action action)
    {
        var thread = new Thread(() =>
        {
            try
            {
                action();
            }
            catch (Exception exception)
            {
                lock (errors)
                {
                    errors.Add(exception);
                }
            }
        })
        { IsBackground = true };
        thread.Start();
        return thread;
    }

    private sealed class Broken : IPortHandler
    {
        public uint ReadPort(int offset, int size) => throw new InvalidOperationException("planted");

        public void WritePort(int offset, int size, uint value)
        {
        }
    }
}
