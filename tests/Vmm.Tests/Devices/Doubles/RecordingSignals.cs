using WebVm.Vmm.Devices.Debugging.Exit;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Tests.Devices.Doubles;

/// <summary>A machine that writes down what its devices ask of it.</summary>
internal sealed class RecordingSignals : IMachineSignals
{
    private readonly Lock _lock = new();

    public List<string> Log { get; } = [];

    public void PowerOff() => Note("power off");

    public void Reset(ResetKind kind) => Note($"reset {kind}");

    public void Sleep(SleepState state) => Note($"sleep {state}");

    public void GuestPanicked(PanicKind kind) => Note($"panic {kind}");

    public void DebugExit(int code) => Note($"exit {code}");

    private void Note(string what)
    {
        lock (_lock)
        {
            Log.Add(what);
        }
    }
}
