using System.Diagnostics;
using System.Globalization;
using System.IO.Compression;
using System.Text.Json.Nodes;
using WebVm.Vmm.Control;
using WebVm.Vmm.Host;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.State;
using Xunit;

namespace WebVm.Guest.Tests.Golden;

/// <summary>
/// What builds of the past have saved goes on in this one: the guest counts on, and finds its memory, its registers and its display as it
/// left them.
/// </summary>
public sealed class GoldenStateTests : IDisposable
{
    private const int Lines = 20;

    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(3);

    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-golden").FullName;

    public static TheoryData<string> Folders => GoldenStates.Folders;

    public static TheoryData<string> Streams => GoldenStates.Streams;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(Folders))]
    public async Task A_golden_state_goes_on(string name)
    {
        await using var guest = await GuestSession.Restore(
            GoldenStates.Unpack(name, _folder), EngineChoice.Soft, clock: ClockPolicy.Stopped);
        Assert.InRange(CheckCounting(guest), 16u, 256u);
        await CheckTyping(guest);
    }

    [Theory]
    [MemberData(nameof(Streams))]
    public async Task A_golden_stream_goes_on(string name)
    {
        await using var stream = new GZipStream(File.OpenRead(GoldenStates.StreamOf(name)), CompressionMode.Decompress);
        await using var guest = await GuestSession.Restore(new StreamSource(stream), EngineChoice.Soft, clock: ClockPolicy.Stopped);
        Assert.InRange(CheckCounting(guest), 16u, 256u);
        await CheckTyping(guest);
    }

    /// <summary>However long ago that was.</summary>
    [Theory]
    [MemberData(nameof(Folders))]
    public async Task A_golden_state_catches_up_with_the_time_since(string name)
    {
        await using var guest = await GuestSession.Restore(
            GoldenStates.Unpack(name, _folder), EngineChoice.Soft, clock: ClockPolicy.CatchUp);
        CheckCounting(guest);
        await CheckTyping(guest);
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public async Task A_golden_state_is_saved_by_this_build_and_goes_on_from_that_too(string name)
    {
        string again = Path.Combine(_folder, "again");
        uint first;
        await using (var guest = await GuestSession.Restore(
            GoldenStates.Unpack(name, _folder), EngineChoice.Soft, clock: ClockPolicy.Stopped))
        {
            first = CheckCounting(guest);
            await StateSaver.Save(guest.Machine, again);
        }

        await using var restored = await GuestSession.Restore(again, EngineChoice.Soft);
        Assert.InRange(CheckCounting(restored), first + Lines - 1, first + 1000);
        await CheckTyping(restored);
    }

    /// <summary>
    /// A golden guest's processor is one that every host can show on soft. This host's KVM may show none but its own, so here the guest
    /// knows none.
    /// </summary>
    [Theory]
    [MemberData(nameof(Folders))]
    public async Task A_golden_state_goes_on_under_kvm(string name)
    {
        Assert.SkipUnless(File.Exists("/dev/kvm"), "There is no KVM here.");
        string state = GoldenStates.Unpack(name, _folder);
        string path = Path.Combine(state, SavedStateFolder.FileName);
        var description = JsonNode.Parse(await File.ReadAllTextAsync(path))!.AsObject();
        if (description["sections"] is JsonArray sections)
        {
            var machine = sections[0]!["body"]!;
            machine["engine"] = "kvm";
            machine["spec"]!.AsObject().Remove("cpu");
            sections.Remove(sections.Single(section => (string)section!["unit"]! == StateUnits.Cpu));
        }
        else
        {
            description["engine"] = "kvm";
            description["spec"]!.AsObject().Remove("cpu");
            description.Remove("cpu");
        }

        await File.WriteAllTextAsync(path, description.ToJsonString());
        await using var guest = await GuestSession.Restore(state, EngineChoice.Kvm, clock: ClockPolicy.Stopped);
        Assert.Equal("kvm", guest.Machine.EngineName);
        CheckCounting(guest);
        await CheckTyping(guest);
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public async Task The_native_monitor_goes_on_with_a_golden_state_that_it_is_handed(string name)
    {
        string state = GoldenStates.Unpack(name, _folder);
        var files = Directory.EnumerateFiles(state)
            .Select(file => ($"state/{Path.GetFileName(file)}", (FileDescriptor?)SparseFile.Open(file, write: false)));
        using var monitor = new HandedMonitor(
            Monitors.Native, information => Process.Start(information)!, ["serve", "--restore", "state", "--clock", "stopped"],
            [.. files, ("control", null)]);
        using var client = await monitor.ConnectAsync().WaitAsync(s_limit);
        string said = "";
        while (said.Count(letter => letter == '\n') < Lines)
        {
            await Task.Delay(20);
            said = string.Concat((await client.ReadSerialAsync(0).WaitAsync(s_limit)).Data.Select(letter => (char)letter));
        }

        CheckCounting(said);
        string again = Path.Combine(_folder, "again");
        await client.SaveAsync(again).WaitAsync(s_limit);
        (await StateRestorer.Restore(again, EngineChoice.Soft)).Dispose();
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public async Task The_native_program_runs_a_golden_state_to_its_end(string name)
    {
        string state = GoldenStates.Unpack(name, _folder);
        using var process = Process.Start(new ProcessStartInfo(Monitors.Native, ["run", "--restore", state, "--engine", "soft"])
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
        })!;
        await process.StandardInput.WriteAsync("x");
        await process.StandardInput.FlushAsync();
        string said = "";
        while (!said.Contains("<x>", StringComparison.Ordinal))
        {
            string? line = await process.StandardOutput.ReadLineAsync().WaitAsync(s_limit);
            if (line is null)
            {
                Assert.Fail(await process.StandardError.ReadToEndAsync());
            }

            said += line + "\n";
        }

        await process.StandardInput.WriteAsync("q");
        await process.StandardInput.FlushAsync();
        said += await process.StandardOutput.ReadToEndAsync().WaitAsync(s_limit);
        await process.WaitForExitAsync().WaitAsync(s_limit);
        Assert.True(process.ExitCode == CountingGuest.ExitCode, await process.StandardError.ReadToEndAsync());
        CheckCounting(said);
    }

    /// <summary>Waits for some lines and checks them.</summary>
    /// <returns>The count that the first whole one tells.</returns>
    private static uint CheckCounting(GuestSession guest)
    {
        int from = guest.Log.Length;
        while (guest.Log.AsSpan(from).Count('\n') < Lines)
        {
            guest.WaitFor("\n");
        }

        return CheckCounting(guest.Log[from..]);
    }

    private static uint CheckCounting(string said)
    {
        // The first may be the end of one that was begun before the state was saved.
        string[] lines = [.. said.Split('\n')[1..^1].Where(line => !line.StartsWith('<'))];
        uint first = uint.Parse(lines[0][..8], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        Assert.Equal(lines.Select((_, index) => $"{first + (uint)index:x8} ok"), lines);
        return first;
    }

    private static async Task CheckTyping(GuestSession guest)
    {
        guest.Type("w");
        guest.WaitFor("<w>");
        guest.Type("q");
        var exit = await guest.WaitForExit();
        Assert.Equal((ExitKind.DebugExit, CountingGuest.ExitCode), (exit.Kind, exit.Code));
    }
}
