using WebVm.Vmm.Control;
using WebVm.Vmm.Cpu.Kvm;
using WebVm.Vmm.Devices.Debugging.Exit;
using WebVm.Vmm.Machine.Assembly;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Tests.Cpu.Kvm;
using Xunit;

namespace WebVm.Vmm.Tests.Control;

/// <summary>
/// Machines that end, in all the ways that there are, while clients ask for everything that can be asked for. All of them live in this
/// process: what is touched after it was given back is somebody else's by then, and most of it kills the process. WEBVM_COUNT sets how many
/// for the long run.
/// </summary>
public sealed class EndTests : IDisposable
{
    private const int Clients = 4;
    private const byte PowerOff = (byte)'O';
    private const byte DebugExit = (byte)'D';
    private const byte TripleFault = (byte)'T';

    /// <summary>
    /// Two busy devices (the 8254 at 1 kHz, the serial port), and three ways to end, by a byte on the serial port.
    /// </summary>
    private const string Source = """
        bits 32
        org 0x200000
        header: dd 0x1badb002, 0x10003, -(0x1badb002 + 0x10003), header, header, end, end + 0x4000, start
        start:
            mov al, 0x34
            out 0x43, al
            mov al, 0xa9
            out 0x40, al
            mov al, 4
            out 0x40, al
            mov dx, 0x3f8
            mov al, '.'
            out dx, al
            mov dx, 0x3fd
            in al, dx
            test al, 1
            jz start
            mov dx, 0x3f8
            in al, dx
            cmp al, 'O'
            je off
            cmp al, 'D'
            je debug
            cmp al, 'T'
            jne start
            lidt [table]
            int3
        off:
            mov ax, (5 << 10) | (1 << 13)
            mov dx, 0x604
            out dx, ax
            jmp start
        debug:
            mov eax, 0x15
            mov dx, 0xf4
            out dx, eax
            jmp start
        table: dw 0x7ff
            dd 0x300000
        end:
        """;

    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(2);

    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-end").FullName;
    private readonly string _kernel;

    public EndTests()
    {
        _kernel = Path.Combine(_folder, "kernel");
        File.WriteAllBytes(_kernel, KvmGuest.Assemble(Source));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("soft", 120)]
    [InlineData("kvm", 24)]
    public async Task Every_machine_ends_as_it_was_ended_whatever_clients_ask_for_meanwhile(string engine, int count)
    {
        if (engine == "kvm" && !File.Exists("/dev/kvm"))
        {
            Assert.Skip("This host has no /dev/kvm.");
        }

        count = int.TryParse(Environment.GetEnvironmentVariable("WEBVM_COUNT"), out int more) ? more : count;
        for (int i = 0; i < count; i++)
        {
            await EndOneAsync(engine == "kvm" ? EngineChoice.Kvm : EngineChoice.Soft, i);
        }
    }

    private async Task EndOneAsync(EngineChoice engine, int number)
    {
        var spec = new MachineSpec
        {
            Name = $"end{number}",
            Engine = engine,
            Cpus = 2,
            Memory = 16 << 20,
            Boot = new BootSpec { Kernel = _kernel },
            Display = new DisplaySpec(640, 480),
        };
        string socket = Path.Combine(_folder, "control");
        var machine = MachineAssembly.Assemble(spec);
        var server = new ControlServer(machine, socket);
        var random = new Random(number);
        using var over = new CancellationTokenSource();
        Task[] clients = [.. Enumerable.Range(0, Clients)
            .Select(client => Task.Run(
                () => AskAsync(
                    socket, Path.Combine(_folder, $"state-{number}-{client}"), new Random((number * Clients) + client), over.Token)))];
        await machine.Start().WaitAsync(s_limit);
        await Task.Delay(random.Next(40), TestContext.Current.CancellationToken);
        var (kind, code) = await EndAsync(machine, number % 5);
        // As a monitor does it: the control server goes first, and the machine while the last clients may still be at it.
        if (random.Next(2) == 0)
        {
            await Task.Delay(random.Next(5), TestContext.Current.CancellationToken);
        }

        server.Dispose();
        machine.Dispose();
        Assert.Equal(
            (kind, code, true), (machine.Exit!.Kind, machine.Exit.Code, !machine.Exit.Message.Contains("then:", StringComparison.Ordinal)));
        await over.CancelAsync();
        await Task.WhenAll(clients).WaitAsync(s_limit, TestContext.Current.CancellationToken);
    }

    private static async Task<(ExitKind Kind, int Code)> EndAsync(VirtualMachine machine, int way)
    {
        switch (way)
        {
            case 0:
                await CommandAsync(machine, PowerOff);
                return (ExitKind.PowerOff, 0);
            case 1:
                await CommandAsync(machine, DebugExit);
                return (ExitKind.DebugExit, (0x15 << 1) | 1);
            case 2:
                await CommandAsync(machine, TripleFault);
                return (ExitKind.Crash, 6);
            case 3:
                await machine.Stop().WaitAsync(s_limit);
                return (ExitKind.Stopped, 0);
            default:
                // The end comes from the disposal itself.
                return (ExitKind.Stopped, 0);
        }
    }

    /// <summary>Clients pause the guest, reset it and type into its port as well: it is told until it has heard.</summary>
    private static async Task CommandAsync(VirtualMachine machine, byte command)
    {
        long deadline = Environment.TickCount64 + (long)s_limit.TotalMilliseconds;
        while (!machine.Completion.IsCompleted)
        {
            Assert.True(Environment.TickCount64 < deadline, $"The machine is {machine.State}.");
            machine.Serial.Write([command]);
            try
            {
                await machine.Resume().WaitAsync(s_limit);
            }
            catch (MachineStateException)
            {
                // It is over.
            }

            await Task.WhenAny(machine.Completion, Task.Delay(5));
        }
    }

    /// <summary>Asks for one thing after the other until the connection ends, and comes again until it is over.</summary>
    private static async Task AskAsync(string socket, string state, Random random, CancellationToken over)
    {
        while (!over.IsCancellationRequested)
        {
            try
            {
                using var client = (await ControlClient.ConnectAsync(socket, over)).Start();
                client.Patience = s_limit;
                while (!over.IsCancellationRequested)
                {
                    await AskOneAsync(client, state, random);
                }
            }
            catch (Exception gone) when (gone is IOException or OperationCanceledException)
            {
                await Task.Yield();
            }
        }
    }

    private static async Task AskOneAsync(ControlClient client, string state, Random random)
    {
        try
        {
            switch (random.Next(20))
            {
                case 0: await client.StatusAsync(); break;
                case 1: await client.MetricsAsync(); break;
                case 2: await client.EnlightenmentsAsync(); break;
                case 3: await client.PauseAsync(); break;
                case 4: await client.ResumeAsync(); break;
                case 5: await client.ResetAsync(); break;
                case 6: await client.PressPowerButtonAsync(); break;
                case 7 when random.Next(4) == 0:
                    await client.SaveAsync(state);
                    Directory.Delete(state, recursive: true);
                    break;
                case 8: await client.ReadSerialAsync(0); break;
                case 9: await client.SubscribeSerialAsync(0); break;
                case 10: await client.WriteSerialAsync([0, 1, 2, 3]); break;
                case 11: await client.SendKeyEventsAsync(new KeyEvent("KeyA", true), new KeyEvent("KeyA", false)); break;
                case 12: await client.ReleaseKeysAsync(); break;
                case 13: await client.SendPointerAsync(
                    new PointerParameters(random.Next(-9, 9), random.Next(-9, 9), 0, random.Next(8))); break;
                case 14 or 15: await client.ScreenshotAsync(64); break;
                case 16 or 17:
                    (await client.AttachDisplayAsync()).Dispose();
                    break;
                case 18: await client.DetachDisplayAsync(); break;
                default: await client.PreferDisplayAsync(random.Next(320, 4096), random.Next(320, 4096)); break;
            }
        }
        catch (ControlException)
        {
            // The machine is over, paused, without a picture: answers all.
        }
    }

    [Fact]
    public async Task What_a_guest_said_last_reaches_a_client_that_listens_however_slowly()
    {
        // More than a socket holds, and little for the second that is given.
        const int bytes = 400_000;
        using var bench = new ControlBench();
        await bench.Scripted.Machine.Start().WaitAsync(s_limit, TestContext.Current.CancellationToken);
        long heard = 0;
        using var client = await bench.Connect((name, data) =>
        {
            if (name == ControlEvents.SerialOutput)
            {
                Thread.Sleep(10);
                Interlocked.Exchange(
                    ref heard, data.GetProperty("offset").GetInt64() + data.GetProperty("data").GetBytesFromBase64().Length);
            }
        });
        await client.SubscribeSerialAsync(0).WaitAsync(s_limit, TestContext.Current.CancellationToken);
        bench.Scripted.Serial.Send(new byte[bytes]);
        await bench.Scripted.Machine.Stop().WaitAsync(s_limit, TestContext.Current.CancellationToken);
        bench.Server.Dispose();
        await client.Closed.WaitAsync(s_limit, TestContext.Current.CancellationToken);
        Assert.Equal(bytes, heard);
    }

    [Fact]
    public void Interrupts_for_a_machine_on_kvm_that_has_ended_reach_no_other_that_has_its_descriptors()
    {
        KvmInterrupts late;
        using (var ended = new KvmGuest())
        {
            late = ended.Engine.KernelInterrupts;
        }

        using var next = new KvmGuest();
        late.SetLine(4, true);
        Assert.Equal(0, next.Engine.SaveInterruptControllers().PrimaryPic.InterruptRequest & (1 << 4));
        next.Engine.Interrupts.SetLine(4, true);
        Assert.NotEqual(0, next.Engine.SaveInterruptControllers().PrimaryPic.InterruptRequest & (1 << 4));
    }
}
