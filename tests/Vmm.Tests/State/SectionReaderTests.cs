using System.Text.Json;
using WebVm.Vmm.State;
using Xunit;

namespace WebVm.Vmm.Tests.State;

public sealed class SectionReaderTests
{
    private sealed record Number(int Value);

    private static readonly StateSchema<Number> s_schema = new(
        "number", Devices.Doubles.StateJson.Of<Number>(), body => body["value"] = (int)body["old"]! * 2, body => body.Remove("old"));

    [Fact]
    public void Every_fault_is_named_with_what_was_found_and_what_is_known()
    {
        var faults = new List<string>();
        var reader = new SectionReader(
        [
            Section("clock", "number", 3, """{"value":1}"""),
            Section("machine", "number", 7, """{"value":1}"""),
            Section("clock", "number", 3, """{"value":1}"""),
            Section("cpu", "letter", 1, """{"value":1}"""),
            Section("memory", "number", 3, """{"value":"x"}"""),
            Section("fax/0", "paper", 9, "{}"),
            Section("a b", "paper", 9, "{}"),
            Section("device/a", "number", 1, """{"old":1}"""),
        ], faults);
        Assert.False(reader.TryTake("machine", s_schema, out _));
        Assert.False(reader.TryTake("cpu", s_schema, out _));
        Assert.False(reader.TryTake("memory", s_schema, out _));
        Assert.False(reader.TryTake("vcpu/0", s_schema, out _));
        Assert.True(reader.TryTake("clock", s_schema, out _));
        Assert.Equal(2, s_schema.Read(Assert.Single(reader.TakeDevices())).Value);
        reader.RefuseOthers();
        string all = string.Join('\n', faults);
        Assert.All(
            [
                "'machine' is out of order: it comes after that of 'clock'", "more than one saved state of 'clock'",
                "A section has no sound unit",
                "'machine' follows version 7 of schema 'number'; this build reads versions 1 to 3",
                "'cpu' follows schema 'letter'; this build reads 'number' there",
                "'memory' is not 'number' version 3", "no saved state of 'vcpu/0'",
                "no 'fax/0' of such a machine, whose saved state follows version 9 of schema 'paper'",
            ],
            fault => Assert.Contains(fault, all, StringComparison.Ordinal));
    }

    [Fact]
    public void A_version_is_one_more_than_there_are_steps_to_it() => Assert.Equal(3, s_schema.Write("clock", new Number(1)).Version);

    private static StateSection Section(string unit, string schema, int version, string body) =>
        new(unit, schema, version, JsonElement.Parse(body));
}
