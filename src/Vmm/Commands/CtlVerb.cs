using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json;
using WebVm.Vmm.Control;

namespace WebVm.Vmm.Commands;

/// <summary>webvm-vmm ctl: one request to a running machine.</summary>
internal static class CtlVerb
{
    private static readonly TimeSpan s_connectLimit = TimeSpan.FromSeconds(10);

    public static Command Create()
    {
        var path = new Argument<string>("socket") { Description = "the control socket of the machine", HelpName = "PATH" };
        var command = new Command("ctl", "Ask a running machine for something over its control socket.");
        command.Arguments.Add(path);
        Add("status", "What the machine is and does.", async client => Print(
            await client.StatusAsync(), ControlJson.Default.MachineStatus));
        Add("metrics", "Running totals.", async client => Print(await client.MetricsAsync(), ControlJson.Default.MachineMetrics));
        Add("devices", "What the machine is made of, and how each device does.", async client => Print(
            await client.DevicesAsync(), ControlJson.Default.MachineDevices));
        Add("enlightenments", "What the guest was offered and took of the interfaces for guests that know they are virtual.",
            async client => Print(await client.EnlightenmentsAsync(), ControlJson.Default.MachineEnlightenments));
        Add("pause", "Let the guest stand still.", client => client.PauseAsync());
        Add("resume", "Let a paused guest go on.", client => client.ResumeAsync());
        Add("power-button", "Press the power button.", client => client.PressPowerButtonAsync());
        Add("reset", "Press the reset button.", client => client.ResetAsync());
        Add("stop", "End the machine, whatever the guest does.", client => client.StopAsync());
        AddWith(
            "device-add",
            "JSON",
            "Plug a device into a slot: {\"id\":\"...\",\"kind\":\"...\"}, as the machine's spec has it.",
            async (client, device) => Print(await client.AddDeviceAsync(Parse(device)), ControlJson.Default.MachineDevice));
        AddWith("save", "DIR", "Save the state to a directory.", (client, directory) => client.SaveAsync(directory));
        AddWith("screenshot", "FILE", "Write the screen to a PNG file.",
            async (client, file) => await File.WriteAllBytesAsync(file, await client.ScreenshotAsync()));
        AddWith("send-text", "TEXT", "Type text on a United States keyboard.", async (client, text) => Taken(
            await client.SendTextAsync(text), text.Length));
        command.Subcommands.Add(DeviceRemove(path));
        command.Subcommands.Add(SendKeys(path));
        return command;

        void Add(string name, string description, Func<ControlClient, Task> request)
        {
            var verb = new Command(name, description);
            verb.SetAction(parsed => Ask(parsed.GetValue(path)!, request));
            command.Subcommands.Add(verb);
        }

        void AddWith(string name, string what, string description, Func<ControlClient, string, Task> request)
        {
            var argument = new Argument<string>(what.ToLowerInvariant()) { HelpName = what };
            var verb = new Command(name, description);
            verb.Arguments.Add(argument);
            verb.SetAction(parsed => Ask(parsed.GetValue(path)!, client => request(client, parsed.GetValue(argument)!)));
            command.Subcommands.Add(verb);
        }
    }

    private static Command DeviceRemove(Argument<string> path)
    {
        var id = new Argument<string>("id") { HelpName = "ID" };
        var deadline = new Option<int>("--deadline")
        {
            Description = $"seconds that the guest may think about it, up to {ControlProtocol.LongestUnplugDeadline / 1000}",
            HelpName = "SECONDS",
            DefaultValueFactory = _ => ControlProtocol.UnplugDeadline / 1000,
        };
        var verb = new Command(
            "device-remove", "Ask the guest to let a device go, and take it out of its slot: gone, refused or unanswered.");
        verb.Arguments.Add(id);
        verb.Options.Add(deadline);
        verb.SetAction(parsed => Ask(parsed.GetValue(path)!, async client =>
        {
            // Out of range is for the machine to say.
            int seconds = Math.Clamp(parsed.GetValue(deadline), -1, 1 + (ControlProtocol.LongestUnplugDeadline / 1000));
            var outcome = await client.RemoveDeviceAsync(parsed.GetValue(id)!, TimeSpan.FromSeconds(seconds));
            Print(new DeviceRemoveResult(outcome), ControlJson.Default.DeviceRemoveResult);
        }));
        return verb;
    }

    private static JsonElement Parse(string text)
    {
        try
        {
            return JsonElement.Parse(text);
        }
        catch (JsonException malformed)
        {
            throw new InvalidDataException($"'{text}' is not JSON: {malformed.Message}", malformed);
        }
    }

    private static Command SendKeys(Argument<string> path)
    {
        var keys = new Argument<string[]>("keys") { HelpName = "KEYS", Arity = ArgumentArity.OneOrMore };
        var verb = new Command("send-keys", "Press keys in turn: a, F1, ctrl-alt-delete, ...");
        verb.Arguments.Add(keys);
        verb.SetAction(
            parsed => Ask(
                parsed.GetValue(
                    path)!, async client => Taken(await client.SendKeysAsync(parsed.GetValue(keys)!), parsed.GetValue(keys)!.Length)));
        return verb;
    }

    private static void Taken(int taken, int given)
    {
        if (taken < given)
        {
            Console.Error.WriteLine($"webvm-vmm: the guest took {taken} of {given}");
        }
    }

    private static int Ask(string path, Func<ControlClient, Task> request)
    {
        using var cancellation = new CancellationTokenSource(s_connectLimit);
        using var client = ControlClient.ConnectAsync(path, cancellation.Token).GetAwaiter().GetResult().Start();
        // Whoever gives up breaks the connection off, and the request with it: what a save has made is tidied away before the process ends.
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, BreakOff);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, BreakOff);
        request(client).GetAwaiter().GetResult();
        return ExitCode.Success;

        void BreakOff(PosixSignalContext context)
        {
            context.Cancel = true;
            client.Dispose();
        }
    }

    private static void Print<T>(T value, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type)
    {
        using var writer = new Utf8JsonWriter(Console.OpenStandardOutput(), new JsonWriterOptions { Indented = true });
        JsonSerializer.Serialize(writer, value, type);
        writer.Flush();
        Console.WriteLine();
    }
}
