using System.Runtime.InteropServices;
using Tmds.Linux;
using WebVm.Vmm.Control;
using WebVm.Vmm.Host;
using WebVm.Vmm.Machine.Lifecycle;

namespace WebVm.Vmm.Commands;

/// <summary>One machine in this process, from assembly to exit code.</summary>
internal sealed class MachineSession
{
    /// <summary>
    /// Kept to the end of the process: a signal that comes while everything is given back does not change how the guest ended.
    /// </summary>
    private static readonly List<PosixSignalRegistration> s_signals = [];

    public required SerialTarget Serial { get; init; }

    /// <summary>Where the control socket is made; null for the one that was handed to the process, if one was.</summary>
    public string? ControlPath { get; init; }

    public string? ScreenshotPath { get; init; }

    /// <param name="assemble">Makes the machine: created, or restored and paused.</param>
    public int Run(Func<VirtualMachine> assemble)
    {
        using var machine = assemble();
        using var control = Serve(machine);
        machine.Event += Report;
        foreach (var signal in (PosixSignal[])[PosixSignal.SIGTERM, PosixSignal.SIGINT, PosixSignal.SIGHUP])
        {
            s_signals.Add(PosixSignalRegistration.Create(signal, context => Stop(context, machine)));
        }

        MachineExit exit;
        using (Serial.Connect(machine))
        {
            Begin(machine);
            exit = machine.Completion.GetAwaiter().GetResult();
        }

        if (ScreenshotPath is { } picture)
        {
            TakeScreenshot(machine, picture);
        }

        if (exit.Kind is not (ExitKind.PowerOff or ExitKind.Stopped or ExitKind.DebugExit))
        {
            Console.Error.WriteLine($"webvm-vmm: {exit.Message}");
        }

        return exit.Code;
    }

    private ControlServer? Serve(VirtualMachine machine) => ControlPath is { } path
        ? new ControlServer(machine, path)
        : HandedFiles.OfProcess.Has(HandedFiles.ControlName)
            ? new ControlServer(machine, HandedFiles.OfProcess.Listen(HandedFiles.ControlName))
            : null;

    private static void Begin(VirtualMachine machine)
    {
        try
        {
            (machine.State == MachineState.Paused ? machine.Resume() : machine.Start()).GetAwaiter().GetResult();
        }
        catch (MachineStateException) when (machine.State == MachineState.Stopped)
        {
            // A client or a signal was faster.
        }
    }

    private static void TakeScreenshot(VirtualMachine machine, string path)
    {
        if (machine.Framebuffer?.Capture() is { } shot)
        {
            using var file = HandedFiles.OfProcess.Create(path);
            using var stream = new DescriptorStream(file);
            shot.WritePng(stream);
        }
        else
        {
            Console.Error.WriteLine(
                $"webvm-vmm: no screenshot: {(machine.Framebuffer is null ? "the machine has no display" : "the display is off")}");
        }
    }

    private static void Stop(PosixSignalContext context, VirtualMachine machine)
    {
        // The process ends by itself once the machine has stopped and the terminal is as it was.
        context.Cancel = true;
        machine.Stop(MachineExit.Signalled(Number(context.Signal)));
    }

    /// <summary>signal(7).</summary>
    private static int Number(PosixSignal signal) => signal switch
    {
        PosixSignal.SIGHUP => LibC.SIGHUP,
        PosixSignal.SIGINT => LibC.SIGINT,
        _ => LibC.SIGTERM,
    };

    private static void Report(MachineEvent happened)
    {
        if (happened.Kind is MachineEventKind.DeviceFailed or MachineEventKind.Panic)
        {
            StandardError.Write($"webvm-vmm: {happened.Kind}: {happened.Text}\r\n");
        }
    }
}
