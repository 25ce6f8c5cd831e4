using System.IO.Compression;
using System.Text.Json;
using WebVm.Vmm.Devices.BuiltIn;
using WebVm.Vmm.Host;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.State;
using WebVm.Vmm.Tests.Architecture;
using Xunit;

namespace WebVm.Vmm.Tests.State;

/// <summary>What GoldenStateTests goes on from is enough: nothing that is or was saved is in none of them.</summary>
public sealed class GoldenCoverageTests
{
    private const string HowToAdd = "add a golden state (docs/saved-state.md)";

    private static readonly IReadOnlyList<IReadOnlyList<StateSection>> s_states =
    [
        .. Directory.EnumerateFiles(Path.Combine(Repository.Root, "tests", "Guest.Tests", "Golden"), "*.zip").Select(Read),
    ];

    [Fact]
    public void Every_version_of_every_schema_is_in_a_golden_state()
    {
        var there = s_states.SelectMany(state => state).Select(section => (section.Schema, section.Version)).ToHashSet();
        var wanted = Schemas.All.SelectMany(schema => Enumerable.Range(1, schema.Version).Select(version => (schema.Name, version)));
        var missing = wanted.Except(there).ToList();
        Assert.True(missing.Count == 0, $"No golden state has {string.Join(", ", missing)}: {HowToAdd}.");
    }

    [Fact]
    public void Every_kind_of_device_is_in_a_golden_state()
    {
        var there = s_states.SelectMany(state => state).Where(section => section.Unit == StateUnits.Devices)
            .SelectMany(section => SavedRecords.Devices.Read(section).Devices).Select(device => device.Kind).ToHashSet();
        var missing = BuiltInDevices.Catalogue.Kinds.Select(kind => kind.Name).Except(there).ToList();
        Assert.True(missing.Count == 0, $"No golden state has a device of the kinds {string.Join(", ", missing)}: {HowToAdd}.");
    }

    private static IReadOnlyList<StateSection> Read(string zip)
    {
        using var archive = ZipFile.OpenRead(zip);
        using var stream = archive.GetEntry(SavedStateFolder.FileName)!.Open();
        using var whole = new MemoryStream();
        stream.CopyTo(whole);
        using var document = UntrustedJson.Parse(whole.ToArray(), StrictJson.MaximumDepth);
        return document.RootElement.GetProperty("schema").GetInt32() == 1
            ? EarlierState.ToSections(document.RootElement.Clone())
            : document.RootElement.Deserialize(StateSectionJson.Strict.FolderDescription)!.Sections;
    }
}
