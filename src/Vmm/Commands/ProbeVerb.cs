using System.CommandLine;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using WebVm.Vmm.Cpu.Measurement;
using WebVm.Vmm.Devices.BuiltIn;
using WebVm.Vmm.Devices.Catalogue;

namespace WebVm.Vmm.Commands;

/// <summary>webvm-vmm probe: what this host offers, and which engine "auto" takes.</summary>
internal static class ProbeVerb
{
    public static Command Create()
    {
        var json = new Option<bool>("--json") { Description = "as JSON" };
        var devices = new Option<bool>(
            "--devices") { Description = "tell instead which kinds of device this build makes, with their settings" };
        var command = new Command("probe", "Measure what this host offers and say which engine auto takes.");
        command.Options.Add(json);
        command.Options.Add(devices);
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(devices))
            {
                Print(BuiltInDevices.Catalogue, parsed.GetValue(json));
                return ExitCode.Success;
            }

            var probe = HostProbe.Measure();
            if (parsed.GetValue(json))
            {
                Console.WriteLine(JsonSerializer.Serialize(probe, ProbeJson.Default.HostProbe));
            }
            else
            {
                Print(probe);
            }

            return ExitCode.Success;
        });
        return command;
    }

    private static void Print(DeviceCatalogue catalogue, bool json)
    {
        if (json)
        {
            var kinds = new JsonArray([.. catalogue.Kinds.Select(DeviceKindJson.Write)]);
            Console.WriteLine(
                kinds.ToJsonString(
                    new JsonSerializerOptions { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }));
            return;
        }

        foreach (var kind in catalogue.Kinds)
        {
            Console.WriteLine(
                $"{kind.Name,-22} {kind.Help}{(kind.Placement is { } placement ? $"; at {placement.Connection.Example}" : "")}");
            foreach (var setting in kind.Settings)
            {
                Console.WriteLine(
                    $"{"",-22}   {setting.Name}: {setting.Help} ({setting.Takes}{(setting.DefaultJson is { } initial ? $"; {initial.ToJsonString()}" : setting.IsRequired ? "; required" : "")})");
            }
        }
    }

    private static void Print(HostProbe probe)
    {
        Line("engine", $"{probe.Engine}: {probe.Reason}");
        var kvm = probe.Kvm;
        Line("kvm", kvm.Unusable
            ?? $"API {kvm.ApiVersion}, up to {kvm.MaximumVcpus} vCPUs ({kvm.RecommendedVcpus} recommended), {kvm.MemorySlots} memory slots");
        if (kvm.Speed is { } onKvm)
        {
            Line("  speed", Describe(onKvm));
        }

        if (kvm.Capabilities.Count > 0)
        {
            Line("  has", string.Join(' ', kvm.Capabilities.Where(entry => entry.Value).Select(entry => Short(entry.Key))));
            Line("  lacks", string.Join(' ', kvm.Capabilities.Where(entry => !entry.Value).Select(entry => Short(entry.Key))));
        }

        Line("soft", probe.Soft is { } soft ? Describe(soft) : "its guest did not get through");
        // The rest is plain data; its own names are the best description.
        PrintObject("host", JsonSerializer.SerializeToElement(probe.Resources, ProbeJson.Default.HostResources));
        PrintObject("sandbox", JsonSerializer.SerializeToElement(probe.Sandbox, ProbeJson.Default.SandboxFeatures));
        Line("tun", probe.Tun ? "/dev/net/tun opens" : "/dev/net/tun cannot be opened");
    }

    private static string Describe(GuestSpeed speed) => string.Create(CultureInfo.InvariantCulture,
        $"{speed.Privileged / 1e6:f1} million privileged and {speed.Unprivileged / 1e6:f0} million unprivileged instructions a second; an exit takes {speed.ExitNanoseconds / 1000:f2} µs");

    private static string Short(string capability) =>
        capability.StartsWith("KVM_CAP_", StringComparison.Ordinal) ? capability[8..].ToLowerInvariant() : capability;

    private static void PrintObject(string name, JsonElement value)
    {
        foreach (var property in value.EnumerateObject())
        {
            Line(name, $"{property.Name}: {property.Value}");
            name = "";
        }
    }

    private static void Line(string name, string text) => Console.WriteLine($"{name,-9} {text}");
}
