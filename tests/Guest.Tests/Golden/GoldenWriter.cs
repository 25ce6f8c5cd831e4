using System.IO.Compression;
using System.Text.Json.Nodes;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Host;
using WebVm.Vmm.Machine.Profiles;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.State;
using Xunit;

namespace WebVm.Guest.Tests.Golden;

/// <summary>
/// Makes a golden state of this build, when it is asked to: WEBVM_GOLDEN=name. What the machine has is named, not found, so that nothing of
/// this host is in the state and it goes on everywhere.
/// </summary>
public sealed class GoldenWriter : IDisposable
{
    private const string Spec = """
        {
          "name": "golden", "engine": "soft", "cpus": 2, "memory": "4M", "cpu": { "model": "x86-64-v2", "vendor": "intel" },
          "hpet": true, "boot": { "kernel": "kernel", "commandLine": "golden" }
        }
        """;

    /// <summary>Devices that the profile has not. The display is behind a port, the other port is empty.</summary>
    private static readonly DeviceSpec[] s_notInPc =
    [
        new("port0", "pcie.root-port") { At = "pci:02.0" },
        new("port1", "pcie.root-port") { At = "pci:03.0" },
        new DeviceSpec("display", "display.bochs") { At = "port0:00.0" }.WithSettings("""{"width":640,"height":480}"""),
    ];

    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(3);

    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-golden").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact(Explicit = true)]
    public async Task A_golden_state_is_written()
    {
        string? name = Environment.GetEnvironmentVariable("WEBVM_GOLDEN");
        Assert.SkipWhen(name is null, "WEBVM_GOLDEN=name makes tests/Guest.Tests/Golden/name.zip and name.stream.gz of this build.");
        string spec = Path.Combine(_folder, "spec.json");
        var description = JsonNode.Parse(Spec)!.AsObject();
        description["devices"] = new JsonArray([.. Profile.Pc.Concat(s_notInPc).Select(Describe)]);
        await File.WriteAllTextAsync(spec, description.ToJsonString());
        string kernel = MultibootSample.Assemble(CountingGuest.Body, _folder);
        string state = Path.Combine(_folder, "state");
        using var monitor = new HandedMonitor(
            ["serve", "--spec", "spec"], ("spec", SparseFile.Open(spec, write: false)), ("kernel", SparseFile.Open(kernel, write: false)),
            ("control", null));
        using var client = await monitor.ConnectAsync().WaitAsync(s_limit);
        while ((await client.StatusAsync().WaitAsync(s_limit)).SerialEnd < 200)
        {
            await Task.Delay(50);
        }

        await client.SaveAsync(state).WaitAsync(s_limit);
        string folder = GoldenStates.FolderOf(name!);
        string stream = GoldenStates.StreamOf(name!);
        Assert.False(File.Exists(folder) || File.Exists(stream), $"{folder} is there; what was once a golden state remains one.");
        await ZipFile.CreateFromDirectoryAsync(state, folder, CompressionLevel.SmallestSize, includeBaseDirectory: false);
        using (var machine = await StateRestorer.Restore(state))
        await using (var packed = new GZipStream(File.Create(stream), CompressionLevel.SmallestSize))
        {
            await StateSaver.Save(machine, new StreamSink(packed));
        }

        Assert.All([folder, stream], file => Assert.InRange(new FileInfo(file).Length, 1, 100_000));
    }

    private static JsonNode Describe(DeviceSpec device)
    {
        var described = new JsonObject { ["id"] = device.Id, ["kind"] = device.Kind };
        if (device.At is { } place)
        {
            described["at"] = place;
        }

        if (device.Settings is { } settings)
        {
            described["settings"] = JsonNode.Parse(settings.GetRawText());
        }

        return described;
    }
}
