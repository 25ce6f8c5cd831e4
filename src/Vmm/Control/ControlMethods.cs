using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using WebVm.Vmm.Host;
using WebVm.Vmm.Machine.Consoles;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Pictures;

namespace WebVm.Vmm.Control;

/// <summary>What a method gave: a value and the file descriptors that go with it, which belong to the receiver.</summary>
internal readonly record struct ControlResult(JsonElement Value, FileDescriptor[] Descriptors);

/// <summary>The methods of the control protocol, by name. Calls come from the clients' threads, one per client at a time.</summary>
internal sealed partial class ControlMethods
{
    private static readonly JsonElement s_empty = JsonSerializer.SerializeToElement(
        new Dictionary<string, string>(), ControlJson.Default.DictionaryStringString);

    private readonly VirtualMachine _machine;
    private readonly Dictionary<string, Func<JsonElement?, ControlCaller, ControlResult>> _methods;

    public ControlMethods(VirtualMachine machine)
    {
        _machine = machine;
        _methods = new()
        {
            ["status"] = (_, _) => Value(Status(), ControlJson.Default.MachineStatus),
            ["spec"] = (_, _) => new ControlResult(
                JsonSerializer.SerializeToElement(MachineSpecJson.Write(machine.Spec), ControlJson.Default.JsonObject), []),
            ["metrics"] = (_, _) => Value(Metrics(), ControlJson.Default.MachineMetrics),
            ["devices"] = (_, _) => Value(Devices(), ControlJson.Default.MachineDevices),
            ["device-add"] = (parameters, _) => DeviceAdd(Read(parameters, ControlJson.Default.DeviceAddParameters)),
            ["device-remove"] = (parameters, _) => DeviceRemove(Read(parameters, ControlJson.Default.DeviceRemoveParameters)),
            ["enlightenments"] = (_, _) => Value(
                new MachineEnlightenments(machine.Enlightenments().GetAwaiter().GetResult()), ControlJson.Default.MachineEnlightenments),
            ["pause"] = (_, _) => Await(machine.Pause()),
            ["resume"] = (_, _) => Await(machine.Resume()),
            ["reset"] = (_, _) => Await(machine.Reset()),
            ["power-button"] = (_, _) => Await(machine.PressPowerButton()),
            ["stop"] = (_, _) => Await(machine.Stop()),
            ["save-files"] = (_, _) => SaveFiles(),
            ["save-to"] = (parameters, caller) => SaveTo(Read(parameters, ControlJson.Default.SaveToParameters), caller),
            ["save"] = (_, caller) => Save(caller),
            ["serial-read"] = (parameters, _) => SerialRead(Read(parameters, ControlJson.Default.SerialReadParameters)),
            ["serial-write"] = (parameters, _) => SerialWrite(Read(parameters, ControlJson.Default.SerialWriteParameters)),
            ["serial-subscribe"] = (parameters, caller) => SerialSubscribe(
                Read(parameters, ControlJson.Default.SerialSubscribeParameters), caller.Outbox),
            ["serial-unsubscribe"] = (_, caller) => SerialSubscribe(new SerialSubscribeParameters(-1), caller.Outbox),
            ["send-keys"] = (parameters, _) => SendKeys(Read(parameters, ControlJson.Default.SendKeysParameters)),
            ["send-text"] = (parameters, _) => SendText(Read(parameters, ControlJson.Default.SendTextParameters)),
            ["key-events"] = (parameters, _) => KeyEvents(Read(parameters, ControlJson.Default.KeyEventsParameters)),
            ["release-keys"] = (_, _) => ReleaseKeys(),
            ["pointer"] = (parameters, _) => Pointer(Read(parameters, ControlJson.Default.PointerParameters)),
            ["screenshot"] = (parameters, _) => Screenshot(
                parameters is null ? new ScreenshotParameters() : Read(parameters, ControlJson.Default.ScreenshotParameters)),
            ["display-attach"] = (_, caller) => DisplayAttach(caller.Outbox),
            ["display-detach"] = (_, caller) => DisplayDetach(caller.Outbox),
            ["display-prefer"] = (parameters, _) => DisplayPrefer(Read(parameters, ControlJson.Default.DisplayPreferParameters)),
        };
    }

    public SerialLog SerialLog => _machine.Serial.Log;

    public ControlResult Call(string method, JsonElement? parameters, ControlCaller caller)
    {
        if (!_methods.TryGetValue(method, out var call))
        {
            throw new ControlException(ControlErrorCode.BadRequest, $"there is no method '{method}'");
        }

        try
        {
            return call(parameters, caller);
        }
        catch (MachineStateException refused)
        {
            throw new ControlException(ControlErrorCode.InvalidState, refused.Message);
        }
    }

    private static T Read<T>(JsonElement? parameters, JsonTypeInfo<T> type) =>
        parameters is { } given && given.Deserialize(type) is { } value
            ? value
            : throw new ControlException(ControlErrorCode.BadRequest, "parameters are missing");

    private static ControlResult Value<T>(T value, JsonTypeInfo<T> type, params FileDescriptor[] descriptors) =>
        new(JsonSerializer.SerializeToElement(value, type), descriptors);

    private static ControlResult Await(Task transition)
    {
        transition.GetAwaiter().GetResult();
        return new ControlResult(s_empty, []);
    }

    private MachineStatus Status() => new()
    {
        Name = _machine.Spec.Name,
        State = _machine.State,
        Engine = _machine.EngineName,
        Cpus = _machine.Spec.Cpus,
        Memory = _machine.Spec.Memory,
        Time = _machine.Time,
        SerialEnd = SerialLog.End,
        Display = Geometry(),
        Exit = _machine.Exit is { } exit ? ControlEvents.Status(exit) : null,
    };

    private MachineMetrics Metrics() => new()
    {
        Vcpus = [.. _machine.Counters.Select(
            (counters, index) => new VcpuMetrics(index, Volatile.Read(ref counters.PortExits), Volatile.Read(ref counters.MmioExits),
            Volatile.Read(ref counters.HaltExits), Volatile.Read(ref counters.InterruptsInjected), Volatile.Read(ref counters.Assists),
            Volatile.Read(ref counters.OtherExits), Volatile.Read(ref counters.Instructions)))],
        UnclaimedPorts = _machine.Platform.Bus.UnclaimedPorts,
        UnclaimedMmio = _machine.Platform.Bus.UnclaimedMmio,
    };

    private ControlResult SaveFiles() =>
        Value(new SaveFilesResult(
            [.. StateSaver.FilesOf(_machine).Select(file => new SaveFile(file.Key, file.Value))]), ControlJson.Default.SaveFilesResult);

    private ControlResult SaveTo(SaveToParameters parameters, ControlCaller caller)
    {
        var files = StateSaver.FilesOf(_machine);
        if (parameters.Files.FirstOrDefault(name => name is null || !files.ContainsKey(name)) is { } stranger)
        {
            throw new ControlException(ControlErrorCode.BadRequest, $"'{stranger}' is no file of this machine's state");
        }

        caller.Keep(parameters.Files);
        return new ControlResult(s_empty, []);
    }

    private ControlResult Save(ControlCaller caller)
    {
        if (StateSaver.FilesOf(_machine).Keys.FirstOrDefault(name => !caller.Files.ContainsKey(name)) is { } missing)
        {
            throw new ControlException(ControlErrorCode.BadRequest, $"no file was handed over for '{missing}'");
        }

        // A client that has gone does not want the state any more; it is noticed by what is sent to it.
        using var abandoned = new CancellationTokenSource();
        try
        {
            long written = StateSaver.Save(_machine, caller.Files, Report, abandoned.Token).GetAwaiter().GetResult();
            return Value(new SaveResult(written), ControlJson.Default.SaveResult);
        }
        finally
        {
            caller.DropFiles();
        }

        void Report(int percent)
        {
            if (!caller.Outbox.TryAdd(ControlEvents.Progress(percent)))
            {
                abandoned.Cancel();
            }
        }
    }

    private ControlResult SerialRead(SerialReadParameters parameters)
    {
        if (parameters.Offset < 0 || parameters.Maximum is <= 0 or > ControlProtocol.MaximumSerialChunk)
        {
            throw new ControlException(
                ControlErrorCode.BadRequest, $"offset is not negative, maximum is 1 to {ControlProtocol.MaximumSerialChunk}");
        }

        var buffer = new byte[parameters.Maximum];
        long offset = parameters.Offset;
        int count = SerialLog.Read(ref offset, buffer);
        return Value(new SerialData(offset, buffer[..count]), ControlJson.Default.SerialData);
    }

    private ControlResult SerialWrite(SerialWriteParameters parameters) =>
        Value(new SerialWriteResult(_machine.Serial.Write(parameters.Data)), ControlJson.Default.SerialWriteResult);

    private static ControlResult SerialSubscribe(SerialSubscribeParameters parameters, ControlOutbox outbox)
    {
        if (parameters.Offset < -1)
        {
            throw new ControlException(ControlErrorCode.BadRequest, "offset is negative");
        }

        outbox.Subscribe(parameters.Offset);
        return new ControlResult(s_empty, []);
    }
}
