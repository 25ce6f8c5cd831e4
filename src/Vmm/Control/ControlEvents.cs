using System.Text.Json;
using WebVm.Vmm.Machine.Lifecycle;

namespace WebVm.Vmm.Control;

/// <summary>Names of events, and the messages that carry them.</summary>
public static class ControlEvents
{
    /// <summary>The machine's state changed; data is <see cref="StateChange"/>.</summary>
    public const string StateChanged = "state";

    /// <summary>The machine ended; data is <see cref="ExitStatus"/>. The connection closes after it.</summary>
    public const string Exited = "exit";

    /// <summary>
    /// The screen in the moment of a crash, before <see cref="Exited"/>; data is <see cref="ScreenshotResult"/>, and the PNG file is in the
    /// descriptor that comes with it.
    /// </summary>
    public const string LastScreen = "last-screen";

    /// <summary>Serial output, for a client that subscribed; data is <see cref="SerialData"/>.</summary>
    public const string SerialOutput = "serial";

    /// <summary>The guest was reset, reported a panic, lost a device, or let one go; data is <see cref="TextEvent"/>.</summary>
    public const string GuestReset = "reset";
    public const string GuestPanic = "panic";
    public const string DeviceFailed = "device-failed";
    public const string DeviceGone = "device-gone";

    /// <summary>The display's mode changed; data is <see cref="DisplayGeometry"/>. Attached clients attach again.</summary>
    public const string DisplayMode = "display-mode";

    /// <summary>How far a save is, for the client that asked for it; data is <see cref="SaveProgress"/>.</summary>
    public const string Saving = "save-progress";

    internal static ControlMessage Progress(int percent) =>
        new() { Event = Saving, Data = JsonSerializer.SerializeToElement(new SaveProgress(percent), ControlJson.Default.SaveProgress) };

    internal static ControlMessage Serial(SerialData data) =>
        new() { Event = SerialOutput, Data = JsonSerializer.SerializeToElement(data, ControlJson.Default.SerialData) };

    internal static ControlMessage Exit(MachineExit exit) =>
        new() { Event = Exited, Data = JsonSerializer.SerializeToElement(Status(exit), ControlJson.Default.ExitStatus) };

    internal static ExitStatus Status(MachineExit exit) => new(exit.Kind, exit.Code, exit.Message);

    /// <summary>The message for an event of the machine; null for one that has a message of its own kind.</summary>
    internal static ControlMessage? From(MachineEvent happened) => happened.Kind switch
    {
        MachineEventKind.State => new()
        {
            Event = StateChanged,
            Data = JsonSerializer.SerializeToElement(new StateChange(CamelCase(happened.Text)), ControlJson.Default.StateChange),
        },
        MachineEventKind.Reset => Text(GuestReset, happened),
        MachineEventKind.Panic => Text(GuestPanic, happened),
        MachineEventKind.DeviceFailed => Text(DeviceFailed, happened),
        MachineEventKind.DeviceGone => Text(DeviceGone, happened),
        _ => null,
    };

    internal static string CamelCase(string name) => JsonNamingPolicy.CamelCase.ConvertName(name);

    private static ControlMessage Text(string name, MachineEvent happened) =>
        new() { Event = name, Data = JsonSerializer.SerializeToElement(new TextEvent(happened.Text), ControlJson.Default.TextEvent) };
}
