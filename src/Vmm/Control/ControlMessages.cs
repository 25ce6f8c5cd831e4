using System.Text.Json;
using System.Text.Json.Serialization;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Machine.Lifecycle;

namespace WebVm.Vmm.Control;

/// <summary>First message on every connection, from the machine to the client.</summary>
public sealed record ControlHello
{
    public required string Protocol { get; init; }

    public required int Version { get; init; }

    /// <summary>Name of the machine.</summary>
    public required string Machine { get; init; }

    public required int ProcessId { get; init; }
}

/// <summary>From the client: something to do.</summary>
public sealed record ControlRequest
{
    /// <summary>Chosen by the client; the reply carries it.</summary>
    public required long Id { get; init; }

    public required string Method { get; init; }

    public JsonElement? Parameters { get; init; }

    /// <summary>File descriptors that come with the request (SCM_RIGHTS, with its first byte).</summary>
    public int Descriptors { get; init; }
}

/// <summary>From the machine: the reply to a request (with <see cref="Id"/>) or an event (with <see cref="Event"/>).</summary>
public sealed record ControlMessage
{
    public long? Id { get; init; }

    /// <summary>What the request gave; absent when it failed.</summary>
    public JsonElement? Result { get; init; }

    public ControlError? Error { get; init; }

    /// <summary>Name of the event.</summary>
    public string? Event { get; init; }

    public JsonElement? Data { get; init; }

    /// <summary>File descriptors that came with the message (SCM_RIGHTS, with its first byte).</summary>
    public int Descriptors { get; init; }
}

public sealed record ControlError(string Code, string Message);

public sealed record MachineStatus
{
    public required string Name { get; init; }

    [JsonConverter(typeof(CamelCaseNames<MachineState>))]
    public required MachineState State { get; init; }

    /// <summary>"kvm" or "soft".</summary>
    public required string Engine { get; init; }

    public required int Cpus { get; init; }

    /// <summary>Bytes.</summary>
    public required ulong Memory { get; init; }

    /// <summary>Nanoseconds of VM time.</summary>
    public required long Time { get; init; }

    /// <summary>Bytes that the guest has written to its serial port.</summary>
    public required long SerialEnd { get; init; }

    public DisplayGeometry? Display { get; init; }

    /// <summary>How the machine ended; absent while it has not.</summary>
    public ExitStatus? Exit { get; init; }
}

public sealed record ExitStatus([property: JsonConverter(typeof(CamelCaseNames<ExitKind>))] ExitKind Kind, int Code, string Message);

/// <param name="BitsPerPixel">16 (r5g6b5), 24 (b, g, r) or 32 (b, g, r, unused).</param>
/// <param name="Stride">Bytes from one line to the next.</param>
/// <param name="Offset">Bytes from the start of the framebuffer's memory to the first visible pixel.</param>
public sealed record DisplayGeometry(int Width, int Height, int BitsPerPixel, int Stride, int Offset);

/// <summary>Running totals since power-on.</summary>
public sealed record MachineMetrics
{
    public required IReadOnlyList<VcpuMetrics> Vcpus { get; init; }

    public required long UnclaimedPorts { get; init; }

    public required long UnclaimedMmio { get; init; }
}

public sealed record VcpuMetrics(
    int Index, long PortExits, long MmioExits, long HaltExits, long InterruptsInjected, long Assists, long OtherExits, long Instructions)
{
    internal bool IsSound =>
        long.Min(
            long.Min(long.Min(PortExits, MmioExits), long.Min(HaltExits, InterruptsInjected)),
            long.Min(long.Min(Assists, OtherExits), Instructions)) >= 0;
}

/// <summary>What the machine is made of beside processors and memory, in the order of its spec.</summary>
public sealed record MachineDevices(IReadOnlyList<MachineDevice> Items);

/// <summary>A device and how it does.</summary>
public sealed record MachineDevice
{
    public required string Id { get; init; }

    public required string Kind { get; init; }

    /// <summary>"bus:place"; absent for a kind that has one place.</summary>
    public string? At { get; init; }

    /// <summary>An object; absent for a kind that has none.</summary>
    public JsonElement? Settings { get; init; }

    /// <summary>Why the device was lost; absent while it is well.</summary>
    public string? Failure { get; init; }

    /// <summary>What the device counts since power-on, by name; absent for one that counts nothing.</summary>
    public IReadOnlyDictionary<string, long>? Metrics { get; init; }
}

/// <param name="Device">A device as the machine's spec has it: id, kind, at, settings.</param>
public sealed record DeviceAddParameters(JsonElement Device);

/// <param name="Id">Of the device.</param>
/// <param name="Deadline">Milliseconds that the guest may think about it; <see cref="ControlProtocol.UnplugDeadline"/> unless
/// given.</param>
public sealed record DeviceRemoveParameters(string Id, int? Deadline = null);

/// <param name="Outcome">How it ended.</param>
public sealed record DeviceRemoveResult([property: JsonConverter(typeof(CamelCaseNames<UnplugOutcome>))] UnplugOutcome Outcome);

/// <summary>What a guest that knows it is virtual was offered, and what it took.</summary>
public sealed record MachineEnlightenments(IReadOnlyList<EnlightenmentStatus> Items);

/// <summary>To a machine of protocol version 1, whose process makes the directory itself.</summary>
public sealed record SaveParameters(string Directory);

/// <param name="Files">What a state of the machine consists of.</param>
public sealed record SaveFilesResult(IReadOnlyList<SaveFile> Files);

/// <param name="Length">Bytes; absent when only writing it tells.</param>
public sealed record SaveFile(string Name, long? Length = null);

/// <param name="Files">Names, one for each descriptor that comes with the request.</param>
public sealed record SaveToParameters(IReadOnlyList<string> Files);

public sealed record SaveResult(long MemoryBytes);

/// <param name="Percent">Of guest memory.</param>
public sealed record SaveProgress(int Percent);

public sealed record SerialReadParameters(long Offset, int Maximum);

public sealed record SerialSubscribeParameters(long Offset);

/// <param name="Offset">Of the first byte; greater than asked for when older bytes are gone.</param>
/// <param name="Data">Base64 in JSON.</param>
public sealed record SerialData(long Offset, byte[] Data);

public sealed record SerialWriteParameters(byte[] Data);

/// <param name="Written">Bytes that the port took; the rest has to be sent again later.</param>
public sealed record SerialWriteResult(int Written);

/// <param name="Keys">Chords in turn, each of key names joined by '-': "a", "shift-a", "ctrl-alt-delete".</param>
public sealed record SendKeysParameters(IReadOnlyList<string> Keys);

public sealed record SendTextParameters(string Text);

/// <param name="Events">Physical keys by their names in KeyboardEvent.code, such as "KeyA", pressed or released in turn.</param>
public sealed record KeyEventsParameters(IReadOnlyList<KeyEvent> Events);

public sealed record KeyEvent(string Code, bool Pressed);

/// <param name="DeltaX">Relative motion in pixels; right and down are positive.</param>
/// <param name="Wheel">Steps of the wheel towards the user.</param>
/// <param name="Buttons">Buttons that are down: bit 0 left, 1 right, 2 middle, 3 back, 4 forward.</param>
public sealed record PointerParameters(int DeltaX, int DeltaY, int Wheel, int Buttons);

/// <param name="Taken">Keys, characters or events that the guest took; fewer than given when it does not listen.</param>
public sealed record InputResult(int Taken);

/// <summary>The size of the viewer: what the monitor asks the guest for from now on.</summary>
public sealed record DisplayPreferParameters(int Width, int Height);

/// <param name="Width">Pixels a line at most: a wider screen is scaled down, its aspect kept. Null for the screen as it is.</param>
public sealed record ScreenshotParameters(int? Width = null);

/// <summary>The PNG file is in the descriptor that comes with the reply.</summary>
public sealed record ScreenshotResult(int Width, int Height, long Length);

/// <summary>Two descriptors come with the reply, both of memory with a fixed size: the framebuffer's, then the display map's.</summary>
public sealed record DisplayAttachResult(ulong FramebufferSize, ulong MapSize);

public sealed record StateChange(string State);

public sealed record TextEvent(string Text);

/// <summary>An enumeration by its members' names, as properties are named; no numbers.</summary>
internal sealed class CamelCaseNames<T>() : JsonStringEnumConverter<T>(JsonNamingPolicy.CamelCase, allowIntegerValues: false)
    where T : struct, Enum;

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true, MaxDepth = ControlProtocol.MaximumDepth)]
[JsonSerializable(typeof(ControlHello))]
[JsonSerializable(typeof(ControlRequest))]
[JsonSerializable(typeof(ControlMessage))]
[JsonSerializable(typeof(MachineStatus))]
[JsonSerializable(typeof(MachineMetrics))]
[JsonSerializable(typeof(MachineDevices))]
[JsonSerializable(typeof(MachineDevice))]
[JsonSerializable(typeof(DeviceAddParameters))]
[JsonSerializable(typeof(DeviceRemoveParameters))]
[JsonSerializable(typeof(DeviceRemoveResult))]
[JsonSerializable(typeof(MachineEnlightenments))]
[JsonSerializable(typeof(SaveParameters))]
[JsonSerializable(typeof(SaveFilesResult))]
[JsonSerializable(typeof(SaveToParameters))]
[JsonSerializable(typeof(SaveResult))]
[JsonSerializable(typeof(SaveProgress))]
[JsonSerializable(typeof(SerialReadParameters))]
[JsonSerializable(typeof(SerialSubscribeParameters))]
[JsonSerializable(typeof(SerialData))]
[JsonSerializable(typeof(SerialWriteParameters))]
[JsonSerializable(typeof(SerialWriteResult))]
[JsonSerializable(typeof(SendKeysParameters))]
[JsonSerializable(typeof(SendTextParameters))]
[JsonSerializable(typeof(KeyEventsParameters))]
[JsonSerializable(typeof(PointerParameters))]
[JsonSerializable(typeof(InputResult))]
[JsonSerializable(typeof(DisplayGeometry))]
[JsonSerializable(typeof(DisplayPreferParameters))]
[JsonSerializable(typeof(ScreenshotParameters))]
[JsonSerializable(typeof(ScreenshotResult))]
[JsonSerializable(typeof(DisplayAttachResult))]
[JsonSerializable(typeof(StateChange))]
[JsonSerializable(typeof(ExitStatus))]
[JsonSerializable(typeof(TextEvent))]
[JsonSerializable(typeof(Dictionary<string, string>))]
[JsonSerializable(typeof(System.Text.Json.Nodes.JsonObject))]
public sealed partial class ControlJson : JsonSerializerContext;
